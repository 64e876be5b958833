"""Doubts about masks: they mark too much, nothing, several labels, or have another shape than their image."""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.arrange import Item, marks_of
from fastflow.decode import DEFECT, IGNORED, mask_levels, open_image
from fastflow.errors import BadData, BadImage
from fastflow.index import GOOD
from fastflow.marks import MaskRule, upright_size
from fastflow.pixels.meaning import to_rgb
from pipelines.core.names import counted
from pipelines.core.progress import progress
from pipelines.data.checks.finding import REMEDIES
from pipelines.data.layouts.mask_values import colours_of, labels_of, values_of, ways_to_say
from pipelines.data.layouts.reading import Doubt, glob_of, quoted, some

MASKS_SAMPLED = 25  # of a kind, for what they all have alike
NAMED = 3  # shares that a message lists
MOSTLY_MARKED_FRACTION, FULLY_MARKED_FRACTION = 0.5, 0.999  # of an image
MAX_ASPECT_FACTOR = 1.02  # of a mask's aspect ratio, to its image's
FEW_LABELS = 64


class Marked(NamedTuple):
    """A defective image with masks: the share of it that they mark, those that hold more than two levels, and whether
    they leave pixels out of the evaluation."""

    item: Item
    share: float
    soft: list[Path]
    leave_out: bool


def mask_doubts(items: Sequence[Item], folder: Path, rule: MaskRule) -> list[Doubt]:
    """Raises BadData where no mask holds the value that is to be left out."""
    masked = [item for item in items if item.masks and item.defect_type != GOOD]
    with progress("reading masks", len(masked), unit="mask") as advance, ThreadPoolExecutor(os.cpu_count()) as pool:

        def look_at(item: Item) -> Marked | None:
            found = _marked(item, rule)
            advance()
            return found

        every = [found for found in pool.map(look_at, masked) if found]
    _require_value(every, rule)
    kinds: dict[str, list[Marked]] = defaultdict(list)
    for found in every:
        kinds[found.item.defect_type].append(found)
    doubts: dict[str, Doubt] = {}
    for kind, several in kinds.items():
        sample = [found.item for found in several[:: max(1, len(several) // MASKS_SAMPLED)][:MASKS_SAMPLED]]
        for doubt in (*_of_marks(kind, several, folder), *_of_files(sample, folder, rule)):
            doubts.setdefault(doubt.text, doubt)
    return [*doubts.values(), *_of_soft([path for found in every for path in found.soft], folder, rule)]


def _marked(item: Item, rule: MaskRule) -> Marked | None:
    """None where a mask cannot be read: the check names it."""
    try:
        marks = marks_of(item, rule)
        soft = [mask for mask in item.masks if isinstance(mask, Path) and _is_soft(mask)]
        return Marked(item, float((marks == DEFECT).mean()), soft, bool((marks == IGNORED).any()))
    except BadImage:
        return None


def _require_value(every: Sequence[Marked], rule: MaskRule) -> None:
    """Raises BadData where --ignore-value is of no mask: a typing error would count those pixels."""
    masks = [mask for found in every for mask in found.item.masks if isinstance(mask, Path)]
    if rule.ignore is not None and masks and not any(found.leave_out for found in every):
        raise BadData(
            f"--ignore-value {rule.ignore} is in none of {counted(len(masks), 'mask')}; they hold "
            f"{_listed(values_of(masks))}; give one of these, or leave the option out"
        )


def _is_soft(mask: Path) -> bool:
    """Whether a mask has more than two levels that are no label numbers."""
    image = open_image(mask)
    levels = mask_levels(image, mask)
    return levels.dtype == np.uint8 and int((np.bincount(levels.ravel()) > 0).sum()) > 2 and not labels_of(mask)


def _of_soft(soft: Sequence[Path], folder: Path, rule: MaskRule) -> Iterator[Doubt]:
    if soft and not rule.values and rule.ignore is None:
        message = f"{counted(len(soft), 'mask')} of more than two values (non_binary_mask): {some(soft, folder)}"
        yield Doubt(message, (REMEDIES["non_binary_mask"],), stops=False)


def _of_marks(kind: str, several: Sequence[Marked], folder: Path) -> Iterator[Doubt]:
    middle = float(np.median([found.share for found in several]))
    message = f"{counted(len(several), 'mask')} of {kind}"
    much = [found for found in several if found.share > MOSTLY_MARKED_FRACTION]
    if middle > MOSTLY_MARKED_FRACTION:
        options = (
            [f"--mask-values {value}" for value in _colours(several)]
            if middle >= FULLY_MARKED_FRACTION
            else [*ways_to_say(colours_of(_files(several))), "--masks-inverted", *_ignore(several, folder)]
        )
        yield Doubt(f"{message} mark {middle:.0%} of their image: {some(_files(several), folder)}", tuple(options))
    elif much:
        shares = ", ".join(f"{found.share:.0%}" for found in much[:NAMED])
        files = _files(much)
        first = quoted(files[0].relative_to(folder).as_posix() if files[0].is_relative_to(folder) else str(files[0]))
        options = ["if inverted, redraw those alone", f"--ignore {first}"]
        message = f"{len(much):,} of {message} mark more than half of their image ({shares}): {some(files, folder)}"
        yield Doubt(message, tuple(options))
    if not max(found.share for found in several):
        options = [f"--mask-values {value}" for value in _colours(several)] or ["redraw them"]
        yield Doubt(f"{message} mark nothing: {some(_files(several), folder)}", tuple(options))


def _ignore(several: Sequence[Marked], folder: Path) -> list[str]:
    """The option that leaves masks out which show the part: a region of interest."""
    masks, images = _files(several), {found.item.image.parent for found in several}
    places = {path.parent for path in masks}
    return [] if places & images or len(places) > 1 else [f"--ignore {glob_of(folder, places.pop(), images)}"]


def _files(several: Sequence[Marked]) -> list[Path]:
    """The masks, or their images where outlines are drawn."""
    masks = [mask for found in several for mask in found.item.masks if isinstance(mask, Path)]
    return masks or [found.item.image for found in several]


def _colours(several: Sequence[Marked]) -> list[str]:
    """What the masks hold beside the most frequent value: a level, or a colour in quotes for the shell."""
    for path in [mask for found in several for mask in found.item.masks if isinstance(mask, Path)][:3]:
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
        for mask in item.masks:
            file = mask if isinstance(mask, Path) else item.image  # what a person would look at
            try:
                width, height = upright_size(item.image, item.page)
                own_width, own_height = upright_size(mask) if isinstance(mask, Path) else mask.drawn_on
                labels |= labels_of(mask) if isinstance(mask, Path) else set()
            except (BadImage, OSError, EOFError):
                continue
            ratio = (own_width / own_height) / (width / height)
            if not 1 / MAX_ASPECT_FACTOR <= ratio <= MAX_ASPECT_FACTOR:
                turned.append(file)
    if turned:
        turned, drawn = sorted(set(turned)), any(item.image in turned for item in sample)
        inside = turned[0].is_relative_to(folder) and not drawn
        ways = [f"--ignore {glob_of(folder, turned[0].parent)}"] if inside else []
        yield Doubt(
            f"{counted(len(turned), 'mask')} of another shape than the image, stretched: {some(turned, folder)}",
            ("draw them on the images as they are", *ways),
        )
    numbers = sorted(labels - {0})
    if not rule.values and not numbers:
        yield from _of_colours(sample, rule)
    if not rule.values and rule.ignore is None and len(numbers) > 1:
        if 255 in numbers and numbers[0] < 100:
            message = f"masks hold the labels {_listed(numbers)}; 255 often means: not to be counted"
            yield Doubt(message, ("--ignore-value 255",))
        else:
            message = f"masks hold the labels {_listed(numbers)}, all taken as defect"
            yield Doubt(message, (f"--mask-values {numbers[0]}",), stops=False)


def _of_colours(sample: Sequence[Item], rule: MaskRule) -> Iterator[Doubt]:
    """Several colours: of kinds of defects, or of the part and its defects."""
    files = [mask for item in sample for mask in item.masks if isinstance(mask, Path)]
    colours = [colour for colour in colours_of(files) if colour.strip("'") != (rule.ignore or "").lower()]
    if ways := ways_to_say(colours):
        meant = "good, by --masks-inverted" if rule.inverted else "defect"
        named = ", ".join(way.split()[1].strip("'") for way in ways)
        yield Doubt(f"masks hold the colours {named}, all taken as {meant}", tuple(ways), stops=rule.inverted)


def _listed(numbers: Sequence[int | str]) -> str:
    return ", ".join(map(str, numbers[:5])) + ", ..." * (len(numbers) > 5)
