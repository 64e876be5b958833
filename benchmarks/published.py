"""The paper's table of MVTec AD (FastFlow with CaiT-M48 at 448 px, the best of its four backbones), as fractions.

Image AUROC: the row "paper" in the README of RistoranteRist/FastFlow. Pixel AUROC: table 1 of U-Flow (arXiv
2211.12353), which copies it. The paper does not say how its epoch was chosen.
"""

from typing import NamedTuple


class Published(NamedTuple):
    image_auroc: float
    pixel_auroc: float


MVTEC = {
    "carpet": Published(1.000, 0.994),
    "grid": Published(0.997, 0.983),
    "leather": Published(1.000, 0.995),
    "tile": Published(1.000, 0.963),
    "wood": Published(1.000, 0.970),
    "bottle": Published(1.000, 0.977),
    "cable": Published(1.000, 0.984),
    "capsule": Published(1.000, 0.991),
    "hazelnut": Published(1.000, 0.991),
    "metal_nut": Published(1.000, 0.985),
    "pill": Published(0.994, 0.992),
    "screw": Published(0.978, 0.994),
    "toothbrush": Published(0.944, 0.989),
    "transistor": Published(0.998, 0.973),
    "zipper": Published(0.995, 0.987),
}
