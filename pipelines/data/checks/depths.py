"""How deep a category's images are, taken together: what is black and white for all, and which come out wrong."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from fastflow.pixels.depth import common_range, used_bits
from fastflow.pixels.meaning import Depth, PixelRule
from pipelines.core.names import counted
from pipelines.data.checks.finding import Finding, finding
from pipelines.data.checks.pictures import Seen

FEW = 1 / 8  # of the way to white: an image that goes no further has 32 grey levels


def settled_rule(index: pd.DataFrame, seen: Sequence[Seen], rule: PixelRule) -> PixelRule:
    """A rule whose range is what the training images need, where nobody has said one."""
    if rule.value_range is not None:
        return rule
    trained = [one for one, split in zip(seen, index["split"], strict=True) if split == "train"]
    depths = (one.depth for one in trained if one.depth is not None and one.thumbnail is not None)
    return rule._replace(value_range=common_range(depths))


def depth_findings(
    index: pd.DataFrame, seen: Sequence[Seen], *, said: PixelRule, settled: PixelRule
) -> Iterator[Finding]:
    """What a person wants to know of the range that was found or `said`."""
    deep = [
        (str(path), one.depth)
        for path, one in zip(index["image_path"], seen, strict=True)
        if one.depth is not None and one.thumbnail is not None
    ]
    if settled.value_range != said.value_range:
        yield _of_all(deep, settled)
    for path, depth in deep:
        low, high = settled.value_range or (0.0, depth.white)
        if depth.highest < low + FEW * (high - low):
            told = f"its numbers end at {depth.highest:g}, where {high:g} is white: it is nearly black"
            yield finding("bit_depth", path, told)
        if not low <= depth.lowest <= depth.highest <= high:
            told = f"numbers from {depth.lowest:g} to {depth.highest:g}, black and white are {low:g} and {high:g}"
            yield finding("out_of_range", path, told, image=path)


def _of_all(deep: Sequence[tuple[str, Depth]], settled: PixelRule) -> Finding:
    assert settled.value_range is not None
    white = settled.value_range[1]
    path, depth = next((path, depth) for path, depth in deep if not depth.known)
    files = 16 if depth.white <= 65535 and white <= 65535 else 32
    bits = used_bits(depth._replace(highest=white))
    told = f"{counted(len(deep), 'file')} of {files} bits, as this one, hold {bits}: {white:g} is white in all"
    return finding("bit_depth", path, told)


def scaled(one: Seen, rule: PixelRule) -> Seen:
    """With its thumbnail in grey levels."""
    if not one.raw or one.depth is None or one.thumbnail is None:
        return one
    low, high = rule.value_range or (0.0, one.depth.white)
    grey = ((one.thumbnail - low) / (high - low)).clip(0, 1) * 255
    return one._replace(thumbnail=grey.astype(np.float32), raw=False)
