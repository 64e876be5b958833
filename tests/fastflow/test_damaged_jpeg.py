"""JPEGs whose data are damaged, though they begin and end as they should: refused, never judged by what is left."""

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from fastflow.decode import NamedBytes, open_image, read_image
from fastflow.errors import BadImage
from fastflow.pixels.jpeg import MAX_SCANS

END = b"\xff\xd9"
KINDS: dict[str, dict[str, Any]] = {
    "usual": {},
    "colours in full": {"subsampling": 0},
    "progressive": {"progressive": True},
    "optimised": {"optimize": True},
    "restart markers": {"restart_marker_rows": 1},
}


def photograph(mode: str = "RGB") -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    smooth = Image.fromarray(noise).resize((320, 240), Image.Resampling.BICUBIC)
    return smooth.filter(ImageFilter.GaussianBlur(2)).convert(mode)


def jpeg(mode: str = "RGB", **options: Any) -> bytes:
    content = io.BytesIO()
    photograph(mode).save(content, "JPEG", quality=90, **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("luminance", [None, 128])
def test_a_whole_one_is_read_and_a_damaged_one_is_refused(mode: str, kind: str, luminance: int | None) -> None:
    whole = jpeg(mode, **KINDS[kind])
    kept = whole[: len(whole) * 6 // 10]
    for good in (whole, whole + b"a camera's own data", whole[: -len(END)] + b"\0\0\0" + END):
        open_image(NamedBytes(good), luminance=luminance)
    for damaged in (kept, kept + END, kept + bytes(len(whole) - len(kept)), kept + bytes(len(whole) - len(kept)) + END):
        with pytest.raises(BadImage, match="restore the file or remove it"):
            open_image(NamedBytes(damaged), luminance=luminance)


def test_files_and_streams_are_read_as_before(tmp_path: Path) -> None:
    """With bf16, palettes or profiles this has nothing to do: the pixels are Pillow's."""
    (tmp_path / "a.jpg").write_bytes(jpeg())
    expected = np.asarray(Image.open(tmp_path / "a.jpg"))
    np.testing.assert_array_equal(read_image(tmp_path / "a.jpg"), expected)
    np.testing.assert_array_equal(read_image(NamedBytes(jpeg())), expected)


def test_a_jpeg_of_endless_refinements_is_refused_before_it_is_decoded() -> None:
    whole = jpeg(progressive=True)
    scans = whole.split(b"\xff\xda")
    many = b"\xff\xda".join([*scans[:-1], *[scans[-1].removesuffix(END)] * (MAX_SCANS + 1)]) + END
    start = time.process_time()
    with pytest.raises(BadImage, match=f"a JPEG of more than {MAX_SCANS} scans; save it anew"):
        open_image(NamedBytes(many))
    assert time.process_time() - start < 1
