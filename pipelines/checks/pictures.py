"""One pass over an image and its mask: read once, hashed, decoded by the library's own decoder, made a thumbnail."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import BadImage, open_image, to_rgb
from pipelines.checks.finding import Finding, finding

THUMBNAIL = 32
# Pillow takes a PNG whose last bytes are missing if all its pixels are there; a file that is not whole is no such file.
PNG_START, PNG_END, TAIL = b"\x89PNG", b"IEND", 4096


class Seen(NamedTuple):
    """What one look at an image told; size is (H, W), thumbnail (1024,) grey; both None where it cannot be read."""

    sha256: str
    mode: str
    size: tuple[int, int] | None
    thumbnail: NDArray[np.float32] | None
    findings: list[Finding]


def look(folder: Path, image_path: str, mask_path: str) -> Seen:
    """Reads an image of a category folder, and its mask if there is one."""
    try:
        content = (folder / image_path).read_bytes()
    except OSError as error:
        why = f"cannot be read ({error.strerror})"
        return Seen("", "", None, None, [finding("unreadable", image_path, why, image=image_path)])
    digest = hashlib.sha256(content).hexdigest()
    try:
        image = open_image(io.BytesIO(content), name=image_path)
        rgb = to_rgb(image, image_path)
        if content.startswith(PNG_START) and PNG_END not in content[-TAIL:]:
            raise BadImage(f"{image_path}: is cut off, its end is missing")
    except BadImage as error:
        why = str(error).removeprefix(f"{image_path}: ").split("; ")[0]
        return Seen(digest, "", None, None, [finding("unreadable", image_path, why, image=image_path)])
    small = rgb.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX).convert("L")
    size = (rgb.height, rgb.width)
    thumbnail = np.asarray(small, np.float32).ravel()
    mask_findings = look_at_mask(folder, mask_path, image_path, size) if mask_path else []
    return Seen(digest, image.mode, size, thumbnail, mask_findings)


def look_at_mask(folder: Path, mask_path: str, image_path: str, size: tuple[int, int]) -> list[Finding]:
    """A mask's faults: unreadable, of another size than its image, empty, or of more than two values."""
    try:
        mask = np.asarray(open_image(folder / mask_path, name=mask_path).convert("L"))
    except BadImage as error:
        why = str(error).removeprefix(f"{mask_path}: ").split("; ")[0]
        return [finding("unreadable", mask_path, why, image=image_path)]
    if mask.shape != size:
        message = f"{mask.shape} pixels, its image has {size}"
        return [finding("mask_size", mask_path, message, image=image_path)]
    if not mask.any():
        return [finding("empty_mask", mask_path, "the mask marks no pixel", image=image_path)]
    values = int((np.bincount(mask.ravel(), minlength=256) > 0).sum())
    if values > 2:
        return [finding("non_binary_mask", mask_path, f"the mask has {values} values", image=image_path)]
    return []
