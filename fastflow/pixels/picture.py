"""A picture in memory, of a program that has no file of it: it is read by the same rules, so that it scores bit by bit
as a file of the same pixels."""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from fastflow.errors import BadImage
from fastflow.pixels.meaning import NUMBERS
from fastflow.pixels.samples import samples_of

EIGHT_BITS = "save it to a file and name that, or convert it to 8-bit RGB"


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded `image` of 8 bits, upright, its own copy; `name` stands for it where a file's path would."""

    image: Image.Image
    name: str

    def __str__(self) -> str:
        return self.name

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.image.height, self.image.width

    @property
    def sha256(self) -> str:
        """Of mode, size and pixels: equal for copies."""
        about = f"{self.image.mode} {self.image.size} ".encode()
        return hashlib.sha256(about + self.image.tobytes()).hexdigest()


def picture_of_array(pixels: object, name: str) -> Picture:
    """Of an array (H, W, 3), uint8, RGB. Raises BadImage for any other."""
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        got = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise BadImage(f"{name}: an array is uint8 (H, W, 3) in RGB, got {got}; convert it")
    if not pixels.size:
        raise BadImage(f"{name}: an array of {pixels.shape[0]}x{pixels.shape[1]} pixels; at least one is needed")
    return Picture(Image.fromarray(np.ascontiguousarray(pixels)), name)


def picture_of_image(image: Image.Image, name: str) -> Picture:
    """Of Pillow's image; of several pages, of the one that it is at.

    Raises:
        BadImage: it is deeper than 8 bits: its file tells what is black and white, it alone does not; or is damaged.
    """
    samples = samples_of(image)
    if image.mode in NUMBERS or image.mode.startswith("I;") or samples.bits > 8 or samples.signed or samples.halved:
        raise BadImage(f"{name}: an image of more than 8 bits (mode {image.mode}); {EIGHT_BITS}")
    try:
        upright = ImageOps.exif_transpose(image)
    except Exception as error:  # on damaged bytes, decoders raise whatever comes
        raise BadImage(f"{name}: cannot be read ({error}); restore its file or leave it out") from error
    return Picture(upright, name)
