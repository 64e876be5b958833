"""Odd image files as cameras, scanners and editors write them, each with the picture that was drawn into it: a ramp
from black on the left to white on the right, unless it says otherwise. `FRACTION` is that ramp, 0..1."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64
FRACTION = np.tile(np.linspace(0, 1, SIDE), (SIDE, 1))
RAMP = (FRACTION * 255).astype(np.uint8)
RGB = np.stack([RAMP] * 3, axis=2)
DEEP = (FRACTION * 65535).astype("<u2")
TWELVE = (FRACTION * 4095).astype("<u2")
WHITE = np.full_like(DEEP, 65535)


def tiff(
    pixels: NDArray[Any] | bytes,
    *,
    bits: int,
    photo: int = 1,
    samples: int = 1,
    form: int = 1,
    order: str = "<",
    packed: bool = False,
) -> bytes:
    """A TIFF of one strip by its specification (6.0), `packed` by zlib; `form` 1 unsigned, 2 signed, 3 floats."""
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    data = zlib.compress(data) if packed else data
    data += b"\0" * (len(data) % 2)
    at = 8 + len(data)
    after = at + 2 + 12 * 11 + 4  # where values lie that fit in no entry
    several = struct.pack(f"{order}{samples}H", *[bits] * samples)
    tags = {256: SIDE, 257: SIDE, 259: 8 if packed else 1, 262: photo, 273: 8, 277: samples, 278: SIDE, 279: len(data)}
    entries = [(tag, 4, 1, struct.pack(f"{order}I", value)) for tag, value in tags.items()]
    entries += [(258, 3, samples, several.ljust(4, b"\0") if samples < 3 else struct.pack(f"{order}I", after))]
    forms = struct.pack(f"{order}{samples}H", *[form] * samples)
    place = forms.ljust(4, b"\0") if samples < 3 else struct.pack(f"{order}I", after + len(several))
    entries += [(339, 3, samples, place), (284, 3, 1, struct.pack(f"{order}HH", 1, 0))]
    head = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, at)
    lines = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count) + value for tag, kind, count, value in sorted(entries)
    )
    return head + data + struct.pack(f"{order}H", 11) + lines + struct.pack(f"{order}I", 0) + several + forms


def png(rows: NDArray[Any], *, bits: int, kind: int, chunks: tuple[tuple[bytes, bytes], ...] = ()) -> bytes:
    """A PNG by its specification; `kind`: 0 grey, 2 RGB, 4 and 6 these with alpha; `chunks` before the data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    raw = b"".join(b"\0" + row.astype(">u2" if bits == 16 else np.uint8).tobytes() for row in rows)
    found = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, bits, kind, 0, 0, 0))
    found += b"".join(chunk(*one) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + found + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def bmp(alpha: int, *, version: int) -> bytes:
    """A BMP of 32 bits a pixel: of version 4 with an alpha mask, of version 3 without a word on the fourth byte."""
    pixels = np.dstack([RGB, np.full_like(RAMP, alpha)])[::-1].tobytes()
    size = {3: 40, 4: 108}[version]
    head = struct.pack(
        "<IiiHHIIiiII", size, SIDE, SIDE, 1, 32, version - 1 if version == 4 else 0, len(pixels), 0, 0, 0, 0
    )
    if version == 4:
        head += struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000) + b"BGRs" + b"\0" * 48
    return b"BM" + struct.pack("<IHHI", 14 + size + len(pixels), 0, 0, 14 + size) + head + pixels


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def stacked(*channels: NDArray[Any]) -> NDArray[Any]:
    return np.stack(channels, axis=2)


def twelve_packed() -> bytes:
    """Two values in three bytes, as TIFF packs 12 bits."""
    first, second = TWELVE[:, 0::2].astype(int), TWELVE[:, 1::2].astype(int)
    return stacked(first >> 4, (first & 15) << 4 | second >> 8, second & 255).astype(np.uint8).tobytes()


def with_alpha(value: int) -> Image.Image:
    return Image.fromarray(np.dstack([RGB, np.full_like(RAMP, value)]))


def jpeg(*, exif: bytes = b"", end: bytes = b"", cut: int | None = None) -> bytes:
    plain = saved(Image.fromarray(RGB), "JPEG", quality=95)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif if exif else b""
    return (plain[:2] + segment + plain[2:] + end)[:cut]


def turned(value: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


def palette(*, clear: bool) -> bytes:
    image = Image.fromarray(RAMP >> 4).convert("P")
    image.putpalette([level for index in range(16) for level in (index * 17, 0, 255 - index * 17)])
    return saved(image, "PNG", **({"transparency": 0} if clear else {}))


HALF = Image.fromarray(RGB[: SIDE // 2])
CUT_EXIF = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0\x01\0\0\0\x06\0"
SIGNED = DEEP.astype(np.int32)
Draw = Callable[[], bytes]
RAMPS: dict[str, Draw] = {  # what every viewer shows as the ramp, to a level
    "mono12_in16.png": lambda: saved(Image.fromarray(TWELVE), "PNG"),
    "mono12_in16.tif": lambda: saved(Image.fromarray(TWELVE), "TIFF"),
    "mono12_packed_declared.tif": lambda: tiff(twelve_packed(), bits=12),
    "u16_minisblack.tif": lambda: tiff(DEEP, bits=16),
    "u16_minisblack_big.tif": lambda: tiff(DEEP.astype(">u2"), bits=16, order=">"),
    "u16_miniswhite.tif": lambda: tiff(65535 - DEEP, bits=16, photo=0),
    "s16.tif": lambda: tiff((SIGNED // 2).astype("<i2"), bits=16, form=2),
    "s8.tif": lambda: tiff(np.rint(FRACTION * 127).astype(np.int8), bits=8, form=2),
    "u32.tif": lambda: tiff(DEEP.astype("<u4") * 65537, bits=32),
    "u32_small.tif": lambda: tiff(DEEP.astype("<u4"), bits=32),
    "f32_1.tif": lambda: tiff(FRACTION.astype("<f4"), bits=32, form=3),
    "alpha0.png": lambda: saved(with_alpha(0), "PNG"),
    "alpha0.tif": lambda: saved(with_alpha(0), "TIFF"),
    "alpha1.png": lambda: saved(with_alpha(1), "PNG"),
    "alpha0.webp": lambda: saved(with_alpha(0), "WEBP", lossless=True, exact=True),
    "alpha0.bmp": lambda: saved(with_alpha(0), "BMP"),
    "bmp_v4_alpha0.bmp": lambda: bmp(0, version=4),
    "bmp_v4_alpha255.bmp": lambda: bmp(255, version=4),
    "bmp_v3_32.bmp": lambda: bmp(0, version=3),
    "grey_gamma.png": lambda: png(RAMP, bits=8, kind=0, chunks=((b"gAMA", struct.pack(">I", 100000)),)),
    "grey16.png": lambda: png(DEEP, bits=16, kind=0),
    "grey16_sbit12.png": lambda: png(TWELVE << 4, bits=16, kind=0, chunks=((b"sBIT", b"\x0c"),)),
    "grey16_trns.png": lambda: png(DEEP, bits=16, kind=0, chunks=((b"tRNS", b"\0\0"),)),
    "grey16_alpha.png": lambda: png(stacked(DEEP, WHITE), bits=16, kind=4),
    "grey16_alpha_12bit.png": lambda: png(stacked(TWELVE, WHITE), bits=16, kind=4),
    "rgb16.png": lambda: png(stacked(DEEP, DEEP, DEEP), bits=16, kind=2),
    "rgb16_12bit.png": lambda: png(stacked(TWELVE, TWELVE, TWELVE), bits=16, kind=2),
    "rgb16_12bit.tif": lambda: tiff(stacked(TWELVE, TWELVE, TWELVE), bits=16, photo=2, samples=3),
    "rgb16_12bit_big.tif": lambda: tiff(
        stacked(TWELVE, TWELVE, TWELVE).astype(">u2"), bits=16, photo=2, samples=3, order=">"
    ),
    "rgb16_12bit_zip.tif": lambda: tiff(stacked(TWELVE, TWELVE, TWELVE), bits=16, photo=2, samples=3, packed=True),
    "rgba16.png": lambda: png(stacked(DEEP, DEEP, DEEP, WHITE), bits=16, kind=6),
    "rgba16_12bit.png": lambda: png(stacked(TWELVE, TWELVE, TWELVE, WHITE), bits=16, kind=6),
    "cmyk.tif": lambda: saved(Image.fromarray(stacked(*[255 - RAMP] * 3, RAMP * 0), mode="CMYK"), "TIFF"),
    "ycbcr.tif": lambda: saved(Image.fromarray(stacked(RAMP, RAMP * 0 + 128, RAMP * 0 + 128), mode="YCbCr"), "TIFF"),
    "png_trailing.png": lambda: saved(Image.fromarray(RGB), "PNG") + b"\0" * 5000,
}
LOSSY: dict[str, Draw] = {  # the ramp as JPEG has it
    "cmyk.jpg": lambda: saved(Image.fromarray(stacked(*[255 - RAMP] * 3, RAMP * 0), mode="CMYK"), "JPEG", quality=95),
    "exif_cut.jpg": lambda: jpeg(exif=CUT_EXIF),
    "exif_garbage.jpg": lambda: jpeg(exif=b"Exif\0\0XX garbage"),
    "exif_orient9.jpg": lambda: saved(Image.fromarray(RGB), "JPEG", quality=95, exif=turned(9)),
    "jpg_trailing.jpg": lambda: jpeg(end=b"\0" * 5000),
}
TURNED: dict[str, Draw] = {  # the ramp's upper half, to be turned by 90 degrees clockwise
    "exif6.png": lambda: saved(HALF, "PNG", exif=turned(6)),
    "exif6.webp": lambda: saved(HALF, "WEBP", lossless=True, exif=turned(6)),
    "tiff_orient6.tif": lambda: saved(HALF, "TIFF", tiffinfo={274: 6}),
}
REFUSED: dict[str, tuple[Draw, str]] = {  # with what is to be said
    "f32_255.tif": (
        lambda: tiff((FRACTION * 255).astype("<f4"), bits=32, form=3),
        r"floats from 0 to 255, outside 0\.\.1; state what is black and white: --value-range LOW HIGH",
    ),
    "s16_neg.tif": (
        lambda: tiff((SIGNED - 32768).astype("<i2"), bits=16, form=2),
        r"integers from -32768 to 32767, outside 0\.\.32767; state what is black and white: --value-range LOW HIGH",
    ),
    "f16_1.tif": (lambda: tiff(FRACTION.astype("<f2"), bits=16, form=3), r"a TIFF of 16-bit floats, .+; save it as"),
    "f64_1.tif": (lambda: tiff(FRACTION.astype("<f8"), bits=64, form=3), r"a TIFF of 64-bit floats, .+; save it as"),
    "two_pages.tif": (
        lambda: saved(Image.fromarray(RGB), "TIFF", save_all=True, append_images=[Image.new("RGB", (8, 6), "red")]),
        r"several pages or frames; say which one counts \(--page N .+\), or save the one that is meant",
    ),
    "jpg_cut_eoi.jpg": (lambda: jpeg(cut=-2), r"cannot be read .+; restore the file or remove it"),
    "bmp_cut.bmp": (lambda: saved(Image.fromarray(RGB), "BMP")[:-100], r"cannot be read .+; restore the file or rem"),
}


def write(content: bytes, path: Path) -> Path:
    path.write_bytes(content)
    return path
