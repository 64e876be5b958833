"""The model for given pictures: a preset whose frame has their shape."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from fastflow.backbone import size_multiple
from fastflow.config import FastFlowConfig
from fastflow.frame import fitting_size, picture_shape
from fastflow.presets import preset

AUTO: Literal["auto"] = "auto"


def config_for(
    paths: Sequence[Path],
    name: str,
    *,
    image_size: Sequence[int] | Literal["auto"] = AUTO,
    image_area: int | None = None,
    **overrides: Any,
) -> FastFlowConfig:
    """The preset `name` for pictures of a category, its `image_size` (height, width) fixed from here on.

    `auto`: the median aspect ratio of the good pictures in `paths`, `image_area` pixels (the preset's if None), both
    sides multiples of what the backbone needs. A preset that stretches pictures (the paper's) keeps its own size.

    Raises:
        ValueError: as `fastflow.presets.preset`.
        BadImage: a picture's header cannot be read.
    """
    if image_size != AUTO:
        return preset(name, image_size=image_size, **overrides)
    config = preset(name, **overrides)
    if not config.letterbox:
        return config
    with ThreadPoolExecutor() as pool:
        shapes = list(pool.map(picture_shape, paths))
    height, width = config.image_size
    multiple = size_multiple(config.backbone, layers=config.layers)
    size = fitting_size(shapes, area=image_area or height * width, multiple=multiple)
    return dataclasses.replace(config, image_size=size)
