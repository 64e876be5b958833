"""Demo category `gear`: a small turned steel gear, at any angle, on a plain bright plate."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from pipelines.demo.canvas import (
    SUPERSAMPLE,
    Defect,
    Field,
    blob,
    colour,
    curve,
    grid,
    mix,
    smooth_noise,
    smooth_step,
    stroke,
)

DEFECTS = ("broken_tooth", "dent", "scratch")
TEETH, SPOKES, RADIUS = 18, 5, 0.33
PLATE, STEEL = colour(0.76, 0.77, 0.76), colour(0.52, 0.53, 0.55)


@dataclass
class Part:
    """Where the gear lies: polar coordinates about its axis (radius in units of the gear's) and its turn."""

    x: float
    y: float
    turn: float
    r: Field
    theta: Field

    def at(self, r: float, theta: float) -> tuple[float, float]:
        """Image position of a point given in the part's own polar coordinates."""
        angle = theta + self.turn
        return self.x + RADIUS * r * np.cos(angle), self.y + RADIUS * r * np.sin(angle)


def _placed(rng: np.random.Generator, side: int) -> Part:
    x, y = grid(side)
    cx, cy = 0.5 + rng.uniform(-0.06, 0.06, 2)
    turn = rng.uniform(0.0, 2.0 * np.pi)
    dx, dy = x - np.float32(cx), y - np.float32(cy)
    theta = np.arctan2(dy, dx) - np.float32(turn)
    return Part(float(cx), float(cy), float(turn), (np.hypot(dx, dy) / RADIUS).astype(np.float32), theta)


def _rim(part: Part) -> Field:
    """Radius of the outline at each angle: flat tips, flat roots, slanted flanks."""
    phase = part.theta * np.float32(TEETH / (2.0 * np.pi))
    wave = np.abs(phase - np.floor(phase) - 0.5) * 2.0
    return (0.82 + 0.18 * (1.0 - smooth_step(wave, 0.34, 0.66))).astype(np.float32)


def _inside(part: Part, rim: Field) -> Field:
    """Distance to the nearest edge, in gear radii: positive on metal, negative off it."""
    r, theta = part.r, part.theta
    bore = r - np.float32(0.17)
    # The keyway: a slot out of the bore, along theta = 0.
    along, across = r * np.cos(theta), r * np.sin(theta)
    slot = np.maximum(np.abs(across) - 0.055, np.maximum(along - 0.235, -along))
    sector = np.float32(2.0 * np.pi / SPOKES)
    local = theta - np.floor(theta / sector + 0.5) * sector
    hole = np.hypot(r * np.cos(local) - 0.55, r * np.sin(local)) - np.float32(0.105)
    return np.minimum.reduce([(rim - r) * 0.8, bore, slot, hole]).astype(np.float32)


def _relief(part: Part, inside: Field) -> Field:
    """Height of the surface in gear radii: chamfered edges, a recessed web between hub and rim."""
    web = smooth_step(part.r, 0.335, 0.365) * (1.0 - smooth_step(part.r, 0.725, 0.755))
    chamfer = 0.030 * smooth_step(inside, 0.0, 0.045)
    return (chamfer - 0.035 * web).astype(np.float32)


def _break_tooth(part: Part, rim: Field, rng: np.random.Generator, side: int) -> Field:
    """Cut one tooth off along a rough line; now and then only its corner."""
    tooth = (int(rng.integers(TEETH)) + 0.5) * 2.0 * np.pi / TEETH
    away = np.angle(np.exp(1j * (part.theta - tooth)))
    near = np.abs(away) < np.pi / TEETH * 1.05
    slope = rng.uniform(1.0, 2.2) * rng.choice([-1.0, 1.0])
    cut = rng.uniform(0.83, 0.90) + slope * 0.35 * away + 0.012 * smooth_noise(rng, side, 60)
    cut = cut + (rng.uniform(0.0, 0.04) if rng.uniform() < 0.4 else 0.0)
    return np.where(near, np.minimum(rim, np.maximum(cut, 0.80)), rim).astype(np.float32)


def _dent(part: Part, rng: np.random.Generator, side: int) -> Field:
    """Height change of a blow: a bowl with a raised lip, on the rim, the web or the hub."""
    r = float(rng.choice([rng.uniform(0.28, 0.30), rng.uniform(0.42, 0.68), rng.uniform(0.76, 0.84)]))
    centre = part.at(r, rng.uniform(0.0, 2.0 * np.pi))
    size = rng.uniform(0.022, 0.042)
    shape = 1.0 - blob(rng, side, centre=centre, radius=size, rough=0.25)
    bowl = -np.exp(-np.square(shape / 0.62)) + 0.35 * np.exp(-np.square((shape - 1.0) / 0.25))
    return (bowl * rng.uniform(0.035, 0.055) * (shape < 2.0)).astype(np.float32)


def _scratch(part: Part, rng: np.random.Generator, side: int) -> Field:
    """Cover of one to three parallel scratches across the face."""
    theta, r = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.3, 0.9)
    heading = theta + part.turn + np.pi + rng.normal(0.0, 0.9)
    line = curve(rng, start=part.at(r, theta), angle=heading, length=rng.uniform(0.10, 0.30), bend=0.4)
    cover = np.zeros((side, side), dtype=np.float32)
    for _ in range(int(rng.integers(1, 4))):
        width = rng.uniform(0.0045, 0.008)
        cover = np.maximum(cover, stroke(side, line + rng.normal(0.0, 0.008, 2), width=width))
    return cover * np.clip(0.9 + 0.25 * smooth_noise(rng, side, 40), 0.3, 1.0)


def _lit(part: Part, relief: Field, marks: Field) -> Field:
    """Brightness of turned steel: slopes towards the lamp, and the bow-tie gleam of its fine grooves."""
    step_y, step_x = np.gradient(relief, np.float32(1.0 / (RADIUS * relief.shape[0])))
    slope = np.clip(-0.55 * step_x - 0.70 * step_y, -1.2, 1.2) * -1.0
    gleam = np.cos(2.0 * (part.theta + np.float32(part.turn) - np.float32(0.9)))
    return (1.0 + 0.62 * slope + (0.17 + 0.5 * marks) * gleam + marks).astype(np.float32)


def draw_gear(size: int, rng: np.random.Generator, defect: Defect | None) -> Field:
    """Scene (2*size, 2*size, 3), with the defect if one is given; the rest of it does not change."""
    side = SUPERSAMPLE * size
    part = _placed(rng, side)
    grooves = ndimage.gaussian_filter1d(rng.standard_normal(400), 1.2).astype(np.float32) * np.float32(0.07)
    marks = grooves[np.minimum(part.r * 300.0, 399.0).astype(np.int64)] + 0.012 * smooth_noise(rng, side, 200)
    plate = PLATE * (1.0 + 0.012 * smooth_noise(rng, side, 100) + 0.015 * smooth_noise(rng, side, 4))[..., None]
    tone = np.float32(1.0 + rng.normal(0.0, 0.025))
    rim = _rim(part)
    if defect is not None and defect.name == "broken_tooth":
        rim = _break_tooth(part, rim, defect.rng, side)
    inside = _inside(part, rim)
    relief = _relief(part, inside)
    if defect is not None and defect.name == "dent":
        relief = relief + _dent(part, defect.rng, side)
    steel = STEEL * (_lit(part, relief, marks.astype(np.float32)) * tone)[..., None]
    if defect is not None and defect.name == "scratch":
        cut = _scratch(part, defect.rng, side)
        steel = mix(steel, steel * np.float32(0.55), np.roll(cut, (2, 2), axis=(0, 1)) * np.float32(0.8))
        steel = mix(steel, steel * np.float32(0.4) + np.float32(0.55), cut)
    edge = 0.5 / (RADIUS * side)
    metal = smooth_step(inside, -edge, edge)
    reach = side / 256
    shadow = ndimage.gaussian_filter(np.roll(metal, (round(5 * reach), round(4 * reach)), axis=(0, 1)), 3.5 * reach)
    return mix((plate * (1.0 - 0.5 * shadow)[..., None]).astype(np.float32), steel.astype(np.float32), metal)
