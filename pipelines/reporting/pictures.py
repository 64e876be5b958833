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

COLOUR_MAP = "inferno"  # lightness rises evenly: readable with any colour vision, and in grey on paper
MAX_OPACITY = 0.9  # of the highest scores: the part still shows through
TRUTH_COLOUR = (64, 208, 255)  # blue and amber differ with any colour vision; both have a dark edge
PREDICTED_COLOUR = (255, 176, 0)
EDGE_COLOUR = (10, 10, 14)
CONTOUR_GRID_PIXELS = 1024  # grid that contours are drawn on, then averaged: antialiased
MAX_SIDE_PIXELS = 320  # longest side of a stored picture
WEBP_QUALITY = 82

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Case:
    """One scored image. image (H, W, 3) uint8; anomaly_map (H, W); gt_mask (H, W), empty where good."""

    image_path: str
    defect_type: str
    gt_label: int
    pred_score: float
    image: Pixels
    anomaly_map: Map
    gt_mask: Mask


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


def triplet(image: Pixels, anomaly_map: Map, gt_mask: Mask, *, low: float, threshold: float) -> Triplet:
    """The image (H, W, 3), its heat, and it with the outlines of truth and of what exceeds the threshold."""
    shapes = image.shape[:2], anomaly_map.shape, gt_mask.shape
    assert len(set(shapes)) == 1, shapes
    heat = blend(image, heat_colours(anomaly_map, low=low, threshold=threshold))
    outlined = draw_contour(image, anomaly_map > threshold, colour=PREDICTED_COLOUR)
    outlined = draw_contour(outlined, gt_mask, colour=TRUTH_COLOUR)
    return Triplet(*(Image.fromarray(picture) for picture in (image, heat, outlined)))


def draw_contour(image: Pixels, mask: Mask, *, colour: tuple[int, int, int]) -> Pixels:
    """The image (H, W, 3) with a line along the edge of mask (H, W), dark on both sides to show on any part.

    It is about 1.5 pixels wide in a 256-pixel image, in proportion in others. The image's border is no edge.
    """
    if not mask.any():
        return image
    height, width = mask.shape
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    scale = max(1, round(CONTOUR_GRID_PIXELS / max(mask.shape)))
    fine = grey.resize((width * scale, height * scale), Image.Resampling.BILINEAR)
    edge = _edge(np.asarray(fine) > 127)
    unit = max(mask.shape) * scale / 256
    dark = _coverage(_thicken(edge, round(1.5 * unit)), scale)
    line = _coverage(_thicken(edge, round(0.75 * unit)), scale)
    picture = image * (1 - 0.75 * dark) + np.array(EDGE_COLOUR) * 0.75 * dark
    return np.rint(picture * (1 - line) + np.array(colour) * line).astype(np.uint8)


def _edge(mask: Mask) -> Mask:
    """Pixels with a right or lower neighbour on the other side, and those neighbours."""
    right, below = mask[:, 1:] != mask[:, :-1], mask[1:] != mask[:-1]
    edge = np.zeros_like(mask)
    edge[:, :-1] |= right
    edge[:, 1:] |= right
    edge[:-1] |= below
    edge[1:] |= below
    return edge


def _thicken(line: Mask, radius: int) -> Mask:
    """Every pixel within `radius` pixels of the line."""
    height, width = line.shape
    padded = np.pad(line, radius)
    thick = np.zeros_like(line)
    for dy in range(-radius, radius + 1):
        reach = int((radius**2 - dy**2) ** 0.5)
        for dx in range(-reach, reach + 1):
            thick |= padded[radius + dy : radius + dy + height, radius + dx : radius + dx + width]
    return thick


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
    names), "image_path", "defect_type", "gt_label", "pred_score"}]}.
    """
    folder.mkdir(parents=True, exist_ok=True)
    scale = {"low": low, "threshold": threshold}
    listed = [_write_case(folder, i, case, **scale) for i, case in enumerate(cases)]
    index = scale | {"groups": {name: list(numbers) for name, numbers in groups.items()}, "cases": listed}
    (folder / "index.json").write_text(json.dumps(index, indent=2) + "\n")


def _write_case(folder: Path, number: int, case: Case, *, low: float, threshold: float) -> dict[str, Any]:
    pictures = triplet(case.image, case.anomaly_map, case.gt_mask, low=low, threshold=threshold)
    names = {}
    for kind, picture in pictures._asdict().items():
        names[kind] = f"{number:03d}_{kind}.webp"
        (folder / names[kind]).write_bytes(small_webp(picture))
    about = {name: getattr(case, name) for name in ("image_path", "defect_type", "gt_label", "pred_score")}
    return names | about


def small_webp(picture: Image.Image) -> bytes:
    """The picture as it is stored, its longest side `MAX_SIDE_PIXELS` pixels at most."""
    picture.thumbnail((MAX_SIDE_PIXELS, MAX_SIDE_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "WEBP", quality=WEBP_QUALITY, method=4)
    return file.getvalue()
