"""The model for given pictures: a preset whose frame has their shape."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Literal

from fastflow.backbone import size_multiple
from fastflow.config import FastFlowConfig
from fastflow.frame import fitting_size, picture_shape, range_of_files
from fastflow.pixels.meaning import ValueRange
from fastflow.presets import preset

AUTO: Literal["auto"] = "auto"


def config_for(
    paths: Sequence[Path],
    name: str,
    *,
    image_size: Sequence[int] | Literal["auto"] = AUTO,
    image_area: int | None = None,
    value_range: ValueRange | Literal["auto"] | None = AUTO,
    **overrides: Any,
) -> FastFlowConfig:
    """The preset `name` for pictures of a category, `image_size` (height, width) and `value_range` fixed from here on.

    `image_size` auto: the median aspect ratio of the good pictures in `paths`, `image_area` pixels (the preset's if
    None), both sides multiples of what the backbone needs. The paper's presets, which stretch, keep their own.
    `value_range` auto: as `fastflow.pixels.depth.common_range` says; images of more than 8 bits are decoded for it.

    Raises:
        ValueError: as `fastflow.presets.preset`.
        BadImage: a picture cannot be read.
    """
    if image_size != AUTO:
        overrides = overrides | {"image_size": image_size}
    config = preset(name, **overrides)
    if value_range == AUTO:
        value_range = range_of_files(paths, config.rule) if config.decoding > 1 else None
    config = dataclasses.replace(config, value_range=value_range)
    if image_size != AUTO or not config.letterbox:
        return config
    with ThreadPoolExecutor() as pool:
        shapes = list(pool.map(partial(picture_shape, rule=config.rule), paths))
    height, width = config.image_size
    multiple = size_multiple(config.backbone, layers=config.layers)
    size = fitting_size(shapes, area=image_area or height * width, multiple=multiple)
    return dataclasses.replace(config, image_size=size)
