"""Demo category `label`: the printed label of an oil can, always in about the same place."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

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

DEFECTS = ("misprint", "scratch", "smudge")
PAPER = colour(0.93, 0.91, 0.86)
TRAY, CAN = colour(0.36, 0.38, 0.40), colour(0.10, 0.09, 0.09)
NAVY, ORANGE, INK, WHITE = (24, 46, 92), (222, 106, 34), (38, 38, 44), (240, 236, 226)
BAR_WIDTHS = (2, 1, 1, 3, 1, 2, 2, 1, 3, 1, 1, 2, 1, 3, 2, 1, 1, 1, 3, 2, 1, 2, 3, 1, 1, 2, 2, 1)


@lru_cache(maxsize=2)
def _artwork(side: int) -> tuple[Image.Image, Image.Image]:
    """The print (RGB) and the outline of the label (L), drawn at twice the canvas and reduced."""
    fine = 2 * side
    art = Image.new("RGB", (fine, fine), tuple(int(255 * c) for c in PAPER))
    pen = ImageDraw.Draw(art)

    def box(left: float, top: float, right: float, bottom: float) -> list[float]:
        return [left * fine, top * fine, right * fine, bottom * fine]

    def write(x: float, y: float, words: str, height: float, ink: tuple[int, int, int]) -> None:
        font = ImageFont.load_default(height * fine)
        bold = 0.02 * height * fine
        pen.text((x * fine, y * fine), words, fill=ink, font=font, anchor="lm", stroke_width=bold)

    pen.rectangle(box(0.0, 0.0, 1.0, 0.27), fill=NAVY)
    pen.rectangle(box(0.0, 0.285, 1.0, 0.30), fill=ORANGE)
    pen.rectangle(box(0.0, 0.84, 1.0, 1.0), fill=ORANGE)
    write(0.12, 0.175, "MERIDIAN", 0.145, WHITE)
    pen.ellipse(box(0.11, 0.35, 0.37, 0.61), fill=NAVY)
    pen.ellipse(box(0.13, 0.37, 0.35, 0.59), outline=ORANGE, width=max(1, fine // 100))
    pen.polygon([fine * at for at in (0.24, 0.395, 0.187, 0.495, 0.293, 0.495)], fill=WHITE)
    pen.ellipse(box(0.180, 0.446, 0.300, 0.566), fill=WHITE)
    write(0.42, 0.42, "5W-30", 0.155, NAVY)
    write(0.42, 0.525, "MOTOR OIL", 0.066, ORANGE)
    write(0.42, 0.588, "fully synthetic", 0.052, INK)
    for row, words in enumerate(("ACEA C3  API SN", "Batch 0417  Line 2", "Keep from children")):
        write(0.53, 0.68 + 0.048 * row, words, 0.038, INK)
    left, unit = 0.12, 0.36 / sum(BAR_WIDTHS)
    for bar, width in enumerate(BAR_WIDTHS):
        if bar % 2 == 0:
            pen.rectangle(box(left, 0.655, left + 0.9 * unit * width, 0.80), fill=INK)
        left += unit * width
    write(0.12, 0.893, "1 LITRE", 0.075, WHITE)
    write(0.62, 0.893, "No. 71-2204", 0.042, WHITE)
    outline = Image.new("L", (fine, fine))
    ImageDraw.Draw(outline).rounded_rectangle(box(0.06, 0.06, 0.94, 0.94), radius=0.035 * fine, fill=255)
    return art.reduce(2), outline.reduce(2)


def _placed(picture: Image.Image, *, shift: tuple[float, float], angle: float) -> Field:
    """The picture turned about its centre by `angle` (radians) and moved by `shift`, 0..1."""
    side, (c, s) = picture.width, (np.cos(angle), np.sin(angle))
    middle = side / 2
    dx, dy = middle + shift[0] * side, middle + shift[1] * side
    matrix = (c, s, middle - c * dx - s * dy, -s, c, middle + s * dx - c * dy)
    moved = picture.transform(picture.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    return f32(moved) / np.float32(255.0)


def _on_print(printed: Field, rng: np.random.Generator) -> tuple[float, float]:
    """A random place on inked paper, so that damage to the print can be seen."""
    inked = np.abs(printed - PAPER).max(axis=2)[::8, ::8] > 0.25
    inked[: inked.shape[0] // 9] = inked[-inked.shape[0] // 9 :] = False
    inked[:, : inked.shape[1] // 9] = inked[:, -inked.shape[1] // 9 :] = False
    rows, columns = np.nonzero(inked)
    pick = rng.integers(len(rows))
    return (columns[pick] + 0.5) / inked.shape[1], (rows[pick] + 0.5) / inked.shape[0]


def _misprint(printed: Field, rng: np.random.Generator) -> Field:
    """Ink that did not transfer: a patch with ragged edges, or a streak along the feed direction."""
    side, centre = printed.shape[0], _on_print(printed, rng)
    if rng.uniform() < 0.6:
        shape = blob(rng, side, centre=centre, radius=rng.uniform(0.045, 0.11), rough=0.5)
        missing = smooth_step(shape + 0.12 * smooth_noise(rng, side, 50), -0.05, 0.12)
    else:
        x, y = grid(side)
        half, length = rng.uniform(0.012, 0.026), rng.uniform(0.12, 0.32)
        shape = np.minimum(1.0 - np.abs(y - centre[1]) / half, (1.0 - np.abs(x - centre[0]) / length) * 4.0)
        missing = smooth_step(shape + 0.25 * smooth_noise(rng, side, 20, 90), -0.1, 0.35)
    return mix(printed, PAPER, missing * rng.uniform(0.75, 0.97))


def _scratch(printed: Field, rng: np.random.Generator) -> Field:
    """A sharp edge has cut through print and paper: the dark can shows between torn white edges."""
    side = printed.shape[0]
    start = _on_print(printed, rng)
    heading = np.arctan2(0.5 - start[1], 0.5 - start[0]) + rng.normal(0.0, 0.7)
    for _ in range(int(rng.integers(1, 3))):
        line = curve(rng, start=start, angle=heading, length=rng.uniform(0.2, 0.5), bend=0.5)
        line += rng.normal(0.0, 0.012, 2)
        width = rng.uniform(0.010, 0.020)
        uneven = np.clip(0.9 + 0.3 * smooth_noise(rng, side, 48), 0.2, 1.0)
        printed = mix(printed, PAPER, f32(stroke(side, line, width=width) * uneven))
        groove = stroke(side, line + 0.15 * width, width=0.55 * width)
        printed = mix(printed, CAN, f32(groove * uneven))
    return printed


def _smudge(printed: Field, rng: np.random.Generator) -> Field:
    """Wet ink dragged by something soft: the print smears in one direction and leaves a grey film."""
    side, centre = printed.shape[0], _on_print(printed, rng)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    reach = rng.uniform(0.05, 0.10)
    dragged, weight = np.zeros_like(printed), 0.0
    for step in range(9):
        by = reach * side * step / 8
        move = (round(np.sin(angle) * by), round(np.cos(angle) * by))
        share = 1.0 - 0.07 * step
        dragged += np.roll(printed, move, axis=(0, 1)) * np.float32(share)
        weight += share
    dragged = dragged / np.float32(weight) * np.float32(rng.uniform(0.60, 0.85))
    shape = blob(rng, side, centre=centre, radius=rng.uniform(0.07, 0.13), rough=0.35)
    cover = smooth_step(shape + 0.06 * smooth_noise(rng, side, 30), -0.05, 0.3) * rng.uniform(0.7, 0.9)
    return mix(printed, dragged, cover)


PAINTERS = {"misprint": _misprint, "scratch": _scratch, "smudge": _smudge}


def draw_label(size: int, rng: np.random.Generator, defect: Defect | None) -> Field:
    """Scene (2*size, 2*size, 3), with the defect if one is given; the rest of it does not change."""
    side = SUPERSAMPLE * size
    art, outline = _artwork(side)
    shift, angle = (rng.normal(0.0, 0.0015), rng.normal(0.0, 0.0015)), rng.normal(0.0, 0.0025)
    printed = _placed(art, shift=shift, angle=angle)
    shape = _placed(outline, shift=shift, angle=angle)
    density = np.float32(1.0 + rng.normal(0.0, 0.015))
    mottle = 1.0 + 0.01 * smooth_noise(rng, side, 24) + 0.008 * smooth_noise(rng, side, 160)
    printed = PAPER + (printed - PAPER) * density * mottle[..., None]
    gloss = rng.normal(0.35, 0.02)
    tray = TRAY * (1.0 + 0.03 * smooth_noise(rng, side, 128) + 0.01 * smooth_noise(rng, side, 6))[..., None]
    shadow = np.roll(shape, (side // 64, side // 96), axis=(0, 1))
    if defect is not None:
        printed = PAINTERS[defect.name](f32(printed), defect.rng)
    x, y = grid(side)
    shine = 0.07 * np.exp(-np.square((0.8 * x + 0.6 * y - gloss - 0.35) / 0.22))
    paper = f32(printed) * np.float32(0.93) + f32(shine)[..., None]
    return mix(f32(tray) * f32(1.0 - 0.45 * shadow)[..., None], paper, shape)
