"""One pass over an image and its mask: read once, hashed, decoded by the library's own decoder, made a thumbnail."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import AS_MEANT, is_defect, is_ignored, mask_levels, open_image
from fastflow.errors import BadImage
from fastflow.frame import alike, other_shape
from fastflow.pixels.luminance import REDUCED_FROM, in_file
from fastflow.pixels.meaning import PLAIN, Depth, PixelRule, alpha_of, depth_of, is_unset, numbers_of, to_rgb
from fastflow.roi import Roi, roi_mask
from pipelines.data.checks.finding import Finding, finding

THUMBNAIL_PIXELS = 32
REDUCED_FIRST = 4.0  # a large image is first averaged, fast, to at least this many times the thumbnail's size
Thumbnail = NDArray[np.uint8] | NDArray[np.float32]  # bytes where they do: a category's are in memory together
# Pillow takes a PNG whose last bytes are missing if all its pixels are there; a file that is not whole is no such file.
PNG_START, PNG_END, PNG_TAIL_BYTES = b"\x89PNG", b"IEND", 4096


class ImageFacts(NamedTuple):
    """One image; size is (H, W), thumbnail (1024,) grey; both None where it cannot be read. Where `raw`, the thumbnail
    has values whose white depends on the other images; `depth` of images of more than 8 bits."""

    sha256: str
    mode: str
    size: tuple[int, int] | None
    thumbnail: Thumbnail | None
    findings: list[Finding]
    depth: Depth | None = None
    raw: bool = False


def inspect_image(
    folder: Path, image_path: str, mask_path: str, rule: PixelRule = AS_MEANT, roi: Roi | None = None
) -> ImageFacts:
    """Reads an image of a category folder, and its mask if there is one."""
    digest, mode, size, thumbnail, depth, findings = "", "", None, None, None, []
    raw = False
    try:
        content = read_file(folder, image_path)
        digest = hashlib.sha256(content).hexdigest()
        image = open_whole(content, image_path, rule, luminance=int(REDUCED_FIRST * THUMBNAIL_PIXELS))
        depth = depth_of(image, rule)
        raw = depth is not None and not (depth.known or depth.lowest < 0 or rule.value_range)
        if raw:
            thumbnail = _raw_thumbnail(image, rule)
        else:
            thumbnail = small_grey(image if REDUCED_FROM in image.info else to_rgb(image, image_path, rule))
        mode, size = in_file(image)
        mode = "I;16" if mode.startswith("I;16") else mode
        findings += _of_alpha(image, image_path)
        if roi and not alike(size, roi.shape):
            findings.append(finding("roi_shape", image_path, other_shape(size, roi), image=image_path))
    except BadImage as error:
        findings.append(unreadable(image_path, error, image_path))
    if mask_path:
        findings += inspect_mask(folder, mask_path, image_path, size, roi)
    return ImageFacts(digest, mode, size, thumbnail, findings, depth, raw)


def small_grey(image: Image.Image) -> Thumbnail:
    """A thumbnail (1024,) of an image of mode RGB, L or F. Pillow's box filter would differ by two grey levels between
    a file and its reduction, as it does not share a pixel between two others."""
    grey = image if image.mode in ("L", "F") else image.convert("L")  # first: one channel is reduced faster than three
    height, width = in_file(image)[1]
    step = -(-height // grey.height)  # a reduced JPEG's last pixel may stand for fewer
    size, box = (THUMBNAIL_PIXELS, THUMBNAIL_PIXELS), (0, 0, width / step, height / step)
    small = grey.resize(size, Image.Resampling.HAMMING, box=box, reducing_gap=REDUCED_FIRST)
    return np.array(small).ravel()  # a copy: the bytes that Pillow gives were cut from 64 KiB, which stay


def _raw_thumbnail(image: Image.Image, rule: PixelRule) -> Thumbnail:
    numbers = numbers_of(image, rule)
    if numbers is None:  # colours of 16 bits, of which the upper 8 are there
        return small_grey(image.convert("RGB")).astype(np.float32) * 256
    return small_grey(Image.fromarray(numbers.astype(np.float32)))


def _of_alpha(image: Image.Image, name: str) -> list[Finding]:
    alpha = alpha_of(image)
    if alpha is None or not is_unset(alpha):
        return []
    value = alpha.getextrema()[0]
    return [finding("unset_alpha", name, f"its alpha is {value} of 255 everywhere: never set", image=name)]


def inspect_mask(
    folder: Path, mask_path: str, image_path: str, size: tuple[int, int] | None, roi: Roi | None = None
) -> list[Finding]:
    """A mask's faults, all of them; `size` is its image's, or None where that cannot be read."""
    try:
        mask = open_whole(read_file(folder, mask_path), mask_path)
        levels = mask_levels(mask, mask_path)
    except BadImage as error:
        return [unreadable(mask_path, error, image_path)]
    marked, ignored = is_defect(mask, levels), is_ignored(mask, levels).any()
    values = len(np.unique(levels)) if levels.dtype != np.uint8 else int((np.bincount(levels.ravel()) > 0).sum())
    faults = {
        "mask_size": (size not in (None, levels.shape), f"{levels.shape} pixels, its image has {size}"),
        "empty_mask": (not marked.any() and not ignored, "the mask marks no pixel"),
        "full_mask": (bool(marked.all()), "the mask marks every pixel"),
        "outside_roi": (
            bool(roi and marked.any() and not (marked & roi_mask(roi, marked.shape)).any()),
            "no pixel of the defect lies in the region of interest",
        ),
        "non_binary_mask": (values > 2 + ignored, f"the mask has {values} values"),
    }
    return [finding(kind, mask_path, text, image=image_path) for kind, (found, text) in faults.items() if found]


def read_file(folder: Path, path: str) -> bytes:
    """Raises BadImage where a file cannot be read, for one a link that leads nowhere."""
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        raise BadImage(f"{path}: cannot be read ({error.strerror})") from error


def open_whole(content: bytes, name: str, rule: PixelRule = PLAIN, *, luminance: int | None = None) -> Image.Image:
    """A decoded image, by `open_image`. Raises BadImage also where a PNG's pixels are there, but not its end."""
    image = open_image(io.BytesIO(content), name=name, rule=rule, luminance=luminance)
    if content.startswith(PNG_START) and PNG_END not in content[-PNG_TAIL_BYTES:]:
        raise BadImage(f"{name}: is cut off, its end is missing")
    return image


def unreadable(path: str, error: BadImage, image_path: str) -> Finding:
    why, _, remedy = str(error).removeprefix(f"{path}: ").partition("; ")
    return finding("unreadable", path, why, image=image_path, remedy=remedy)
