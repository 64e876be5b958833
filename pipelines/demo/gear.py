"""Demo categories `gear` and `pinion`: a turned steel gear, large or small in the image, at any angle, on a plate."""

from dataclasses import dataclass

import numpy as np
from PIL import Image
from scipy import ndimage

from pipelines.demo.canvas import (
    SUPERSAMPLE,
    Defect,
    Field,
    blob,
    colour,
    curve,
    f32,
    grid,
    mix,
    smooth_noise,
    smooth_step,
    stroke,
)

DEFECTS = ("broken_tooth", "dent", "scratch")
TEETH, SPOKES = 18, 5
GEAR_RADIUS, PINION_RADIUS = 0.34, 0.16  # of the image's side; the pinion is the harder one
PLATE, STEEL = colour(0.40, 0.43, 0.46), colour(0.54, 0.55, 0.57)


@dataclass
class Part:
    """Where the gear lies: polar coordinates about its axis (radius in units of the gear's) and its turn."""

    x: float
    y: float
    turn: float
    radius: float
    r: Field
    theta: Field

    def at(self, r: float, theta: float) -> tuple[float, float]:
        """Image position of a point given in the part's own polar coordinates."""
        angle = theta + self.turn
        return float(self.x + self.radius * r * np.cos(angle)), float(self.y + self.radius * r * np.sin(angle))


def _placed(rng: np.random.Generator, side: int, radius: float) -> Part:
    x, y = grid(side)
    cx, cy = 0.5 + rng.uniform(-0.05, 0.05), 0.5 + rng.uniform(-0.05, 0.05)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    theta = np.arctan2(dy, dx) - np.float32(turn)
    return Part(cx, cy, turn, radius, f32(np.hypot(dx, dy) / np.float32(radius)), f32(theta))


def _rim(part: Part) -> Field:
    """Radius of the outline at each angle: flat tips, flat roots, slanted flanks."""
    phase = part.theta * np.float32(TEETH / (2.0 * np.pi))
    wave = np.abs(phase - np.floor(phase) - 0.5) * 2.0
    return f32(0.84 + 0.16 * (1.0 - smooth_step(wave, 0.34, 0.66)))


def _inside(part: Part, rim: Field) -> Field:
    """Distance to the nearest edge, in gear radii: positive on metal, negative off it."""
    r, theta = part.r, part.theta
    # The keyway: a slot out of the bore, along theta = 0.
    along, across = r * np.cos(theta), r * np.sin(theta)
    slot = np.maximum(np.abs(across) - 0.055, np.maximum(along - 0.235, -along))
    sector = np.float32(2.0 * np.pi / SPOKES)
    local = theta - np.floor(theta / sector + 0.5) * sector
    hole = np.hypot(r * np.cos(local) - 0.55, r * np.sin(local)) - np.float32(0.105)
    return f32(np.minimum(np.minimum((rim - r) * 0.8, r - 0.17), np.minimum(slot, hole)))


def _relief(part: Part, inside: Field) -> Field:
    """Height of the surface in gear radii: chamfered edges, a recessed web between hub and rim."""
    web = smooth_step(part.r, 0.325, 0.375) * (1.0 - smooth_step(part.r, 0.715, 0.765))
    return f32(0.016 * smooth_step(inside, 0.0, 0.045) - 0.018 * web)


def _break_teeth(part: Part, rim: Field, rng: np.random.Generator, side: int) -> tuple[Field, Field]:
    """Outline with one to three teeth broken off along a rough line, and the bright fracture face (0..1)."""
    count = int(rng.integers(1, 3))
    middle = (int(rng.integers(TEETH)) + 0.5 * count) * 2.0 * np.pi / TEETH
    away = np.angle(np.exp(1j * (part.theta - middle)))
    near = np.abs(away) < count * np.pi / TEETH
    ragged = 0.014 * smooth_noise(rng, side, 70) + rng.normal(0.0, 0.08) * away
    cut = np.maximum(rng.uniform(0.80, 0.87) + ragged, 0.77)
    face = smooth_step(f32(part.r - cut + rng.uniform(0.05, 0.10) + 0.5 * ragged), 0.0, 0.015) * near
    return f32(np.where(near, np.minimum(rim, cut), rim)), f32(face)


def _dent(part: Part, rng: np.random.Generator, side: int) -> Field:
    """Height change of a blow: a bowl with a raised lip, on the web or next to the teeth."""
    r = rng.uniform(0.38, 0.68) if rng.uniform() < 0.5 else rng.uniform(0.74, 0.82)
    # Between two lightening holes, where there is metal to hit.
    theta = (int(rng.integers(SPOKES)) + 0.5 + rng.uniform(-0.15, 0.15)) * 2.0 * np.pi / SPOKES
    shape = 1.0 - blob(rng, side, centre=part.at(r, theta), radius=rng.uniform(0.026, 0.048), rough=0.2)
    bowl = -np.exp(-np.square(shape / 0.62)) + 0.35 * np.exp(-np.square((shape - 1.0) / 0.25))
    return f32(bowl * rng.uniform(0.045, 0.08) * (shape < 2.0))


def _scratch(part: Part, rng: np.random.Generator, side: int) -> Field:
    """Cover of one to three parallel scratches across the face."""
    theta, r = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.4, 0.9)
    heading = theta + part.turn + np.pi + rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 1.2)
    line = curve(rng, start=part.at(r, theta), angle=heading, length=rng.uniform(0.14, 0.34), bend=0.4)
    cover = np.zeros((side, side), dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        width = rng.uniform(0.007, 0.013)
        cover = np.maximum(cover, stroke(side, line + rng.normal(0.0, 0.010, 2), width=width))
    return f32(cover * np.clip(0.9 + 0.25 * smooth_noise(rng, side, 40), 0.3, 1.0))


def _lit(part: Part, relief: Field, marks: Field) -> Field:
    """Brightness of turned steel: slopes towards the lamp, and the bow-tie gleam of its fine grooves."""
    step_y, step_x = np.gradient(relief, float(1.0 / (part.radius * relief.shape[0])))
    slope = np.clip(0.55 * step_x + 0.70 * step_y, -1.0, 1.0)
    gleam = np.cos(2.0 * (part.theta + np.float32(part.turn - 0.9)))
    return f32(1.0 + 0.62 * slope + (0.10 + 0.5 * marks) * gleam + marks)


def _steel(part: Part, relief: Field, rng: np.random.Generator) -> Field:
    side = relief.shape[0]
    grooves = f32(0.045 * ndimage.gaussian_filter1d(rng.standard_normal(400), 1.2))
    turned = grooves.take(np.minimum(part.r * 300.0, 399.0).astype(np.intp))
    marks = turned + 0.008 * smooth_noise(rng, side, 200)
    tone = 1.0 + rng.normal(0.0, 0.012)
    return STEEL * f32(_lit(part, relief, f32(marks)) * tone)[..., None]


def _plate(metal: Field, rng: np.random.Generator) -> Field:
    """The plate under the gear, with the gear's soft shadow."""
    side = metal.shape[0]
    grain = 1.0 + 0.012 * smooth_noise(rng, side, 100) + 0.006 * smooth_noise(rng, side, 4)
    quarter = f32(Image.fromarray(metal).reduce(4))
    blurred = ndimage.gaussian_filter(quarter, 0.9 * side / 512)
    shadow = f32(Image.fromarray(f32(blurred)).resize((side, side), Image.Resampling.BILINEAR))
    shadow = np.roll(shadow, (side // 80, side // 100), axis=(0, 1))
    return PLATE * f32(grain * (1.0 - 0.30 * shadow))[..., None]


def _worn(steel: Field, cut: Field) -> Field:
    """Steel with scratches: bright bare metal, and the dark side of the groove."""
    step = steel.shape[0] // 200
    steel = mix(steel, steel * np.float32(0.4), np.roll(cut, (step, step), axis=(0, 1)) * np.float32(0.9))
    return mix(steel, steel * np.float32(0.2) + np.float32(0.80), cut)


def draw_gear(size: int, rng: np.random.Generator, defect: Defect | None, *, radius: float = GEAR_RADIUS) -> Field:
    """Scene (2*size, 2*size, 3), with the defect if one is given; the rest of it does not change."""
    side = SUPERSAMPLE * size
    part = _placed(rng, side, radius)
    rim, broken = _rim(part), None
    kind = defect.name if defect is not None else ""
    if defect is not None and kind == "broken_tooth":
        rim, broken = _break_teeth(part, rim, defect.rng, side)
    inside = _inside(part, rim)
    relief = _relief(part, inside)
    if defect is not None and kind == "dent":
        relief = relief + _dent(part, defect.rng, side)
    steel = _steel(part, relief, rng)
    if defect is not None and broken is not None:
        grain = 0.74 + 0.13 * smooth_noise(defect.rng, side, 110)
        steel = mix(steel, f32(colour(1.0, 0.99, 0.97) * grain[..., None]), broken)
    if defect is not None and kind == "scratch":
        steel = _worn(steel, _scratch(part, defect.rng, side))
    edge = 0.5 / (radius * side)
    metal = smooth_step(inside, -edge, edge)
    return mix(_plate(metal, rng), steel, metal)
