"""Pictures of scored images: the image, the heat of its anomaly map, the contours of truth and prediction.

One colour scale for all pictures of a category: the same score has the same colour everywhere. A scale per
picture would paint the noise of a good part as red as a defect.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

COLOUR_MAP = "inferno"  # lightness rises evenly: readable with any colour vision, and in grey on paper
MAX_OPACITY = 0.9  # of the highest scores: the part still shows through
TRUTH_COLOUR = (64, 208, 255)  # blue and amber differ with any colour vision; both have a dark edge
PREDICTED_COLOUR = (255, 176, 0)
EDGE_COLOUR = (10, 10, 14)
WIDEST_LINE = 4  # times the width in a 256-pixel image: a defect of a large picture is not covered by its outline
CONTOUR_GRID_PIXELS = 1024  # grid that contours are drawn on, then averaged: antialiased
MAX_SIDE_PIXELS = 320  # longest side of a stored picture
WEBP_QUALITY = 82

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Why(NamedTuple):
    """`said`: sentences without their full stops. `place`: what decided, and what surrounds it, RGB (H, W, 3);
    `similar`: the same of the good picture `nearest`."""

    said: list[str]
    place: Pixels
    similar: Pixels
    nearest: str


@dataclass(frozen=True)
class Case:
    """One scored image. image (H, W, 3) uint8; anomaly_map (H, W); gt_mask (H, W), empty where good; predicted (H, W),
    where its regions are: None for all that lies above the threshold; why: where it is explained."""

    image_path: str
    defect_type: str
    gt_label: int
    pred_score: float
    image: Pixels
    anomaly_map: Map
    gt_mask: Mask
    predicted: Mask | None = None
    why: Why | None = None


class Triplet(NamedTuple):
    """The three pictures of a case, RGB, (W, H) of the image."""

    image: Image.Image
    heat: Image.Image
    contours: Image.Image


def heat_position(anomaly_map: Map, *, low: float, threshold: float) -> NDArray[np.float64]:
    """Where scores lie on the colour scale: 0 up to `low`, 0.5 at `threshold`, 1 from as far above it on.

    Raises:
        ValueError: `low` or `threshold` not finite, or `low` above `threshold`.
    """
    if not (np.isfinite(low) and np.isfinite(threshold) and low <= threshold):
        raise ValueError(f"heat scale: low {low}, threshold {threshold}; must be finite, low <= threshold")
    assert not np.isnan(anomaly_map).any(), "anomaly_map holds NaN"
    span = max(threshold - low, 1e-30)  # low == threshold: all above it is hottest
    position = 0.5 * np.clip((anomaly_map.astype(np.float64) - low) / span, 0, 2)
    return np.asarray(position)


def heat_colours(anomaly_map: Map, *, low: float, threshold: float) -> Pixels:
    """RGBA (H, W, 4) of an anomaly map (H, W) on the fixed scale of `heat_position`.

    Opacity rises from 0 at `low`, so that normal regions stay visible, to its most at three quarters.
    """
    position = heat_position(anomaly_map, low=low, threshold=threshold)
    colours = np.asarray(colormaps[COLOUR_MAP](position, bytes=True))
    opacity = MAX_OPACITY * np.minimum(position / 0.75, 1) ** 1.5
    colours[..., 3] = np.rint(255 * opacity)
    return colours


def blend(image: Pixels, colours: Pixels) -> Pixels:
    """RGBA colours (H, W, 4) laid over an image (H, W, 3)."""
    opacity = colours[..., 3:] / 255
    return np.rint(image * (1 - opacity) + colours[..., :3] * opacity).astype(np.uint8)


def triplet(
    image: Pixels, anomaly_map: Map, gt_mask: Mask, *, low: float, threshold: float, predicted: Mask | None = None
) -> Triplet:
    """The image (H, W, 3), its heat, and it with the outlines of truth and of what is `predicted`: where that is not
    given, of what exceeds the threshold."""
    shapes = image.shape[:2], anomaly_map.shape, gt_mask.shape
    assert len(set(shapes)) == 1, shapes
    heat = blend(image, heat_colours(anomaly_map, low=low, threshold=threshold))
    marked = anomaly_map > threshold if predicted is None else predicted
    outlined = draw_contour(image, marked, colour=PREDICTED_COLOUR)
    outlined = draw_contour(outlined, gt_mask, colour=TRUTH_COLOUR)
    return Triplet(*(Image.fromarray(picture) for picture in (image, heat, outlined)))


def draw_contour(image: Pixels, mask: Mask, *, colour: tuple[int, int, int]) -> Pixels:
    """The image (H, W, 3) with a line along the edge of mask (H, W), dark on both sides to show on any part.

    It is about 1.5 pixels wide in a 256-pixel image, in proportion in others up to `WIDEST_LINE` times as wide, and
    thinner in a slim one. The image's border is no edge. Each region is drawn by itself: those of a large picture are
    small.
    """
    scale = max(1, round(CONTOUR_GRID_PIXELS / max(mask.shape)))
    unit = min(max(mask.shape) / 256, min(mask.shape) / 128, WIDEST_LINE) * scale
    margin = round(1.5 * unit / scale) + 2
    picture = image.astype(np.float64) if mask.any() else image
    labels, _ = ndimage.label(mask, np.ones((3, 3)))
    lines = []
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        part = tuple(slice(max(0, one.start - margin), one.stop + margin) for one in box)
        distance = _distance(labels[part] == number, scale)
        dark = _coverage(distance <= round(1.5 * unit), scale)
        picture[part] = picture[part] * (1 - 0.75 * dark) + np.array(EDGE_COLOUR) * 0.75 * dark
        lines.append((part, _coverage(distance <= round(0.75 * unit), scale)))
    for part, line in lines:  # after all that is dark
        picture[part] = picture[part] * (1 - line) + np.array(colour) * line
    return np.rint(picture).astype(np.uint8)


def _distance(mask: Mask, scale: int) -> NDArray[np.float64]:
    """Of each pixel of a grid `scale` times finer, to the nearest pixel at the mask's edge."""
    height, width = mask.shape
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    fine = grey.resize((width * scale, height * scale), Image.Resampling.BILINEAR)
    edge = _edge(np.asarray(fine) > 127)
    if not edge.any():
        return np.full(edge.shape, np.inf)
    return np.asarray(ndimage.distance_transform_edt(~edge))


def _edge(mask: Mask) -> Mask:
    """Pixels with a right or lower neighbour on the other side, and those neighbours."""
    right, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edge = np.zeros_like(mask)
    edge[:, :-1] |= right
    edge[:, 1:] |= right
    edge[:-1] |= below
    edge[1:] |= below
    return edge


def _coverage(fine: Mask, scale: int) -> NDArray[np.float64]:
    """Share of each image pixel that a mask on a grid `scale` times finer covers, (H, W, 1)."""
    height, width = fine.shape[0] // scale, fine.shape[1] // scale
    blocks = fine.reshape(height, scale, width, scale).astype(np.float64)
    return np.asarray(blocks.mean(axis=(1, 3)))[..., None]


def write_pictures(
    folder: Path, *, cases: Sequence[Case], groups: Mapping[str, Sequence[int]], low: float, threshold: float
) -> None:
    """Writes all cases' triplets and index.json, which names them in order, into `folder` (made if absent).

    index.json: {"low", "threshold", "groups": {name: numbers of cases}, "cases": [{"image", "heat", "contours" (file
    names), "image_path", "defect_type", "gt_label", "pred_score", "why": null or {"said", "place", "similar" (file
    names), "nearest"}}]}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scale = {"low": low, "threshold": threshold}
    listed = [_write_case(folder, i, case, **scale) for i, case in enumerate(cases)]
    index = scale | {"groups": {name: list(numbers) for name, numbers in groups.items()}, "cases": listed}
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


def _write_case(folder: Path, number: int, case: Case, *, low: float, threshold: float) -> dict[str, Any]:
    shown = case.image, case.anomaly_map, case.gt_mask
    pictures = triplet(*shown, low=low, threshold=threshold, predicted=case.predicted)
    names = {}
    for kind, picture in pictures._asdict().items():
        names[kind] = f"{number:03d}_{kind}.webp"
        (folder / names[kind]).write_bytes(small_webp(picture))
    about = {name: getattr(case, name) for name in ("image_path", "defect_type", "gt_label", "pred_score")}
    return names | about | {"why": _write_why(folder, number, case.why) if case.why else None}


def _write_why(folder: Path, number: int, why: Why) -> dict[str, Any]:
    names = {}
    for kind, pixels in (("place", why.place), ("similar", why.similar)):
        names[kind] = f"{number:03d}_{kind}.webp"
        (folder / names[kind]).write_bytes(webp_of(pixels))
    return names | {"said": why.said, "nearest": Path(why.nearest).as_posix()}


def webp_of(pixels: Pixels) -> bytes:
    """A cutting (H, W, 3) for a page."""
    return small_webp(_enlarged(Image.fromarray(pixels)))


def _enlarged(picture: Image.Image) -> Image.Image:
    """A picture of few pixels, which the browser would blur."""
    if (longer := max(picture.size)) >= MAX_SIDE_PIXELS:
        return picture
    width, height = (max(1, round(side * MAX_SIDE_PIXELS / longer)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.NEAREST)


def small_webp(picture: Image.Image) -> bytes:
    """The picture as it is stored, its longest side `MAX_SIDE_PIXELS` pixels at most."""
    picture.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return file.getvalue()
