"""The model for given pictures: a preset whose frame has their shape."""

import dataclasses
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fastflow.allowed import MAX_SIDE_PIXELS, shown
from fastflow.backbone import size_multiple
from fastflow.config import FastFlowConfig
from fastflow.frame import Size, fitting_size, picture_shape, range_of_files
from fastflow.pixels.meaning import ValueRange
from fastflow.pixels.picture import Picture
from fastflow.presets import preset
from fastflow.tiles import Tiles, TileSettings, middle_size

AUTO: Literal["auto"] = "auto"


def config_for(
    paths: Sequence[Path | Picture],
    name: str,
    *,
    image_size: Sequence[int] | Literal["auto"] = AUTO,
    image_area: int | None = None,
    value_range: ValueRange | Literal["auto"] | None = AUTO,
    tiles: TileSettings | None = None,
    **overrides: Any,
) -> FastFlowConfig:
    """The preset `name` for pictures of a category, `image_size` (height, width) and `value_range` fixed from here on.

    `image_size` auto: the median aspect ratio of the good pictures in `paths`, `image_area` pixels (the preset's if
    None), both sides multiples of what the backbone needs. The paper's presets, which stretch, keep their own.
    With `tiles`, the frame is as large as the pictures are at that scale, and `image_size` that of a tile.
    `value_range` auto: as `fastflow.pixels.depth.common_range` says; images of more than 8 bits are decoded for it.

    Raises:
        ValueError: as `fastflow.presets.preset`; tiles that do not fit.
        BadImage: a picture cannot be read.
    """
    if image_size != AUTO:
        overrides = overrides | {"image_size": image_size}
    config = preset(name, **overrides)
    if value_range == AUTO:
        value_range = range_of_files(paths, config.rule) if config.decoding > 1 else None
    config = dataclasses.replace(config, value_range=value_range)
    if tiles is not None:
        if not isinstance(tiles, TileSettings):
            raise ValueError(f"tiles is {shown(tiles)}; allowed: a fastflow.tiles.TileSettings")
        if image_size != AUTO or image_area is not None:
            raise ValueError(
                "image_size and image_area do not go with tiles, which have their own size; leave them out"
            )
        return _in_tiles(config, paths, tiles)
    if image_size != AUTO or not config.letterbox:
        return config
    height, width = config.image_size
    multiple = size_multiple(config.backbone, layers=config.layers)
    size = fitting_size(_shapes(paths, config), area=image_area or height * width, multiple=multiple)
    return dataclasses.replace(config, image_size=size)


def _shapes(paths: Sequence[Path | Picture], config: FastFlowConfig) -> list[Size]:
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(picture_shape, rule=config.rule), paths))


def _in_tiles(config: FastFlowConfig, paths: Sequence[Path | Picture], tiles: TileSettings) -> FastFlowConfig:
    """The frame is as high and as wide as the pictures are in the middle of their number, at the scale."""
    if not 0 < tiles.scale <= 1:  # NaN fails this, too
        raise ValueError(f"tiles.scale is {tiles.scale}; allowed: above 0, at most 1, the photographs' own pixels")
    if not 0 <= tiles.overlap < 1:
        raise ValueError(f"tiles.overlap is {tiles.overlap}; allowed: from 0 to below 1, such as 0.25")
    size, multiple = as_size(tiles.size), size_multiple(config.backbone, layers=config.layers)
    wrong = next((side for side in size if side < multiple or side % multiple), None)
    if wrong is not None:
        near = max(1, round(wrong / multiple)) * multiple
        raise ValueError(f"tiles.size is {tiles.size}; {config.backbone} needs multiples of {multiple}, such as {near}")
    height, width = (max(1, round(side * tiles.scale)) for side in middle_size(_shapes(paths, config)))
    if max(height, width) > MAX_SIDE_PIXELS:
        least = MAX_SIDE_PIXELS / max(height, width) * tiles.scale
        raise ValueError(
            f"the pictures are {height}x{width} pixels (height x width) at tiles.scale {tiles.scale:g}; at most "
            f"{MAX_SIDE_PIXELS} a side are allowed: a scale of {math.floor(least * 1000) / 1000:g}"
        )
    return dataclasses.replace(config, image_size=size, tiles=Tiles((height, width), float(tiles.overlap)))


def as_size(size: int | Sequence[int]) -> Size:
    """(height, width) of one side, or of both."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])
