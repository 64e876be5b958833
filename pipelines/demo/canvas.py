"""What the three demo parts share: random streams, smooth fields, shapes and the camera.

Positions and lengths are fractions of the image side, so one drawing works at every size. Parts are
drawn on a canvas of twice the image size (anti-aliasing), as float32 RGB (S, S, 3) in 0..1.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

Field = NDArray[np.float32]
Points = NDArray[np.float64]
SUPERSAMPLE = 2


@dataclass(frozen=True)
class Defect:
    """One defect to draw: its kind, and its own random stream (the part's stream stays untouched)."""

    name: str
    rng: np.random.Generator


def f32(value: Any) -> Field:
    """The array as float32: half the memory traffic, and a type that mypy knows."""
    return np.asarray(value, dtype=np.float32)


def stream(seed: int, *path: str | int) -> np.random.Generator:
    """A random generator that depends on the seed and the path alone, e.g. ("gear", "train/good", 3)."""
    words = [part if isinstance(part, int) else zlib.crc32(part.encode()) for part in path]
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))


def grid(side: int) -> tuple[Field, Field]:
    """Pixel centres (x, y) of a square canvas, each (side, side), in 0..1."""
    centres = (np.arange(side, dtype=np.float32) + np.float32(0.5)) / np.float32(side)
    x, y = np.meshgrid(centres, centres)
    return x, y


def smooth_noise(rng: np.random.Generator, side: int, cells: int, cells_y: int | None = None) -> Field:
    """Smooth random field (side, side) with `cells` independent values across; about unit variance."""
    coarse = Image.fromarray(f32(1.4 * rng.standard_normal((cells_y or cells, cells))))
    return f32(coarse.resize((side, side), Image.Resampling.BICUBIC))


def smooth_step(value: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, a smooth cubic between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0.0, 1.0)
    return f32(t * t * (3.0 - 2.0 * t))


def mix(under: Field, over: Field, cover: Field) -> Field:
    """Blend `over` onto `under` where `cover` (S, S), in 0..1, says so; colours may be (3,)."""
    return f32(under + (over - under) * f32(cover)[..., None])


def colour(red: float, green: float, blue: float) -> Field:
    """An RGB colour (3,), each in 0..1."""
    return np.array([red, green, blue], dtype=np.float32)


def blob(rng: np.random.Generator, side: int, *, centre: tuple[float, float], radius: float, rough: float) -> Field:
    """Irregular round shape: 1 at its centre, 0 on its outline, negative outside, (side, side)."""
    x, y = grid(side)
    stretch, tilt = rng.uniform(0.7, 1.3), rng.uniform(0.0, np.pi)
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    along = (dx * np.cos(tilt) + dy * np.sin(tilt)) * stretch
    across = (dy * np.cos(tilt) - dx * np.sin(tilt)) / stretch
    angle = np.arctan2(across, along)
    outline = np.ones_like(x)
    for wave in range(2, 8):
        outline += rough / wave * rng.standard_normal() * np.cos(wave * angle + rng.uniform(0.0, 2.0 * np.pi))
    return f32(1.0 - np.hypot(along, across) / (radius * np.maximum(outline, 0.3)))


def curve(rng: np.random.Generator, *, start: tuple[float, float], angle: float, length: float, bend: float) -> Points:
    """Points (33, 2) of a gently bent line, in fractions of the image side."""
    turn = angle + bend * rng.uniform(-1.0, 1.0) * np.linspace(0.0, 1.0, 33) ** 2
    turn += 0.25 * bend * ndimage.gaussian_filter1d(rng.standard_normal(33), 4.0)
    steps = np.stack([np.cos(turn), np.sin(turn)], axis=1) * (length / 32)
    line: Points = np.array(start) + np.cumsum(steps, axis=0) - steps[0]
    return line


def stroke(side: int, points: Points, *, width: float, taper: bool = True) -> Field:
    """How much of each pixel a line covers, 0..1, (side, side); it narrows to both ends if `taper`."""
    fine = 2 * side
    sheet = Image.new("L", (fine, fine))
    pen = ImageDraw.Draw(sheet)
    shape = np.sin(np.linspace(0.12, 0.88, len(points) - 1) * np.pi) if taper else np.ones(len(points) - 1)
    for a, b, local in zip(points[:-1], points[1:], shape, strict=True):
        pen.line([*(a * fine), *(b * fine)], fill=255, width=max(1, round(width * local * fine)))
    return f32(sheet.reduce(2)) / np.float32(255.0)


def expose(scene: Field, rng: np.random.Generator) -> tuple[Field, Field]:
    """Photograph a scene (S, S, 3): uneven light, lens blur, sensor noise.

    Returns the image without noise and the noise, each (S/2, S/2, 3); their sum is the photograph.
    """
    assert SUPERSAMPLE == 2
    side = scene.shape[0] // SUPERSAMPLE
    rows = scene[::2] + scene[1::2]
    small = (rows[:, ::2] + rows[:, 1::2]) * np.float32(0.25)
    x, y = grid(side)
    gain, tilt_x, tilt_y = 1.0 + rng.normal(0.0, 0.01), rng.normal(0.03, 0.012), rng.normal(0.05, 0.012)
    vignette = 0.10 * ((x - 0.5) ** 2 + (y - 0.5) ** 2)
    light = gain * (1.0 - tilt_x * (x - 0.5) - tilt_y * (y - 0.5) - vignette)
    balance = 1.0 + f32(rng.normal(0.0, 0.003, 3))
    sigma = rng.uniform(0.45, 0.6) * side / 256 + 0.1
    sharp = small * f32(light)[..., None] * balance
    image = f32(ndimage.gaussian_filter(sharp, (sigma, sigma, 0.0), truncate=3.0))
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    # Shot noise grows with the light; the constant part is the sensor's own.
    noise *= np.sqrt(0.004**2 + 0.00005 * np.clip(image, 0.0, 1.0))
    return image, noise
