"""The meaning of the folders above a file: its part of the data set, its class, whether it is a mask."""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from pipelines.data.words import Word, without_masks, word_of


class Place(NamedTuple):
    """`split`: train, test, validation, private or ""; `names`: what is left without splits, masks and fillers, with
    what each says in `words`; `masks`: masks, maybe_masks or ""; `mask_root` the folder that says so, relative;
    `before`: the names above the split."""

    split: str
    names: tuple[str, ...]
    words: tuple[Word, ...]
    masks: str
    mask_root: Path
    before: tuple[str, ...]

    @property
    def unclear(self) -> bool:
        """Whether a folder says that its images are made of others, as thumbnails, or not sorted yet."""
        return any(word.meaning == "unclear" for word in self.words)

    @property
    def made_of_good(self) -> bool:
        """Whether such a folder lies in one of good images, as good/thumbs."""
        return bool(self.good_at) and any(word.meaning == "unclear" for word in self.words[self.good_at[0] :])

    @property
    def good_at(self) -> list[int]:
        """Where in `names` a folder says good."""
        return [number for number, word in enumerate(self.words) if word.meaning == "good"]


class Places:
    """The place of each folder below `folder`, looked at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._of_files: dict[Path, Place] = {}
        self._of_folders: dict[Path, Place] = {}
        self._photographs: set[Path] = set()

    def are_photographs(self, root: Path) -> None:
        """Marks a folder, relative, as one of photographs, although its name has a word for masks."""
        self._photographs.add(root)
        self._of_files.clear()
        self._of_folders.clear()

    def __getitem__(self, file: Path) -> Place:
        if (known := self._of_files.get(file)) is not None:
            return known
        folder = file.parent
        if folder not in self._of_folders:
            self._of_folders[folder] = _place(folder.relative_to(self.folder), self._photographs)
        self._of_files[file] = self._of_folders[folder]
        return self._of_files[file]


def _place(where: Path, photographs: Collection[Path]) -> Place:
    split, masks, root = "", "", Path()
    names: list[str] = []
    words: list[Word] = []
    before: tuple[str, ...] = ()
    for depth, name in enumerate(where.parts, 1):
        word = word_of(name)
        if word.meaning in ("masks", "maybe_masks") and Path(*where.parts[:depth]) in photographs:
            word = word_of(without_masks(name))
        if word.meaning == "split":
            if not split:
                before = tuple(names)
            split = word.split if split != "test" else split
        elif word.meaning in ("masks", "maybe_masks"):
            if masks != "masks":
                masks, root = word.meaning, Path(*where.parts[:depth])
        elif word.meaning != "filler":
            names.append(name)
            words.append(word)
    return Place(split, tuple(names), tuple(words), masks, root, before)
