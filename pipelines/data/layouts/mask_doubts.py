"""Doubts about masks: they mark too much, nothing, several labels, or have another shape than their image."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fastflow.arrange import Item, marks_of
from fastflow.decode import DEFECT, open_image
from fastflow.errors import BadImage
from fastflow.index import GOOD
from fastflow.marks import MaskRule, upright_size
from fastflow.pixels.meaning import to_rgb
from pipelines.core.names import counted
from pipelines.data.layouts.reading import Doubt, quoted, some

MASKS_SAMPLED = 25  # of a kind
MOSTLY_MARKED_FRACTION, FULLY_MARKED_FRACTION = 0.5, 0.999  # of an image
MAX_ASPECT_FACTOR = 1.02  # of a mask's aspect ratio, to its image's
FEW_LABELS = 64


def mask_doubts(items: Sequence[Item], folder: Path, rule: MaskRule) -> list[Doubt]:
    kinds: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        if item.masks and item.defect_type != GOOD:
            kinds[item.defect_type].append(item)
    doubts: dict[str, Doubt] = {}
    for kind, several in kinds.items():
        sample = several[:: max(1, len(several) // MASKS_SAMPLED)][:MASKS_SAMPLED]
        for doubt in (*_of_marks(kind, several, sample, folder, rule), *_of_files(sample, folder, rule)):
            doubts.setdefault(doubt.text, doubt)
    return list(doubts.values())


def _of_marks(
    kind: str, several: Sequence[Item], sample: Sequence[Item], folder: Path, rule: MaskRule
) -> Iterator[Doubt]:
    shares = []
    for item in sample:
        try:
            shares.append(float((marks_of(item, rule) == DEFECT).mean()))
        except BadImage:  # the check names it
            continue
    files = [mask for item in sample for mask in item.masks if isinstance(mask, Path)]
    message = f"{counted(len(several), 'mask')} of {kind}"
    middle = float(np.median(shares)) if shares else 0.0
    if middle > MOSTLY_MARKED_FRACTION:
        values = _colours(files)
        options = (
            [f"--mask-values {value}" for value in values] if middle >= FULLY_MARKED_FRACTION else ["--masks-inverted"]
        )
        yield Doubt(f"{message} mark {middle:.0%} of their image: {some(files, folder)}", tuple(options))
    elif shares and not max(shares):
        values = _colours(files)
        options = [f"--mask-values {value}" for value in values] or ["redraw them"]
        yield Doubt(f"{message} mark nothing: {some(files, folder)}", tuple(options))


def _colours(files: Sequence[Path]) -> list[str]:
    """What the masks hold beside the most frequent value: a level, or a colour in quotes for the shell."""
    for path in files[:3]:
        image = open_image(path)
        rgb = to_rgb(image, path)
        found = sorted(rgb.getcolors(FEW_LABELS) or [], key=lambda pair: pair[0])[:-1]
        colours = [colour for _, colour in found if isinstance(colour, tuple)]
        if colours:
            grey = all(len(set(colour)) == 1 for colour in colours)
            return [str(c[0]) if grey else quoted("#" + "".join(f"{v:02x}" for v in c)) for c in colours[-3:]]
    return []


def _of_files(sample: Sequence[Item], folder: Path, rule: MaskRule) -> Iterator[Doubt]:
    labels: set[int] = set()
    turned = []
    for item in sample:
        for mask in (mask for mask in item.masks if isinstance(mask, Path)):
            try:
                labels |= _labels(mask)
                width, height = upright_size(item.image, item.page)
                own_width, own_height = upright_size(mask)
            except (BadImage, OSError, EOFError):
                continue
            ratio = (own_width / own_height) / (width / height)
            if not 1 / MAX_ASPECT_FACTOR <= ratio <= MAX_ASPECT_FACTOR:
                turned.append(mask)
    if turned:
        yield Doubt(
            f"{counted(len(turned), 'mask')} of another shape than the image, stretched: {some(turned, folder)}",
            (
                "draw them on the images as they are",
                f"--ignore {quoted(turned[0].relative_to(folder).parent.as_posix())}",
            ),
        )
    numbers = sorted(labels - {0})
    if not rule.values and rule.ignore is None and len(numbers) > 1:
        if 255 in numbers and numbers[0] < 100:
            message = f"masks hold the labels {_listed(numbers)}; 255 often means: not to be counted"
            yield Doubt(message, ("--ignore-value 255",))
        else:
            message = f"masks hold the labels {_listed(numbers)}, all taken as defect"
            yield Doubt(message, (f"--mask-values {numbers[0]}",), stops=False)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)


def _labels(path: Path) -> set[int]:
    """Label numbers of a palette or of small greys; none where greys are edges or the file is lossy."""
    image = open_image(path)
    if image.info["lossy"] or image.mode not in ("P", "L", "I", "I;16"):
        return set()
    numbers = {int(value) for value in np.unique(np.asarray(image))}
    small = {value for value in numbers if value < 100}
    return numbers if image.mode == "P" or (numbers - {255} == small and len(numbers) < FEW_LABELS) else set()
