"""TIFFs whose compressed data are damaged in the middle: refused where a checksum or a JPEG inside can tell."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fastflow.decode import NamedBytes, open_image
from fastflow.errors import BadImage
from fastflow.pixels.meaning import PixelRule
from tests.fastflow.test_damaged_jpeg import photograph

LOST = 512  # bytes, as of a disk's sector


def tiff(image: Image.Image, compression: str, **options: Any) -> bytes:
    content = io.BytesIO()
    image.save(content, "TIFF", compression=compression, **options)
    return content.getvalue()


def with_a_lost_sector(content: bytes, at: float) -> bytes:
    start = int(at * len(content))
    return content[:start] + bytes(LOST) + content[start + LOST :]


@pytest.mark.parametrize("compression", ["tiff_adobe_deflate", "tiff_deflate", "jpeg"])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_whole_one_is_read_and_one_with_a_lost_sector_is_refused(mode: str, compression: str) -> None:
    whole = tiff(photograph(mode), compression)
    open_image(NamedBytes(whole))
    for at in (0.3, 0.5, 0.7):
        with pytest.raises(BadImage, match="restore the file or remove it"):
            open_image(NamedBytes(with_a_lost_sector(whole, at)))


def test_the_page_that_is_read_is_the_one_that_is_looked_at() -> None:
    image = photograph()
    whole = tiff(image, "tiff_adobe_deflate", save_all=True, append_images=[image])
    damaged = with_a_lost_sector(whole, 0.25)
    open_image(NamedBytes(damaged), rule=PixelRule(page=2))
    with pytest.raises(BadImage, match="restore the file or remove it"):
        open_image(NamedBytes(damaged), rule=PixelRule(page=1))


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "group4", "tiff_adobe_deflate"])
def test_every_other_kind_is_read(compression: str) -> None:
    mode = "1" if compression == "group4" else "I;16"
    whole = tiff(Image.fromarray(np.arange(12000, dtype=np.uint16).reshape(100, 120)).convert(mode), compression)
    assert open_image(NamedBytes(whole)).size == (120, 100)
    assert open_image(NamedBytes(tiff(Image.new(mode, (1, 1)), compression))).size == (1, 1)
