"""Damage in TIFFs that libtiff passes over: once a strip is full it looks at no checksum, and libjpeg only warns.

Deflate has a checksum, which is compared here; LZW and PackBits have none.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from PIL import Image

from fastflow.pixels.jpeg import MAX_SCANS, has_too_many_scans, jpeg_fault

WIDTH, HEIGHT, BITS, COMPRESSION = 256, 257, 258, 259  # TIFF's tags
SAMPLES, ROWS, TILE_WIDTH, TILE_HEIGHT, JPEG_TABLES = 277, 278, 322, 323, 347
STRIPS, TILES = (273, 279), (324, 325)  # where each begins, and its bytes
JPEG, DEFLATE = (7,), (8, 32946)
SPARE_BYTES = 1 << 16  # of a writer that fills up its last strip
BLOCK_BYTES = 1 << 24


def checkable_tags(image: Image.Image) -> dict[int, Any]:
    """The tags of an open TIFF's page whose compression tells of damage; none of any other file."""
    tags: dict[int, Any] = dict(getattr(image, "tag_v2", {}))
    return tags if tags.get(COMPRESSION) in (*JPEG, *DEFLATE) else {}


def tiff_fault(tags: Mapping[int, Any], content: bytes) -> str:
    """What is damaged in the data of a page with such tags; empty where nothing is."""
    for data in _parts(tags, content):
        fault = _jpeg_fault(tags, data) if tags[COMPRESSION] in JPEG else _deflate_fault(data, 2 * _bytes_of_part(tags))
        if fault:
            return fault
    return ""


def _parts(tags: Mapping[int, Any], content: bytes) -> Iterator[bytes]:
    """The data of each strip or tile."""
    starts, sizes = (tags.get(tag, ()) for tag in (TILES if TILES[0] in tags else STRIPS))
    for start, size in zip(starts, sizes, strict=False):
        if size:  # a tile that was never written has none
            yield content[start : start + size]


def _bytes_of_part(tags: Mapping[int, Any]) -> int:
    width = tags.get(TILE_WIDTH, tags[WIDTH])
    height = tags.get(TILE_HEIGHT, min(tags.get(ROWS, tags[HEIGHT]), tags[HEIGHT]))
    return int(height * (width * tags.get(SAMPLES, 1) * max(tags.get(BITS, (1,))) // 8 + 1)) + SPARE_BYTES


def _deflate_fault(data: bytes, most: int) -> str:
    """`most`: bytes that it may become; a stream that does not end by then is damaged."""
    stream, made = zlib.decompressobj(), 0
    try:
        while not stream.eof and made <= most and data:
            made += len(stream.decompress(data, BLOCK_BYTES))
            data = stream.unconsumed_tail
    except zlib.error as error:
        return str(error)
    return "" if stream.eof else "its compressed data do not end as they should"


def _jpeg_fault(tags: Mapping[int, Any], data: bytes) -> str:
    if has_too_many_scans(data):
        return f"a JPEG of more than {MAX_SCANS} scans"
    return jpeg_fault(tags[JPEG_TABLES][:-2] + data[2:] if JPEG_TABLES in tags else data)
