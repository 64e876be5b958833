"""Where the files of a table lie: as it says, or below its folder, where all that both say of the path is the same."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from fastflow.decode import SUFFIXES
from fastflow.files import walk
from fastflow.sources import plain
from pipelines.data.words import word_of


class Files:
    """The files below a table's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        self._alike: dict[str, list[Path]] = defaultdict(list)
        for file in walk(folder):
            self._by_name[_composed(file.name)].append(file)
            for name in {plain(file.name), plain(_stem(file))}:
                self._alike[name].append(file)

    def find(self, paths: Iterable[Path], *, never: Collection[Path] = (), masks: bool) -> Mapping[Path, Path]:
        """Each path and the file it means; itself where there is none, or no single one, or two paths would mean it.

        `paths` are as the table writes them, below its folder. Found in spite of a folder's name are files whose
        remaining parts agree, as img/1.png for /data/line/img/1.png, also but for case, or for a suffix that the table
        leaves out; `never` are files that cannot be meant, and without `masks` none in a folder of masks.
        """
        found = {path: path if path.is_file() else self._elsewhere(path, never, masks=masks) for path in paths}
        meant: dict[Path, list[Path]] = defaultdict(list)
        for path, file in found.items():
            meant[file].append(path)
        return {path: file if len(meant[file]) == 1 or _same(path, file) else path for path, file in found.items()}

    def alike(self, path: Path) -> list[Path]:
        """Files called as this one but for folders, case and suffix."""
        return self._alike.get(plain(_stem(path)), [])

    def _elsewhere(self, path: Path, never: Collection[Path], *, masks: bool) -> Path:
        written = _parts(path, self.folder)
        same = [f for f in self._by_name.get(_composed(path.name), []) if _agree(_parts(f, self.folder), written)]
        called = [f for f in self._alike.get(plain(path.name), []) if self._agrees_but_for_case(f, written)]
        for fitting in (same, called):
            found = [file for file in fitting if file not in never and (masks or not self._in_masks(file))]
            several = [file for file in found if _same(path, file)] or found
            if several:
                return several[0] if len(several) == 1 else path
        return path

    def _agrees_but_for_case(self, file: Path, written: tuple[str, ...]) -> bool:
        *folders, name = map(plain, _parts(file, self.folder))
        end = plain(written[-1])
        return end in (name, plain(_stem(file))) and _agree((*folders, end), tuple(map(plain, written)))

    def _in_masks(self, file: Path) -> bool:
        return any(word_of(part).meaning == "masks" for part in _parts(file, self.folder)[:-1])


def _agree(parts: tuple[str, ...], written: tuple[str, ...]) -> bool:
    """Whether what both say of a path is the same."""
    common = min(len(parts), len(written))
    return parts[-common:] == written[-common:]


def _stem(path: Path) -> str:
    """A name without an image's suffix: part.1 has none."""
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    return tuple(_composed(part) for part in inside.parts)


def _same(path: Path, file: Path) -> bool:
    """Whether two paths are one but for their Unicode form."""
    return _composed(str(path)) == _composed(str(file))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
