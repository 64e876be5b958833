"""Defects to draw: their shapes, by kind, size and chance.

Size is the largest extent in pixels of the photograph: from one end of the changed area to the other. Shapes are drawn
with soft edges, on a grid as much finer as small ones need. Legend: h, w of the shape's box.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FINEST = 8  # subpixels of a pixel, along each axis
LEAST_SUBPIXELS = 64  # along the largest extent
SLIMMEST = 16  # a scratch is as wide as its length over this, and one pixel at least


class Shape(NamedTuple):
    """`change` (h, w), -1..1: how much lighter or darker, of the contrast; `cover` (h, w), 0..1: how much of the
    surface is replaced by its mean colour; `tint` (3,): the share of the change in red, green, blue, the largest 1."""

    change: Floats
    cover: Floats
    tint: Floats


class Grid(NamedTuple):
    """Subpixel centres of a box around a shape: `down` and `right` of its middle, pixels; `fine` in each, an axis."""

    down: Floats
    right: Floats
    fine: int

    def pixels(self, values: Floats) -> Floats:
        """The mean of each pixel's subpixels."""
        side = len(values) // self.fine
        return np.asarray(values.reshape(side, self.fine, side, self.fine).mean(axis=(1, 3)))

    def inside(self, distance: Floats) -> Floats:
        """0..1, 0.5 at the edge: `distance` (pixels) into the shape, negative outside."""
        return np.clip(distance * self.fine + 0.5, 0, 1)


def grid_for(size: float) -> Grid:
    side, fine = int(np.ceil(size)) + 2, int(np.clip(np.ceil(LEAST_SUBPIXELS / size), 1, FINEST))
    places = (np.arange(side * fine) + 0.5) / fine - side / 2
    return Grid(*np.meshgrid(places, places, indexing="ij"), fine)


def scratch(size: float, rng: np.random.Generator) -> Shape:
    """A thin line, a little bent."""
    grid, width = grid_for(size), max(1.0, size / SLIMMEST)
    along, across = turned(grid, rng.uniform(0, np.pi))
    half, bend = max(size - width, 0.0) / 2, rng.uniform(-0.1, 0.1) * size
    nearest = np.clip(along, -half, half)
    middle = bend * (0.5 - (nearest / max(half, 1e-9)) ** 2)
    return plain(grid.pixels(grid.inside(width / 2 - np.hypot(along - nearest, across - middle))))


def spot(size: float, rng: np.random.Generator) -> Shape:
    """A round or oval spot with a sharp edge."""
    grid = grid_for(size)
    along, across = turned(grid, rng.uniform(0, np.pi))
    radii = size / 2, size / 2 * rng.uniform(0.7, 1.0)
    reach = np.hypot(along / radii[0], across / radii[1])
    return plain(grid.pixels(grid.inside((1 - reach) * radii[1])))


def stain(size: float, rng: np.random.Generator) -> Shape:
    """An irregular, tinted area that fades out."""
    grid = grid_for(size)
    angles = np.linspace(0, 2 * np.pi, 181)
    waves = [rng.uniform(0, 0.5 / n) * np.cos(n * angles + rng.uniform(0, 2 * np.pi)) for n in range(2, 7)]
    outline = 1 + np.sum(waves, axis=0)
    edge = np.stack([np.sin(angles), np.cos(angles)], axis=1) * outline[:, None]
    extent = np.linalg.norm(edge[:, None] - edge[None], axis=2).max()
    middle = (edge.max(axis=0) + edge.min(axis=0)) / 2 * size / extent  # its box is centred, not its origin
    down, right = grid.down + middle[0], grid.right + middle[1]
    radius = np.interp(np.arctan2(down, right) % (2 * np.pi), angles, outline) * size / extent
    depth = np.clip(2 * (1 - np.hypot(down, right) / radius), 0, 1)
    tint = rng.uniform(0.5, 1, 3)
    return Shape(grid.pixels(depth**2 * (3 - 2 * depth)), np.zeros((1, 1)), tint / tint.max())


def dent(size: float, rng: np.random.Generator) -> Shape:
    """Shading of a round hollow, lit from one side: lighter there, darker on the other, unchanged on the whole."""
    grid = grid_for(size)
    along, across = turned(grid, rng.uniform(0, 2 * np.pi))
    reach = np.hypot(along, across) / (size / 2)
    slope = along / (size / 2) * np.clip(1 - reach**2, 0, None)  # of the surface (1 - reach ** 2) ** 2
    return plain(grid.pixels(slope / (2 / 27**0.5)))  # whose steepest place is at reach 1 / sqrt(3)


def patch(size: float, rng: np.random.Generator) -> Shape:
    """A rectangle without the surface's own texture: a part of it is missing, or something foreign lies on it."""
    grid, corner = grid_for(size), rng.uniform(0.4, np.pi / 4)
    along, across = turned(grid, rng.uniform(0, np.pi))
    half = size / 2 * np.cos(corner), size / 2 * np.sin(corner)  # so that the diagonal is `size`
    cover = grid.pixels(grid.inside(np.minimum(half[0] - np.abs(along), half[1] - np.abs(across))))
    return Shape(cover, cover, np.ones(3))


KINDS: dict[str, Callable[[float, np.random.Generator], Shape]] = {
    "scratch": scratch,
    "spot": spot,
    "stain": stain,
    "dent": dent,
    "patch": patch,
}


def turned(grid: Grid, angle: float) -> tuple[Floats, Floats]:
    """Coordinates along and across a direction."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return grid.right * cosine + grid.down * sine, grid.down * cosine - grid.right * sine


def plain(change: Floats) -> Shape:
    """All colours alike, and the surface's own texture shows through."""
    return Shape(change, np.zeros((1, 1)), np.ones(3))
