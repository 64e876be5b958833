"""One pass over an image and its mask: read once, hashed, decoded by the library's own decoder, made a thumbnail."""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import is_defect, is_ignored, mask_levels, open_image, to_rgb
from fastflow.errors import BadImage
from pipelines.data.checks.finding import Finding, finding

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
    digest, mode, size, thumbnail, findings = "", "", None, None, []
    try:
        content = read_file(folder, image_path)
        digest = hashlib.sha256(content).hexdigest()
        image = open_whole(content, image_path)
        rgb = to_rgb(image, image_path)
        small = rgb.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX).convert("L")
        mode, size, thumbnail = image.mode, (rgb.height, rgb.width), np.asarray(small, np.float32).ravel()
    except BadImage as error:
        findings.append(unreadable(image_path, error, image_path))
    if mask_path:
        findings += look_at_mask(folder, mask_path, image_path, size)
    return Seen(digest, mode, size, thumbnail, findings)


def look_at_mask(folder: Path, mask_path: str, image_path: str, size: tuple[int, int] | None) -> list[Finding]:
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
        "empty_mask": (not marked.any(), "the mask marks no pixel"),
        "full_mask": (bool(marked.all()), "the mask marks every pixel"),
        "non_binary_mask": (values > 2 + ignored, f"the mask has {values} values"),
    }
    return [finding(kind, mask_path, text, image=image_path) for kind, (found, text) in faults.items() if found]


def read_file(folder: Path, path: str) -> bytes:
    """Raises BadImage where a file cannot be read, for one a link that leads nowhere."""
    try:
        return (folder / path).read_bytes()
    except OSError as error:
        raise BadImage(f"{path}: cannot be read ({error.strerror})") from error


def open_whole(content: bytes, name: str) -> Image.Image:
    """A decoded image. Raises BadImage also where a PNG's pixels are there, but not its end."""
    image = open_image(io.BytesIO(content), name=name)
    if content.startswith(PNG_START) and PNG_END not in content[-TAIL:]:
        raise BadImage(f"{name}: is cut off, its end is missing")
    return image


def unreadable(path: str, error: BadImage, image_path: str) -> Finding:
    why = str(error).removeprefix(f"{path}: ").split("; ")[0]
    return finding("unreadable", path, why, image=image_path)
