"""The bit depths of a category's images: the value range for all of them, and images outside of it."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from fastflow.pixels.depth import common_range, used_bits
from fastflow.pixels.meaning import Depth, PixelRule
from pipelines.core.names import counted
from pipelines.data.checks.finding import Finding, finding
from pipelines.data.checks.pictures import ImageFacts

MIN_RANGE_FRACTION = 1 / 8  # of the range to white: an image with less has 32 grey levels


def rule_with_range(index: pd.DataFrame, seen: Sequence[ImageFacts], rule: PixelRule) -> PixelRule:
    """The rule, with the range that the training images need where none is stated."""
    if rule.value_range is not None:
        return rule
    trained = [one for one, split in zip(seen, index["split"], strict=True) if split == "train"]
    depths = (one.depth for one in trained if one.depth is not None and one.thumbnail is not None)
    return rule._replace(value_range=common_range(depths))


def depth_findings(
    index: pd.DataFrame, seen: Sequence[ImageFacts], *, stated: PixelRule, settled: PixelRule
) -> Iterator[Finding]:
    """Findings about the range that was found or `stated`."""
    deep = [
        (str(path), one.depth)
        for path, one in zip(index["image_path"], seen, strict=True)
        if one.depth is not None and one.thumbnail is not None
    ]
    if settled.value_range != stated.value_range:
        yield _of_all(deep, settled)
    for path, depth in deep:
        low, high = settled.value_range or (0.0, depth.white)
        if depth.highest < low + MIN_RANGE_FRACTION * (high - low):
            message = f"its numbers end at {depth.highest:g}, where {high:g} is white: it is nearly black"
            yield finding("bit_depth", path, message)
        if not low <= depth.lowest <= depth.highest <= high:
            message = f"numbers from {depth.lowest:g} to {depth.highest:g}, black and white are {low:g} and {high:g}"
            yield finding("out_of_range", path, message, image=path)


def _of_all(deep: Sequence[tuple[str, Depth]], settled: PixelRule) -> Finding:
    assert settled.value_range is not None
    white = settled.value_range[1]
    path, depth = next((path, depth) for path, depth in deep if not depth.known)
    files = 16 if depth.white <= 65535 and white <= 65535 else 32
    bits = used_bits(depth._replace(highest=white))
    message = f"{counted(len(deep), 'file')} of {files} bits, as this one, hold {bits}: {white:g} is white in all"
    return finding("bit_depth", path, message)


def scaled(one: ImageFacts, rule: PixelRule) -> ImageFacts:
    """With its thumbnail in grey levels."""
    if not one.raw or one.depth is None or one.thumbnail is None:
        return one
    low, high = rule.value_range or (0.0, one.depth.white)
    grey = ((one.thumbnail - low) / (high - low)).clip(0, 1) * 255
    return one._replace(thumbnail=grey.astype(np.float32), raw=False)
