"""The command `fastflow tiles`: tiles that show the smallest defect, by the size of a category's pictures."""

import math
import re
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from fastflow.errors import BadData
from fastflow.frame import Size, picture_shape
from fastflow.index import list_category
from fastflow.tiles import USUAL_AREA, TileSettings, count_of, middle_size
from pipelines.core.params import Params, Tiles, read_params
from pipelines.core.params_edit import write_values
from pipelines.core.pixel_rule import stated_rule
from pipelines.core.region_rule import stated_regions
from pipelines.core.stage import log
from pipelines.data.category_params import editing

SEEN_PIXELS = 6.0  # of a tile, that the thinnest part of a defect should have: finest features see 4 at once
TILE_PIXELS, STEP_PIXELS = 256, 32  # of each side, and what a smaller one is a multiple of
FEWER_TILES = 1.5  # times that area: below, tiles are not worth their cost
LENGTH = re.compile(r"(\d+(?:\.\d+)?) ?(mm|px)")


def show(category: str, params: Params) -> None:
    """Prints how the category's pictures are looked at."""
    stated = params.tiles.get(category)
    said = "pictures are looked at in one piece" if stated is None else _said(TileSettings(**stated.model_dump()))
    print(f"{category}: {said}")


def remove(category: str, params: Params) -> None:
    """Raises ValueError where the category has no tiles."""
    if category not in params.tiles:
        raise ValueError(f"{category} has no tiles that could be removed")
    _state(category, None)
    print(f"{category}: pictures are looked at in one piece; next: fastflow train {category}")


def propose(category: str, params: Params, smallest: str, *, mm_per_pixel: float | None, keep: bool) -> None:
    """Prints tiles that show a defect of that size, or why none are needed; writes them to params.yaml if `keep`.

    Raises:
        ValueError: a size that is none, or millimetres without a scale.
        BadData: the category has no picture; a defect so small that no tile shows it.
    """
    stated = stated_regions(params, category).mm_per_pixel
    pixels = in_pixels(smallest, stated if mm_per_pixel is None else mm_per_pixel)
    root = Path(params.data.root) / category
    index = list_category(root)
    good = [root / path for path in index.loc[index["split"] == "train", "image_path"]]
    if not good:
        raise BadData(f"{root} has no image in train/good whose size tiles could be proposed for")
    with ThreadPoolExecutor() as pool:
        shape = middle_size(list(pool.map(partial(picture_shape, rule=stated_rule(params, category)), good)))
    found = proposal(shape, pixels)
    about = f"{category}: of pictures of {shape[0]}x{shape[1]} pixels (height x width), a defect {pixels:g} pixels wide"
    if found is None:
        print(f"{about} shows in one piece, too: no tiles are needed")
        return
    print(f"{about} shows in {_said(found)}; {_cost(shape, found)}")
    if keep:
        _state(category, found)
        log.info("params.yaml (tiles) has it; next: fastflow train %s", category)
    else:
        log.info("nothing is written; to keep it, add --keep")


def in_pixels(text: str, mm_per_pixel: float | None) -> float:
    """Of 0.3mm or 6px. Raises ValueError where it is none, or millimetres have no scale."""
    match = LENGTH.fullmatch(text.strip())
    if match is None or not float(match[1]) > 0:
        raise ValueError(f"--smallest-defect is {text!r}; allowed: a length such as 0.3mm or 6px")
    if match[2] == "px":
        return float(match[1])
    if mm_per_pixel is None or not 0 < mm_per_pixel < math.inf:
        raise ValueError(f"--smallest-defect {text} needs --mm-per-pixel, above 0, of the photographs, such as 0.05")
    return float(f"{float(match[1]) / mm_per_pixel:.3g}")


def proposal(shape: Size, pixels: float) -> TileSettings | None:
    """Tiles for pictures of `shape` (height, width) and a defect so many of their pixels wide; None: none are needed.

    Raises:
        BadData: it is less than a pixel wide.
    """
    if pixels < 1:
        raise BadData(f"a defect {pixels:g} pixels wide shows in no tile; photograph the part larger")
    scale = min(1.0, math.ceil(100 * SEEN_PIXELS / pixels) / 100)
    height, width = (round(side * scale) for side in shape)
    side = min(TILE_PIXELS, *(one // STEP_PIXELS * STEP_PIXELS for one in (height, width)))
    if height * width <= FEWER_TILES * USUAL_AREA or side < STEP_PIXELS:
        return None
    return TileSettings(side, 0.25, scale)


def _said(tiles: TileSettings) -> str:
    size = tiles.size if isinstance(tiles.size, int) else "x".join(map(str, tiles.size))
    return f"tiles of {size} pixels that overlap by {tiles.overlap:.0%}, at a scale of {tiles.scale:g}"


def _cost(shape: Size, tiles: TileSettings) -> str:
    assert isinstance(tiles.size, int)
    tile = (tiles.size, tiles.size)
    count = count_of((round(shape[0] * tiles.scale), round(shape[1] * tiles.scale)), tile, tiles.overlap)
    times = max(1, round(count * math.prod(tile) / USUAL_AREA))
    return f"{count:,} of them a picture, which takes about {times:,} times as long as one piece"


def _state(category: str, tiles: TileSettings | None) -> None:
    with editing():
        every = {name: one.model_dump() for name, one in read_params().tiles.items() if name != category}
        write_values({"tiles": every | ({category: Tiles(**tiles._asdict()).model_dump()} if tiles else {})})
