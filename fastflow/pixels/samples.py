"""What an image file's header says of its samples, where Pillow's mode alone would leave it open."""

import sys
from typing import Any, NamedTuple

from PIL import Image, ImageOps
from PIL.TiffImagePlugin import ImageFileDirectory_v2

BITS, POLARITY, FORMAT = 258, 262, 339  # TIFF's tags
SIGNED, FLOATS, WHITE_IS_ZERO = 2, 3, 0
OTHER_BYTE = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and those of its values that swap height and width
GREY_ALPHA, AS_BYTES = "LA;16B", "RGBA"  # four bytes a pixel either way


class Samples(NamedTuple):
    """`bits` a sample; `signed` integers; `inverted`: 0 is white, and decoding leaves it so; `halved`: colours of 16
    bits, of which decoding keeps the upper byte."""

    bits: int = 8
    signed: bool = False
    inverted: bool = False
    halved: bool = False


def samples_of(image: Image.Image) -> Samples:
    """Of an image that is opened, and not yet loaded."""
    tags: Any = getattr(image, "tag_v2", {})
    sixteen = ";16" in _raw_mode(image)
    return Samples(
        bits=tags.get(BITS, (16 if sixteen else 8,))[0],
        signed=tags.get(FORMAT, (0,))[0] == SIGNED,
        inverted=image.mode.startswith("I") and tags.get(POLARITY) == WHITE_IS_ZERO,
        halved=sixteen and image.mode in ("RGB", "RGBA"),
    )


def is_turned(image: Image.Image) -> bool:
    """Whether the image stands upright with height and width swapped; nothing is decoded."""
    if image.format == "TIFF":  # whose size Pillow has turned
        return False
    if image.format == "PNG" and "exif" not in image.info:  # to look for more, a PNG would be decoded
        return False
    return image.getexif().get(ORIENTATION) in TURNED


def load_lower_bytes(image: Any) -> Image.Image:
    """Loads, of colours of 16 bits, the byte that decoding leaves out, upright; the image is opened, not loaded."""
    raw = _raw_mode(image)
    other = AS_BYTES if raw == GREY_ALPHA else raw[:-1] + OTHER_BYTE[raw[-1]]
    image.tile = [
        tile._replace(args=other if isinstance(tile.args, str) else (other, *tile.args[1:])) for tile in image.tile
    ]
    image.load()
    lower: Image.Image = ImageOps.exif_transpose(image)
    return Image.merge("RGB", [lower.getchannel(1)] * 3) if raw == GREY_ALPHA else lower.convert("RGB")


def _raw_mode(image: Any) -> str:
    """How the file's bytes are to be read, such as RGB;16B."""
    if not getattr(image, "tile", None):
        return ""
    args = image.tile[0].args
    return str(args if isinstance(args, str) else args[0] if args else "")


def unsupported_tiff(start: bytes, content: Any) -> str:
    """What a TIFF holds that Pillow does not read, such as `a TIFF of 64-bit floats`; empty where it is none.

    `start` are its first 8 bytes, `content` is the file, open for reading.
    """
    if start[:4] not in (b"II*\0", b"MM\0*"):
        return ""
    tags = ImageFileDirectory_v2(start)
    content.seek(tags.next)
    tags.load(content)
    bits, kind = tags.get(BITS, (1,)), tags.get(FORMAT, (1,))[0]
    many = f"{len(bits)} samples a pixel, each " if len(bits) > 1 else ""
    return f"a TIFF of {many}{bits[0]}-bit {'floats' if kind == FLOATS else 'integers'}"
