"""A region of interest over some good pictures, side by side: a wrong one is seen at a glance."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from fastflow.decode import read_rgb
from fastflow.files import write_bytes
from fastflow.frame import range_of_files
from fastflow.pixels.meaning import PixelRule
from fastflow.roi import Roi, roi_mask

PICTURES = 5
SIDE_PIXELS, GAP_PIXELS = 320, 8  # longer side of a picture, and between two
DIMMED = 0.3  # the share of the light that is left outside
STRIPES_PIXELS = 14
EDGE, GREY = (0, 200, 255), (120, 120, 120)


def write_preview(paths: Sequence[Path], roi: Roi, rule: PixelRule, path: Path) -> None:
    """A PNG of up to PICTURES of the files, from the first to the last, what lies outside dimmed and hatched.

    Raises:
        BadImage: a file cannot be read.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, PICTURES).round().astype(int))]
    if rule.value_range is None:
        rule = rule._replace(value_range=range_of_files(chosen, rule))
    pictures = [_drawn(read_rgb(one, rule), roi) for one in chosen]
    width = sum(one.width for one in pictures) + GAP_PIXELS * (len(pictures) - 1)
    sheet, left = Image.new("RGB", (width, max(one.height for one in pictures)), "white"), 0
    for one in pictures:
        sheet.paste(one, (left, 0))
        left += one.width + GAP_PIXELS
    file = io.BytesIO()
    sheet.save(file, "PNG")
    write_bytes(path, file.getvalue())


def _drawn(image: Image.Image, roi: Roi) -> Image.Image:
    scale = SIDE_PIXELS / max(image.size)
    image = image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)
    inside = roi_mask(roi, (image.height, image.width))
    pixels = np.where(inside[..., None], np.asarray(image), np.asarray(image) * DIMMED)
    rows, columns = np.indices(inside.shape)
    pixels[~inside & ((rows + columns) % STRIPES_PIXELS < 2)] = GREY  # also where the picture itself is dark
    pixels[inside & ~ndimage.binary_erosion(inside, iterations=2, border_value=1)] = EDGE
    return Image.fromarray(pixels.astype(np.uint8))
