"""Which values masks hold: label numbers, grey levels, colours, as --mask-values takes them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from fastflow.decode import open_image
from fastflow.errors import BadImage
from fastflow.pixels.meaning import to_rgb
from pipelines.data.layouts.reading import quoted

MASKS_SAMPLED = 25
FEW_VALUES = 64
NAMED = 6  # values that a message lists


def colours_of(masks: Iterable[Path]) -> list[str]:
    """Colours that are no greys, in quotes for the shell, the rarest first; none of lossy masks, which blur them."""
    count: Counter[tuple[int, ...]] = Counter()
    for mask in list(masks)[:MASKS_SAMPLED]:
        try:
            image = open_image(mask)
            if not image.info["lossy"]:
                count.update({c: n for n, c in to_rgb(image, mask).getcolors(FEW_VALUES) or [] if isinstance(c, tuple)})
        except BadImage:
            continue
    return [quoted(_hex(colour)) for colour, _ in reversed(count.most_common()) if len(set(colour)) > 1]


def ways_to_say(colours: Sequence[str]) -> list[str]:
    """The options that take one of several colours as the defect."""
    return [f"--mask-values {colour}" for colour in colours[:NAMED]] if len(colours) > 1 else []


def labels_of(path: Path) -> set[int]:
    """Label numbers of a palette or of small greys; none where greys are edges or the file is lossy."""
    image = open_image(path)
    if image.info["lossy"] or image.mode not in ("P", "L", "I", "I;16"):
        return set()
    numbers = {int(value) for value in np.unique(np.asarray(image))}
    small = {value for value in numbers if value < 100}
    return numbers if image.mode == "P" or (numbers - {255} == small and len(numbers) < FEW_VALUES) else set()


def values_of(masks: Iterable[Path]) -> list[str]:
    """All values: numbers of greys and palettes, colours of others."""
    found: set[str] = set()
    for mask in list(masks)[:MASKS_SAMPLED]:
        try:
            image = open_image(mask)
            if image.mode in ("P", "L", "I", "I;16"):
                found.update(map(str, np.unique(np.asarray(image)).tolist()))
            else:
                pairs = to_rgb(image, mask).getcolors(FEW_VALUES) or []
                found.update(_hex(colour) for _, colour in pairs if isinstance(colour, tuple))
        except BadImage:
            continue
    return sorted(found, key=lambda value: (len(value), value))


def _hex(colour: tuple[int, ...]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)
