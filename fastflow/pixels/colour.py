"""Colours to sRGB by the profile that a file carries, through LittleCMS (`PIL.ImageCms`)."""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab "}
SAME_GREY_LEVELS = 2  # a profile that changes no colour by more is sRGB's own
EXACT, PRECISE = ImageCms.Flags.NOOPTIMIZE, ImageCms.Flags.HIGHRESPRECALC  # a table of LAB is off by up to 10 levels
STEPS_PER_CHANNEL = 6  # of each channel, in the test colours


def to_srgb(image: Image.Image) -> Image.Image:
    """An image of mode 1, L, P, RGB, CMYK, LAB or YCbCr in sRGB.

    A profile that is damaged or of other colours than the image counts for nothing, as for every viewer.
    """
    profile: bytes = image.info.get("icc_profile") or b""
    if image.mode == "LAB":
        transform = _transform(profile, "LAB") or _transform(b"", "LAB")
    elif profile:
        image = image if image.mode in SPACES else image.convert("RGB")
        transform = _transform(profile, image.mode)
    else:
        transform = None
    if transform is None:
        return image.convert("RGB")
    found = ImageCms.applyTransform(image, transform)
    assert found is not None
    return found


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From a profile, for LAB by default the CIE's, to sRGB; None where it does not fit, or changes nothing."""
    srgb = ImageCms.createProfile("sRGB")
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile) if profile else ImageCms.createProfile("LAB"))
        if source.profile.xcolor_space.strip() != SPACES[mode].strip():
            return None
        transform = ImageCms.buildTransform(source, srgb, mode, "RGB", flags=EXACT if mode == "LAB" else PRECISE)
    except (OSError, ImageCms.PyCMSError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    steps = np.linspace(0, 255, STEPS_PER_CHANNEL).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(STEPS_PER_CHANNEL, -1, 3)
    seen = ImageCms.applyTransform(Image.fromarray(colours), transform)
    return bool(np.abs(np.asarray(seen).astype(int) - colours).max() <= SAME_GREY_LEVELS)
