"""How many bits the images of a category use: 12 in files of 16 are common, and would be nearly black."""

from collections.abc import Iterable

from fastflow.pixels.meaning import WHITE_OF_FLOATS, Depth, ValueRange

BITS = (8, 10, 12, 14, 16, 24, 32)  # of sensors, and of files


def used_bits(depth: Depth) -> int:
    """The fewest of BITS that hold an image's integers."""
    return next((bits for bits in BITS if depth.highest < 2 ** (bits - depth.signed)), BITS[-1])


def white_of(depth: Depth) -> float:
    """The highest number of as many bits as an image uses; what its file declares where that is known."""
    return depth.white if depth.known else float(2 ** (used_bits(depth) - depth.signed) - 1)


def common_range(depths: Iterable[Depth]) -> ValueRange | None:
    """Black and white for all these images, the same for each; None where each file's own white is right.

    It is what the deepest of them needs. Negative numbers and floats have no such range: it must be stated.
    """
    found = list(depths)
    if not found or any(depth.lowest < 0 or depth.white == WHITE_OF_FLOATS for depth in found):
        return None
    white = max(map(white_of, found))
    return None if all(depth.white == white for depth in found if not depth.known) else (0.0, white)
