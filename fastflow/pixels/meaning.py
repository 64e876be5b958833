"""What the values of a decoded image mean, as 8-bit RGB: defined here alone.

1, L, P, RGB as they are; LA, PA, RGBA over black, but an alpha that is the same everywhere was never set, and counts
for nothing. Colours come to sRGB by the profile that the file carries; without one, CMYK by its definition, LAB by the
CIE's, YCbCr by JPEG's. A PNG's gAMA is not applied.

Integers of more than 8 bits and floats are scaled from `PixelRule.value_range` to black and white; what lies outside is
black or white. Without a range, white is what the file declares (65535; of 12-bit TIFF 4095; of signed integers half of
it; of 32 bits 65535; of floats 1), and values outside are refused. NaN always is.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.errors import BadImage
from fastflow.pixels.colour import to_srgb
from fastflow.pixels.samples import Samples

NUMBERS = ("I;16", "I;16B", "I;16L", "I", "F")  # modes that define no white
KEYED_MODES = ("1", "L", "P", "RGB")  # modes in which one value may stand for transparency
WHITE_OF_FLOATS = 1.0  # white of floats, by default
ROWS_PER_BLOCK = 256  # scaled per block
RANGE_REMEDY = "state what is black and white: --value-range LOW HIGH of fastflow init, or pixels in params.yaml"
ValueRange = tuple[float, float]


class PixelRule(NamedTuple):
    """How files of a category are read; stored in its model.

    `value_range`: the numbers that are black and white, of files deeper than 8 bits; None: as each file declares.
    `page`: the one that is read, from 1, of files that hold several; None: such files are refused. `version` 1 reads as
    models did before 0.2: alpha that was never set is black, profiles count for nothing, of 16-bit grey 65535 is white.
    """

    value_range: ValueRange | None = None
    page: int | None = None
    version: int = 2


PLAIN = PixelRule(version=1)  # of masks, whose colours are no colours


class Depth(NamedTuple):
    """`lowest` and `highest` number of an image, the `white` that its file declares; `known`: that is white, whatever
    other files hold; `signed` integers."""

    lowest: float
    highest: float
    white: float
    known: bool
    signed: bool


def to_rgb(image: Image.Image, name: object, rule: PixelRule = PLAIN) -> Image.Image:
    """An image of `fastflow.decode.open_image` in RGB.

    Raises:
        BadImage: a mode without meaning, or values outside their range.
    """
    numbers = numbers_of(image, rule)
    if numbers is not None:
        grey = levels(numbers, rule.value_range or (0, _white(image, rule)), name, clip=rule.value_range is not None)
        return Image.fromarray(grey).convert("RGB")
    if rule.value_range and "lower" in image.info:
        image = _scaled_colours(image, rule.value_range, name)
    flat = _without_alpha(image, rule)
    if flat.mode not in ("1", "L", "P", "RGB", "CMYK", "LAB", "YCbCr"):
        raise BadImage(f"{name}: mode {image.mode} has no stated meaning; convert it to 8-bit grey or RGB")
    return flat.convert("RGB") if rule.version == 1 and flat.mode != "LAB" else to_srgb(flat)


def numbers_of(image: Image.Image, rule: PixelRule) -> NDArray[Any] | None:
    """The values (H, W) of an image that holds integers of more than 8 bits, signed ones, or floats; else None."""
    samples: Samples = image.info.get("samples", Samples(16))
    if rule.version == 1:
        return np.asarray(image) if image.mode in NUMBERS else None
    if image.mode == "L" and samples.signed:
        return np.asarray(image).view(np.int8)
    if image.mode not in NUMBERS:
        return None
    numbers = np.asarray(image)
    if image.mode == "I" and samples.bits == 32 and not samples.signed:
        numbers = numbers.view(np.uint32)
    return (2**samples.bits - 1) - numbers if samples.inverted else numbers


def depth_of(image: Image.Image, rule: PixelRule) -> Depth | None:
    """How much of its range an image of more than 8 bits fills; None where it has 8."""
    numbers = numbers_of(image, rule)
    samples: Samples = image.info.get("samples", Samples(16))
    if numbers is not None:
        white = _white(image, rule)
        known = image.mode == "F" or white not in (65535, 32767)
        return Depth(float(numbers.min()), float(numbers.max()), white, known, samples.signed)
    if not samples.halved:
        return None
    extrema = np.array([image.getchannel(channel).getextrema() for channel in "RGB"], float)
    return Depth(256 * float(extrema.min()), 256 * float(extrema.max()) + 255, 65535, False, False)


def alpha_of(image: Image.Image) -> Image.Image | None:
    """Alpha (mode L); None where the image has none."""
    if image.mode in ("LA", "PA", "RGBA"):
        return image.getchannel("A")
    return image.convert("RGBA").getchannel("A") if "transparency" in image.info and image.mode in KEYED_MODES else None


def is_unset(alpha: Image.Image) -> bool:
    """Whether alpha is the same everywhere, and would hide what is there."""
    low, high = alpha.getextrema()
    return low == high != 255


def levels(numbers: NDArray[Any], value_range: ValueRange, name: object, *, clip: bool) -> NDArray[np.uint8]:
    """Numbers (H, W) as grey, `value_range` to 0..255.

    Raises:
        BadImage: NaN; or, but for `clip`, numbers outside.
    """
    low, high = value_range
    lowest, highest = numbers.min(), numbers.max()
    if np.isnan(lowest):
        raise BadImage(f"{name}: holds NaN; fill it with a number, or save the image as integers")
    if not clip and not (lowest >= low and highest <= high):
        kind = "floats" if numbers.dtype.kind == "f" else "integers"
        found = f"{kind} from {lowest:.12g} to {highest:.12g}, outside {low:.12g}..{high:.12g}"
        raise BadImage(f"{name}: {found}; {RANGE_REMEDY}")
    if numbers.dtype == np.uint16:
        return np.asarray(_grey(np.arange(65536), low, high)[numbers])
    grey = np.empty(numbers.shape, np.uint8)
    for start in range(
        0, len(numbers), ROWS_PER_BLOCK
    ):  # in double precision an image of many pixels would fill the memory
        grey[start : start + ROWS_PER_BLOCK] = _grey(numbers[start : start + ROWS_PER_BLOCK], low, high)
    return grey


def _grey(numbers: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    fractions = (numbers if numbers.dtype.kind == "f" else numbers.astype(np.float64)) - low
    return np.asarray(np.rint((fractions / (high - low)).clip(0, 1) * 255), np.uint8)


def _white(image: Image.Image, rule: PixelRule) -> float:
    """What a file itself declares as white."""
    samples: Samples = image.info.get("samples", Samples(16))
    if image.mode == "F":
        return WHITE_OF_FLOATS
    if rule.version == 1 or samples.bits > 16:
        return 65535
    return float(2 ** (samples.bits - samples.signed) - 1)


def _scaled_colours(image: Image.Image, value_range: ValueRange, name: object) -> Image.Image:
    """Colours of 16 bits, scaled; alpha stays."""
    upper, lower = np.asarray(image.convert("RGB")), np.asarray(image.info["lower"])
    colours = Image.fromarray(levels(upper.astype(np.uint16) * 256 + lower, value_range, name, clip=True))
    if image.mode == "RGBA":
        colours.putalpha(image.getchannel("A"))
    colours.info |= _profile(image)
    return colours


def _without_alpha(image: Image.Image, rule: PixelRule) -> Image.Image:
    alpha = alpha_of(image)
    if alpha is None:
        return image
    opaque = image.convert("RGBA")
    if rule.version == 1 or not is_unset(alpha):
        opaque = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), opaque)
    flat = opaque.convert("RGB")
    flat.info |= _profile(image)
    return flat


def _profile(image: Image.Image) -> dict[str | tuple[int, int], Any]:
    return {"icc_profile": image.info["icc_profile"]} if "icc_profile" in image.info else {}
