"""Which mask belongs to which image: by stem, whatever suffix or folder.

A mask has the name of its image, also with a word before or after (000_mask, 000-gt, mask_000, 000.jpg), or lies in a
folder of its image's name (MVTec LOCO). Of several images of one name it belongs to the one whose folders are most like
its own: test/scratch/000 for ground_truth/scratch/000.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fastflow.decode import SUFFIXES
from fastflow.sources import plain, squashed

WORDS = (
    "masks?", "maske[n]?", "gt", "ground[-_ ]?truths?", "truth", "labels?", "seg", "segm", "segmentations?", "semantic",
    "annotations?", "annotated", "anno", "heatmaps?", "overlays?", "binary", "labelids?",
)  # fmt: skip
WORD = f"(?:{'|'.join(WORDS)})"
TAIL = re.compile(rf"(.*[^\W_]|)([\W_]+|(?<=\d)){WORD}(?:[-_ ]?\d+)?", re.DOTALL)
HEAD = re.compile(rf"{WORD}(?:[-_ ]?\d+)?[-_ ]+(.+)")
KIND = re.compile(r"(.+)[-_ ](?:defects?|anomaly|anomalies)")  # 000_defect_mask
LONE = re.compile(rf"{WORD}|images?|imgs?")


class Pairs(NamedTuple):
    """`masks` of each image that has any; `orphans` belong to no image; `shared` could be of any of several."""

    masks: dict[Path, list[Path]]
    orphans: list[Path]
    shared: dict[Path, list[Path]]


class _At(NamedTuple):
    """A file and its folder, with the folder's `_words`: one name may be of thousands, in a folder each."""

    path: Path
    place: str
    words: set[str]


def keys(stem: str) -> Iterator[str]:
    """The stems of images to which a mask of this stem may belong, the likeliest first."""
    stem = plain(stem)
    while stem:
        yield stem
        if Path(stem).suffix in SUFFIXES:
            yield stem.removesuffix(Path(stem).suffix)
        if head := HEAD.fullmatch(stem):
            yield head[1]
        tail = TAIL.fullmatch(stem)
        if tail and tail[2]:  # a stem may end in a bracket: part (9)_mask is of part (9)
            yield from (stem[:end] for end in range(tail.end(2), max(tail.end(1), 1) - 1, -1) if end != tail.end(1))
        stem = tail[1] if tail else ""
        if kind := KIND.fullmatch(stem):
            yield kind[1]


def beginnings(stem: str) -> Iterator[str]:
    """What a stem begins with, up to a separator or with some, the longest first: 000-x may belong to 000."""
    stem = plain(stem)
    for match in reversed(list(re.finditer(r"[\W_]+|(?<=\d)(?=[^\W\d_])", stem))):
        ends = range(max(match.start(), match.end() - 1), match.start() - 1, -1)  # (1)-x may belong to (1)
        yield from (stem[:end] for end in ends if end)


def beside(path: Path, stems: dict[str, list[Path]]) -> Path | None:
    """The file of the same folder, given by stem, to which `path` belongs by a mask's word or as another format."""
    for key in keys(path.stem):
        for other in stems.get(key, []):
            if other != path and (key != plain(path.stem) or other.suffix.lower() != path.suffix.lower()):
                return other
    return None


def pair(
    images: Sequence[Path], masks: Iterable[Path], folder: Path, *, likely: Callable[[Path], bool] = lambda path: True
) -> Pairs:
    """`likely` images, the defective ones, come before others that fit as well."""
    by_stem: dict[str, list[_At]] = defaultdict(list)
    for path in images:
        by_stem[plain(path.stem)].append(_at(path, folder))
    masks = list(masks)
    own_folders = _folders_of_images(masks, by_stem, {path.parent for path in images})
    pairs = Pairs({}, [], {})
    for mask in masks:
        name = str(mask)
        names = [plain(mask.parent.name)] if mask.parent in own_folders else [*keys(mask.stem), *beginnings(mask.stem)]
        fitting = next(
            (found for key in names if (found := [at for at in by_stem.get(key, []) if str(at.path) != name])), []
        )
        best = _nearest(_at(mask, folder), fitting, likely)
        if len(best) == 1:
            pairs.masks.setdefault(best[0], []).append(mask)
        elif best:
            pairs.shared[mask] = best
        else:
            pairs.orphans.append(mask)
    return pairs


def _folders_of_images(masks: Iterable[Path], stems: Collection[str], places: set[Path]) -> set[Path]:
    """Folders that are called as an image and hold its masks: all folders beside must be so."""
    inner: dict[Path, set[Path]] = defaultdict(set)
    for mask in masks:
        inner[mask.parent.parent].add(mask.parent)
    every = (group for group in inner.values() if all(plain(p.name) in stems and p not in places for p in group))
    return {place for group in every for place in group}


def _nearest(mask: _At, images: list[_At], likely: Callable[[Path], bool]) -> list[Path]:
    """Those whose folders have most names in common with the mask's, the likely ones of them."""
    own, place = mask.words, mask.place
    common = [(image.place == place, len(own & image.words)) for image in images]
    most = max(common, default=None)
    best = [image.path for image, number in zip(images, common, strict=True) if number == most]
    return [image for image in best if likely(image)] or best


def _at(path: Path, folder: Path) -> _At:
    return _At(path, str(path.parent), _words(path, folder))


def _words(path: Path, folder: Path) -> set[str]:
    """Names of the folders of a file, without a mask's words: scratch_mask is scratch."""
    parts = (plain(part) for part in path.relative_to(folder).parts[:-1])
    return {squashed(tail[1] if (tail := TAIL.fullmatch(part)) else part) for part in parts if not LONE.fullmatch(part)}
