"""What a camera, a lamp or a fixture may do to a photograph, in steps: by torchvision, in the photograph's own pixels.

Light keeps its colour steps by the daylight locus of the CIE (Publication 15:2004, section 3.1): a lamp of another
temperature scales red, green and blue, in linear light, while green stays.
"""

import io
from collections.abc import Callable
from functools import partial
from math import ceil, cos, radians, sin
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as v2

DAYLIGHT_K = 6500.0
XYZ_TO_RGB = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
"""To linear light of sRGB (IEC 61966-2-1)."""
GAMMA = 2.2  # of sRGB, nearly: a gain in linear light is its 1/2.2th power on stored values
LEAST_SIGMA = 0.05  # pixels: less changes no 8-bit value

Generator = np.random.Generator
Pixels = NDArray[np.uint8]


class Change(NamedTuple):
    """`kind`: what changes; `name`: which way, for a person. `unit`: % is of the light, px of the photograph, where
    `steps` are in % of its shorter side. They grow in effect."""

    kind: str
    name: str
    unit: str
    steps: tuple[float, ...]
    apply: Callable[[Tensor, float, Generator], Tensor]


def changed(pixels: Pixels, change: Change, amount: float, rng: Generator) -> Pixels:
    """A picture (H, W, 3) after the change by `amount` in its unit, px where that is its unit."""
    after = change.apply(torch.from_numpy(pixels.transpose(2, 0, 1).copy()), amount, rng)
    return np.ascontiguousarray(after.numpy().transpose(1, 2, 0))


def is_grey(pixels: Pixels) -> bool:
    return bool((pixels[..., :1] == pixels).all())


def in_units(change: Change, step: float, shorter: int) -> float:
    """A step in the change's unit, of photographs whose shorter side has so many pixels; three digits."""
    return float(f"{step * shorter / 100:.3g}") if change.unit == "px" else step


def brightness(image: Tensor, percent: float, rng: Generator, *, sign: int) -> Tensor:
    done: Tensor = v2.adjust_brightness(image, 1 + sign * percent / 100)
    return done


def contrast(image: Tensor, percent: float, rng: Generator, *, sign: int) -> Tensor:
    done: Tensor = v2.adjust_contrast(image, 1 + sign * percent / 100)
    return done


def temperature(image: Tensor, kelvin: float, rng: Generator, *, sign: int) -> Tensor:
    gains = torch.tensor(gains_of(DAYLIGHT_K + sign * kelvin) ** (1 / GAMMA), dtype=torch.float32)[:, None, None]
    return (image * gains).round().clamp(0, 255).to(torch.uint8)


def gains_of(kelvin: float) -> NDArray[np.float64]:
    """Linear gains (3,) of red, green and blue under daylight of a temperature from 4000 to 25000 K; at 6500 K 1."""
    found = daylight(kelvin) / daylight(DAYLIGHT_K)
    return np.asarray(found / found[1])


def daylight(kelvin: float) -> NDArray[np.float64]:
    """Linear red, green and blue (3,) of the CIE's daylight."""
    if not 4000 <= kelvin <= 25000:
        raise ValueError(f"daylight of {kelvin:g} K; allowed: 4000 to 25000 K")
    low, t = kelvin <= 7000, 1000 / kelvin
    x = (
        0.244063 + 0.09911 * t + 2.9678 * t**2 - 4.6070 * t**3
        if low
        else 0.237040 + 0.24748 * t + 1.9018 * t**2 - 2.0064 * t**3
    )
    y = -3 * x**2 + 2.87 * x - 0.275
    return np.asarray(XYZ_TO_RGB @ np.array([x / y, 1, (1 - x - y) / y]))


def blur(image: Tensor, sigma: float, rng: Generator) -> Tensor:
    if sigma < LEAST_SIGMA:
        return image
    size = min(2 * ceil(3 * sigma) + 1, 2 * min(image.shape[1:]) - 1)  # it reflects the borders
    done: Tensor = v2.gaussian_blur(image, [size, size], [sigma, sigma])
    return done


def noise(image: Tensor, levels: float, rng: Generator) -> Tensor:
    """Of the same draw at each step, a multiple: torchvision's own takes no generator."""
    added = torch.from_numpy(rng.standard_normal(tuple(image.shape), np.float32)) * levels
    return (image + added).round().clamp(0, 255).to(torch.uint8)


def jpeg(image: Tensor, quality: float, rng: Generator) -> Tensor:
    """By Pillow: torchvision is about to give up its own."""
    file = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=int(quality))
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)


def shift(image: Tensor, pixels: float, rng: Generator) -> Tensor:
    """In a direction by chance; what comes into view is mirrored from beside it."""
    angle = rng.uniform(0, 2 * np.pi)
    return moved(image, 0.0, [pixels * cos(angle), pixels * sin(angle)], margin=ceil(pixels) + 1)


def turn(image: Tensor, degrees: float, rng: Generator) -> Tensor:
    """About its middle, either way by chance; what comes into view is mirrored from beside it."""
    margin = ceil(max(image.shape[1:]) / 2 * sin(radians(degrees))) + 1
    return moved(image, degrees * float(rng.choice([-1, 1])), [0.0, 0.0], margin=margin)


def moved(image: Tensor, angle: float, translate: list[float], *, margin: int) -> Tensor:
    height, width = image.shape[1:]
    margin = min(margin, height - 1, width - 1)
    wide = v2.pad(image, [margin], padding_mode="reflect")
    bilinear = InterpolationMode.BILINEAR
    wide = v2.affine(wide, angle, translate, 1.0, [0.0, 0.0], interpolation=bilinear)
    done: Tensor = v2.center_crop(wide, [height, width])
    return done


PERCENT = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0)
SIDE = (0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 8.0, 12.0)  # % of the shorter side
KINDS = {
    "brightness": "light or exposure",
    "contrast": "difference of light and dark",
    "colour": f"colour of the light, from daylight of {DAYLIGHT_K:.0f} K",
    "focus": "focus: a Gaussian blur of this standard deviation",
    "noise": "noise of the sensor: standard deviation in grey levels of 255",
    "jpeg": "JPEG quality, where pictures are stored with loss",
    "position": "the part lies elsewhere in the picture",
    "rotation": "the part is turned in the picture",
}
CHANGES = (
    Change("brightness", "darker", "%", PERCENT, partial(brightness, sign=-1)),
    Change("brightness", "brighter", "%", PERCENT, partial(brightness, sign=1)),
    Change("contrast", "less contrast", "%", PERCENT, partial(contrast, sign=-1)),
    Change("contrast", "more contrast", "%", PERCENT, partial(contrast, sign=1)),
    Change("colour", "warmer", "K", (250, 500, 750, 1000, 1500, 2000, 2500), partial(temperature, sign=-1)),
    Change("colour", "cooler", "K", (250, 500, 1000, 1500, 2500, 3500, 5000), partial(temperature, sign=1)),
    Change("focus", "blurred", "px", (0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5), blur),
    Change("noise", "noisier", "grey levels", (1, 2, 4, 6, 8, 12, 16, 24), noise),
    Change("jpeg", "JPEG quality", "", (95, 90, 80, 70, 60, 50, 40, 30, 20, 10), jpeg),
    Change("position", "shifted", "px", SIDE, shift),
    Change("rotation", "turned", "°", (0.5, 1, 2, 3, 5, 8, 12, 20), turn),
)
