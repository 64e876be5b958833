"""Colours by profiles and by the CIE's formulas, which are written here once more."""

import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from fastflow.decode import read_image
from fastflow.pixels.meaning import PLAIN
from tests.fastflow.odd_files import SIDE, tiff, write

D50 = np.array([0.9642, 1.0, 0.8249])
TO_D50 = np.array(  # linear sRGB to XYZ of D50, as IEC 61966-2-1 adapted by Bradford
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
COLOURS = {"grey": (128, 128, 128), "red": (255, 0, 0), "leaf": (40, 120, 60), "sky": (100, 160, 220)}


def lab_of(rgb: tuple[int, ...]) -> NDArray[np.float64]:
    """CIE L*a*b* of D50 of an sRGB colour."""
    share = np.array(rgb) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    t = TO_D50 @ linear / D50
    f = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def rgb_of(lab: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `lab_of`, cut to what sRGB holds."""
    middle = (lab[0] + 16) / 116
    f = np.array([middle + lab[1] / 500, middle, middle - lab[2] / 200])
    linear = np.linalg.solve(TO_D50, np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055) * 255


def profile(space: bytes, pcs: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2 by its specification."""
    tags = {b"wtpt": xyz(*D50), b"cprt": b"text\0\0\0\0none\0", b"desc": described(), **tags}
    table, data, at = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        content += b"\0" * (-len(content) % 4)
        table += name + struct.pack(">II", at + len(data), len(content))
        data += content
    head = struct.pack(">I4sI4s4s4s", at + len(data), b"\0" * 4, 0x02400000, b"scnr", space, pcs) + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + struct.pack(">3i", *(round(value * 65536) for value in D50))
    return head.ljust(128, b"\0") + table + data


def described() -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", 5) + b"none\0" + b"\0" * 78


def xyz(*values: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))


def linear_rgb() -> bytes:
    """sRGB's primaries without its gamma."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, 256)
    columns = {name: xyz(*TO_D50[:, k]) for k, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return profile(b"RGB ", b"XYZ ", columns | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def inks(full_cyan: tuple[int, ...]) -> bytes:
    """CMYK whose full cyan is that sRGB colour, and any other ink black; no ink is white."""
    nodes = np.zeros((2, 2, 2, 2, 3))
    nodes[...] = lab_of((0, 0, 0))
    nodes[0, 0, 0, 0], nodes[1, 0, 0, 0] = lab_of((255, 255, 255)), lab_of(full_cyan)
    coded = np.rint(np.stack([nodes[..., 0] * 2.55, nodes[..., 1] + 128, nodes[..., 2] + 128], axis=-1))
    same = bytes(range(256))
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + matrix + same * 4 + coded.clip(0, 255).astype(np.uint8).tobytes()
    return profile(b"CMYK", b"Lab ", {b"A2B0": table + same * 3})


@pytest.mark.parametrize("name", COLOURS)
def test_lab_is_the_cies(tmp_path: Path, name: str) -> None:
    lab = np.rint(lab_of(COLOURS[name]))  # whole, as a* and b* of 8 bits are
    assert np.abs(rgb_of(lab_of(COLOURS[name])) - COLOURS[name]).max() < 0.1
    coded = (round(lab[0] * 2.55), int(lab[1]) % 256, int(lab[2]) % 256)  # signed: TIFF 6.0, section 23
    path = write(tiff(np.full((SIDE, SIDE, 3), coded, np.uint8), bits=8, photo=8, samples=3), tmp_path / "lab.tif")
    assert np.abs(read_image(path)[0, 0] - rgb_of(lab)).max() <= 2


@pytest.mark.parametrize("suffix", ["jpg", "tif"])
def test_inks_are_what_their_profile_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"inks.{suffix}"
    cyan = Image.new("CMYK", (16, 16), (255, 0, 0, 0))
    cyan.save(path, icc_profile=inks((100, 160, 220)))
    assert np.abs(read_image(path)[8, 8].astype(int) - (100, 160, 220)).max() <= 4
    cyan.save(path)
    assert np.abs(read_image(path)[8, 8].astype(int) - (0, 255, 255)).max() <= 2


def test_rgb_of_a_profile_comes_to_srgb(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (4, 1, 3))
    path = tmp_path / "linear.png"
    Image.fromarray(ramp).save(path, icc_profile=linear_rgb())
    share = np.arange(256) / 255
    right = np.where(share <= 0.0031308, 12.92 * share, 1.055 * share ** (1 / 2.4) - 0.055) * 255
    assert np.abs(read_image(path)[0, :, 1] - right).max() <= 2
    assert np.array_equal(read_image(path, rule=PLAIN), ramp)  # as older models see it


def test_a_profile_of_other_colours_or_a_damaged_one_counts_for_nothing(tmp_path: Path) -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for wrong in (linear_rgb(), b"no profile"):
        Image.fromarray(ramp).save(tmp_path / "grey.png", icc_profile=wrong)
        assert np.array_equal(read_image(tmp_path / "grey.png")[..., 0], ramp)
    Image.fromarray(np.stack([ramp] * 3, 2)).save(tmp_path / "rgb.png", icc_profile=inks((0, 0, 0)))
    assert np.array_equal(read_image(tmp_path / "rgb.png")[..., 2], ramp)


def test_srgbs_own_profile_changes_no_byte(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(pixels).save(tmp_path / "srgb.png", icc_profile=own)
    assert np.array_equal(read_image(tmp_path / "srgb.png"), pixels)
