"""Whether masks mark anything, each image's masks read once; and doubts about which images they belong to."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastflow.arrange import Drawing, Item, marks_of
from fastflow.decode import DEFECT
from fastflow.errors import BadData, BadImage
from fastflow.index import GOOD
from fastflow.marks import MaskRule
from fastflow.pairing import Pairs
from pipelines.core.names import counted
from pipelines.core.progress import progress
from pipelines.data.layouts.reading import Doubt, glob_of, pattern_of, quoted, some

Masks = Mapping[Path, tuple[Path | Drawing, ...]]


def marks_defect(paths: Sequence[Path], masks: Masks, rule: MaskRule) -> list[bool]:
    """Of each image whether its masks mark a defect; an unreadable one does, as the check will name it."""

    def marks(path: Path) -> bool:
        try:
            found = bool((marks_of(Item(path, "", "", masks[path]), rule) == DEFECT).any())
        except BadImage:
            found = True
        advance()
        return found

    with progress("reading masks", len(paths), unit="mask") as advance, ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(marks, paths))


def refuse_shared(shared: Mapping[Path, Sequence[Path]], folder: Path) -> None:
    """Raises BadData where a mask could be of several images."""
    if not shared:
        return
    mask, images = next(iter(shared.items()))
    name = images[0].relative_to(folder)
    glob = (name.parent / f"*{name.suffix}").as_posix()
    raise BadData(
        f"{mask} would be the mask of {' and of '.join(map(str, images))}, and so with {len(shared) - 1} more; put it "
        f"into a folder of the defect's name, or leave out images (--ignore {quoted(glob)}) or masks (--ignore "
        f"{glob_of(folder, mask.parent)})"
    )


def pair_doubts(
    pairs: Pairs, of: Mapping[Path, str], masks: Masks, of_good: Sequence[Path], folder: Path, rule: MaskRule
) -> Iterator[Doubt]:
    """Masks of no image, in several folders, or that mark a good image; `of_good` are masks of some good image."""
    if pairs.orphans:
        places = sorted({path.parent for path in pairs.orphans})[:3]
        ignore = " ".join(f"--ignore {glob_of(folder, place)}" for place in places)
        message = f"{counted(len(pairs.orphans), 'mask')} called as no image: {some(pairs.orphans, folder)}"
        yield Doubt(message, ("rename as the images are", ignore))
    places_of = {path: {mask.parent for mask in several} for path, several in pairs.masks.items()}
    scattered = [path for path, places in places_of.items() if len(places) > 1 and of.get(path) != GOOD]
    if scattered and not all(_own_folder(mask, path) for path in scattered for mask in pairs.masks[path]):
        several = pairs.masks[scattered[0]]
        message = f"{counted(len(scattered), 'image')} with masks in several folders, united: {some(several, folder)}"
        yield Doubt(
            message, tuple(f"--ignore {glob_of(folder, place)}" for place in sorted({m.parent for m in several}))
        )
    good = [path for path in masks if of.get(path) == GOOD]
    alone = {mask: (mask,) for mask in of_good}
    marked = [*marks_defect(good, masks, rule), *marks_defect(of_good, alone, rule)]
    if wrong := [path for path, defect in zip([*good, *of_good], marked, strict=True) if defect]:
        message = f"{counted(len(wrong), 'good image')} with masks that mark a defect: {some(wrong, folder)}"
        one = quoted(wrong[0].relative_to(folder).as_posix())
        first = masks[wrong[0]][0] if wrong[0] in masks else wrong[0]
        all_masks = f"--ignore {quoted(pattern_of(first.name))}" if isinstance(first, Path) else ""
        yield Doubt(message, tuple(filter(None, (f"--defects {one}", f"--ignore {one}", all_masks))))


def _own_folder(mask: Path, image: Path) -> bool:
    return mask.parent.name == image.stem
