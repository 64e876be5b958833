"""Doubts about the masks beside a table: it names some for good images, or none where files seem to be some."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fastflow.arrange import Item
from fastflow.index import GOOD
from fastflow.marks import MaskRule
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.layouts.marked import marks_defect
from pipelines.data.layouts.reading import Doubt, glob_of, quoted, some
from pipelines.data.words import tokens, word_of


def masks_of_good(masks: Mapping[Path, tuple[Path, ...]], folder: Path, rule: MaskRule) -> Iterator[Doubt]:
    """A doubt where masks of images that are good mark a defect."""
    images = list(masks)
    wrong = [path for path, defect in zip(images, marks_defect(images, masks, rule), strict=True) if defect]
    if wrong:
        first = masks[wrong[0]][0]
        name = quoted(first.relative_to(folder).as_posix()) if first.is_relative_to(folder) else quoted(first.name)
        message = (
            f"{counted(len(wrong), 'image')} good by the table, with a mask that marks a defect, taken as good: "
            f"{some(wrong, folder)}"
        )
        yield Doubt(message, ("correct gt_label or mask_path in the table", f"--ignore {name}"))


def unnamed_masks(items: Sequence[Item], rest: Sequence[Path], folder: Path) -> list[Path]:
    """Those of `rest`, images that the table does not name, that seem to be masks of defective ones without any."""
    bare = {plain(item.image.stem) for item in items if item.defect_type != GOOD and not item.masks}
    return [path for path in rest if bare and _seems_mask(path, bare, folder)]


def masks_not_named(masks: Sequence[Path], folder: Path) -> Iterator[Doubt]:
    """A doubt about the `unnamed_masks`."""
    if masks:
        ignore = " ".join(f"--ignore {glob_of(folder, place)}" for place in sorted({path.parent for path in masks})[:3])
        message = f"{counted(len(masks), 'file')} that the table does not name could be masks: {some(masks, folder)}"
        yield Doubt(message, ("name them in a column mask_path", ignore))


def _seems_mask(path: Path, bare: set[str], folder: Path) -> bool:
    """Whether a file is called as a defective image, or a folder or the name's last word says mask."""
    said = (*path.relative_to(folder).parts[:-1], *tokens(path.stem)[-1:])
    return plain(path.stem) in bare or any(word_of(part).meaning == "masks" for part in said)
