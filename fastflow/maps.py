"""Anomaly maps at the size of the image that they belong to."""

from torch import Tensor
from torch.nn import functional


def resize_map(anomaly_map: Tensor, image_size: tuple[int, int]) -> Tensor:
    """Maps (B, 1, h, w) at `image_size` (height, width) of the upright image: bilinear, pixel centres aligned.

    Resizing stretches each axis by itself, the inverse of what `fastflow.decode.read_image` did to the image.
    """
    return functional.interpolate(anomaly_map, size=image_size, mode="bilinear", align_corners=False)
