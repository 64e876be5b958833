"""Demo category `weave`: an indigo and ecru twill (2/1), seen from close by."""

from dataclasses import dataclass

import numpy as np

from pipelines.demo.canvas import (
    SUPERSAMPLE,
    Defect,
    Field,
    blob,
    colour,
    f32,
    grid,
    mix,
    smooth_noise,
    smooth_step,
)

DEFECTS = ("hole", "pulled_thread", "stain")
THREADS_PER_SIDE = 27.0
WARP, WEFT, GAP = colour(0.25, 0.35, 0.52), colour(0.80, 0.77, 0.69), colour(0.07, 0.08, 0.10)


@dataclass
class Cloth:
    """Thread coordinates (one unit per thread) and what is left of each system, all (S, S)."""

    u: Field
    v: Field
    warp_here: Field
    weft_here: Field
    lift_weft: Field


def _cloth(rng: np.random.Generator, side: int) -> Cloth:
    x, y = grid(side)
    pitch_x, pitch_y = THREADS_PER_SIDE * (1.0 + rng.normal(0.0, 0.012, 2))
    skew = rng.normal(0.0, 0.012)
    u = x * pitch_x + rng.uniform(0.0, 3.0) + skew * y * pitch_x
    v = y * pitch_y + rng.uniform(0.0, 3.0) - skew * x * pitch_y
    u += 0.22 * smooth_noise(rng, side, 4) + 0.06 * smooth_noise(rng, side, 27, 8)
    v += 0.22 * smooth_noise(rng, side, 4) + 0.06 * smooth_noise(rng, side, 8, 27)
    ones = np.ones_like(x)
    return Cloth(f32(u), f32(v), ones, ones, np.zeros_like(x))


def _thread(rng: np.random.Generator, across: Field, along: Field, run: Field) -> tuple[Field, Field, Field]:
    """Height, brightness and tone of one system of threads; `run` is its height along the thread."""
    whole = np.floor(across)
    number = whole.astype(np.intp) & 63
    offset = across - whole - np.float32(0.5)
    thick = f32(np.clip(rng.normal(0.47, 0.018, 64), 0.42, 0.5)).take(number)
    tone = f32(1.0 + 0.05 * rng.standard_normal(64)).take(number)
    start = f32(rng.uniform(0.0, 1.0, 64)).take(number)
    round_ = np.sqrt(np.clip(1.0 - np.square(offset / thick), 0.0, 1.0))
    twist = np.sin(np.float32(2.0 * np.pi) * (along * 2.3 + offset * 1.4 + start))
    bright = 0.50 + 0.30 * round_ + 0.14 * run - 0.16 * offset + 0.045 * twist
    height = np.where(round_ > 0.0, 0.45 * round_ + 0.55 * run, np.float32(-9.0))
    return f32(height), f32(bright), tone


def _woven(rng: np.random.Generator, cloth: Cloth, side: int) -> Field:
    """Colour of the cloth: at each point the higher thread is seen, and the gap where there is none."""
    third = np.float32(2.0 * np.pi / 3.0)
    run_warp = np.cos(third * (np.floor(cloth.u) + cloth.v - 1.0))
    run_weft = np.cos(third * (np.floor(cloth.v) + cloth.u - 2.5))
    run_weft += (1.0 - run_weft) * cloth.lift_weft
    warp, warp_bright, warp_tone = _thread(rng, cloth.u, cloth.v, run_warp)
    weft, weft_bright, weft_tone = _thread(rng, cloth.v, cloth.u, run_weft)
    weft = weft + 2.0 * cloth.lift_weft
    warp = np.where(cloth.warp_here > 0.5, warp, np.float32(-9.0))
    weft = np.where(cloth.weft_here > 0.5, weft, np.float32(-9.0))
    fibre = 0.05 * smooth_noise(rng, side, 128, 60) + 0.04 * smooth_noise(rng, side, 60, 128)
    wash = 1.0 + 0.035 * smooth_noise(rng, side, 5)
    warp_rgb = WARP * (warp_bright * warp_tone * (wash + fibre))[..., None]
    weft_rgb = WEFT * (weft_bright * weft_tone * (wash + 0.6 * fibre))[..., None]
    scene = np.where((warp >= weft)[..., None], warp_rgb, weft_rgb)
    bare = np.maximum(warp, weft) < -5.0
    return f32(np.where(bare[..., None], GAP, scene)) * np.float32(1.25)


def _hole(cloth: Cloth, rng: np.random.Generator, side: int) -> None:
    centre = (rng.uniform(0.15, 0.85), rng.uniform(0.15, 0.85))
    radius = rng.uniform(0.035, 0.085)
    shape = blob(rng, side, centre=centre, radius=radius, rough=0.35)
    # Every thread is torn at a length of its own, so that ends stick out into the hole.
    torn_u, torn_v = f32(rng.normal(0.1, 0.28, (2, 64)))
    cloth.warp_here = f32(shape < torn_u[np.floor(cloth.u).astype(np.intp) & 63])
    cloth.weft_here = f32(shape < torn_v[np.floor(cloth.v).astype(np.intp) & 63])
    # The torn ends spring back and crowd around the hole.
    x, y = grid(side)
    push = np.exp(-np.square(np.minimum(shape, 0.0) / 0.5)) * smooth_step(shape, -1.2, -0.6)
    cloth.u = cloth.u - f32(0.5 * push * (x - centre[0]) / radius)
    cloth.v = cloth.v - f32(0.5 * push * (y - centre[1]) / radius)


def _pulled_thread(cloth: Cloth, rng: np.random.Generator, side: int) -> None:
    x, _ = grid(side)
    centre_x, centre_y = rng.uniform(0.25, 0.75), rng.uniform(0.12, 0.88)
    half, rows = rng.uniform(0.07, 0.22), rng.uniform(1.2, 2.2)
    row = np.floor(cloth.v[int(centre_y * side), int(centre_x * side)]) + np.float32(0.5)
    inside = smooth_step(1.0 - np.abs(x - centre_x) / half, 0.0, 0.45)
    # The pulled thread lies on top in an arc, its neighbours close up, and it leaves a gap behind.
    off_row = np.abs(cloth.v - row)
    near = np.exp(-np.square(off_row / rows)) * smooth_step(2.5 * rows - off_row, 0.0, 1.0)
    arc = rng.choice([-1.0, 1.0]) * rng.uniform(0.45, 0.9)
    cloth.v = f32(cloth.v + arc * inside * near)
    cloth.lift_weft = f32((np.abs(cloth.v - row) < 0.5) & (inside > 0.15))
    gap = (np.abs(cloth.v - row - np.sign(arc)) < 0.5) & (inside > rng.uniform(0.3, 0.6))
    cloth.weft_here = 1.0 - f32(gap)


def _stain(scene: Field, rng: np.random.Generator, side: int) -> Field:
    centre = (rng.uniform(0.12, 0.88), rng.uniform(0.12, 0.88))
    shape = blob(rng, side, centre=centre, radius=rng.uniform(0.06, 0.13), rough=0.4)
    shape = shape + 0.05 * smooth_noise(rng, side, 40)
    soaked = smooth_step(shape, -0.06, 0.10)
    rim = soaked * (1.0 - smooth_step(shape, 0.08, 0.40))
    strength = rng.uniform(0.6, 0.95)
    oil = colour(0.62, 0.50, 0.34) if rng.uniform() < 0.6 else colour(0.42, 0.42, 0.44)
    return mix(scene, scene * oil, f32(strength * soaked * (0.7 + 0.3 * rim)))


def draw_weave(size: int, rng: np.random.Generator, defect: Defect | None) -> Field:
    """Scene (2*size, 2*size, 3), with the defect if one is given; the rest of it does not change."""
    side = SUPERSAMPLE * size
    cloth = _cloth(rng, side)
    if defect is not None and defect.name == "hole":
        _hole(cloth, defect.rng, side)
    if defect is not None and defect.name == "pulled_thread":
        _pulled_thread(cloth, defect.rng, side)
    scene = _woven(rng, cloth, side)
    return _stain(scene, defect.rng, side) if defect is not None and defect.name == "stain" else scene
