"""An image from an untrusted client: read within limits, its header checked before it is decoded."""

import io
from collections.abc import Callable

from fastapi import Request
from PIL import Image, UnidentifiedImageError

from fastflow.decode import FORMATS, NamedBytes
from fastflow.errors import BadData
from fastflow.frame import Frame, Framed, read_framed

MAX_BYTES, MAX_PIXELS = 32 * 2**20, 50_000_000


class Refused(Exception):
    """An image that is not scored: the HTTP status, and why. Its arguments travel between processes."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(status, why)
        self.status, self.why = status, why


async def read_body(request: Request, *, max_bytes: int, on_part: Callable[[int], None]) -> bytes:
    """The body; `on_part` is told the bytes of each part.

    Raises:
        Refused: 413 as soon as it is too long, 400 where there is none.
    """
    too_long = Refused(413, f"the image is longer than the {max_bytes:,} bytes that are allowed")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > max_bytes:
        raise too_long
    content = bytearray()
    async for part in request.stream():
        on_part(len(part))
        content += part
        if len(content) > max_bytes:
            raise too_long
    if not content:
        raise Refused(400, "the body is empty; send the bytes of an image file")
    return bytes(content)


def decode(content: bytes, frame: Frame, max_pixels: int) -> Framed:
    """The image in a model's frame. Raises Refused: 415 no image, 413 too many pixels, 400 damaged."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:  # the header alone
            width, height = image.size
    except UnidentifiedImageError as error:
        raise Refused(415, f"this is no image; allowed are {', '.join(FORMATS)}") from error
    except Image.DecompressionBombError as error:  # Pillow's own limit, far above ours
        raise Refused(413, f"the image has too many pixels ({error}); at most {max_pixels:,} are allowed") from error
    except Exception as error:  # on damaged headers, decoders raise any exception
        raise Refused(400, f"the image's header is damaged: {error}") from error
    if width * height > max_pixels:
        raise Refused(413, f"the image has {width}x{height} pixels; at most {max_pixels:,} are allowed")
    try:
        return read_framed(NamedBytes(content), frame)
    except BadData as error:
        raise Refused(400, str(error)) from error
