"""The command `fastflow roi`: a region of interest checked against a category's pictures, shown over some, and kept."""

import hashlib
import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fastflow.errors import BadData
from fastflow.files import write_bytes
from fastflow.frame import Size, alike, picture_shape
from fastflow.index import list_category
from fastflow.pixels.meaning import PixelRule
from fastflow.roi import Mask, Roi, roi_mask, roi_of, share_of
from pipelines.core.names import counted
from pipelines.core.params import Params, Pixels, read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import STATE, roi_file
from pipelines.core.pixel_rule import stated_rule
from pipelines.core.roi_store import stated_roi
from pipelines.core.stage import log
from pipelines.data.category_params import editing
from pipelines.data.roi_file import Box, mask_of_boxes, mask_of_file
from pipelines.data.roi_preview import write_preview


def show(category: str, params: Params) -> None:
    """Prints whether the category has a region of interest. Raises BadData as `stated_roi`."""
    roi = stated_roi(params, category)
    print(f"{category} has no region of interest" if roi is None else _summary(category, roi))


def keep(category: str, params: Params, *, file: Path | None, boxes: Sequence[Box], ignore: bool) -> None:
    """Keeps what `file` and `boxes` mark as the category's region of interest; with `ignore`, everything else.

    Raises:
        BadData: it cannot be read, is empty or all of a picture, or does not fit the category's pictures.
    """
    root, rule = Path(params.data.root) / category, stated_rule(params, category)
    index = list_category(root)
    good = [root / path for path in index.loc[index["split"] == "train", "image_path"]]
    if not good:
        raise BadData(f"{root} has no image in train/good to draw a region on")
    shapes = _shapes([root / path for path in index["image_path"]], rule)
    usual = Counter(shapes[path] for path in good).most_common(1)[0][0]
    mask = _marked(file, boxes, usual)
    roi = _checked(~mask if ignore else mask, shapes)
    preview = STATE / "roi" / f"{category}.png"
    write_preview(good, roi, rule, preview)
    content = _png(roi_mask(roi))
    with editing():
        _state(category, hashlib.sha256(content).hexdigest())
        write_bytes(roi_file(category), content)
    print(_summary(category, roi))
    log.info("see it over good pictures: %s", preview)
    log.info("to keep it: git add %s params.yaml; next: fastflow train %s", roi_file(category), category)


def remove(category: str, params: Params) -> None:
    """Raises ValueError where the category has no region of interest."""
    if params.pixels.get(category, Pixels()).roi is None:
        raise ValueError(f"{category} has no region of interest that could be removed")
    with editing():
        _state(category, None)
        roi_file(category).unlink(missing_ok=True)
    print(f"{category}: all of a picture counts; next: fastflow train {category}")


def _summary(category: str, roi: Roi) -> str:
    height, width = roi.shape
    return f"{category}: the region of interest is {share_of(roi)}, {width} pixels wide and {height} high"


def _shapes(paths: Sequence[Path], rule: PixelRule) -> dict[Path, Size]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(paths, pool.map(partial(picture_shape, rule=rule), paths), strict=True))


def _marked(file: Path | None, boxes: Sequence[Box], usual: Size) -> Mask:
    """By a file, boxes, or both, where they are of pictures of one size; boxes alone of the `usual` one."""
    if file is None:
        return mask_of_boxes(boxes, usual)
    mask = mask_of_file(file)
    return mask | mask_of_boxes(boxes, (mask.shape[0], mask.shape[1]))


def _checked(mask: Mask, shapes: dict[Path, Size]) -> Roi:
    if not mask.any():
        raise BadData("the region of interest is empty: no pixel lies inside; mark what is to be looked at")
    if mask.all():
        raise BadData("the region of interest is all of a picture, which is looked at anyway; leave something out")
    roi = roi_of(mask)
    for path, shape in shapes.items():
        if not alike(shape, roi.shape):
            raise BadData(
                f"the region is drawn for pictures {roi.shape[1]} pixels wide and {roi.shape[0]} high; {path} is "
                f"{shape[1]} wide and {shape[0]} high: another shape; draw it on one of the category's pictures"
            )
    if others := sum(shape != roi.shape for shape in shapes.values()):
        log.info("%s of another size and the same shape: the region is scaled to them", counted(others, "picture"))
    return roi


def _png(mask: Mask) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(file, "PNG")
    return file.getvalue()


def _state(category: str, sha256: str | None) -> None:
    """Has params.yaml (pixels) name the region's file by its content."""
    params = read_params()
    stated = params.pixels.get(category, Pixels()).model_copy(update={"roi": sha256})
    every = {name: one.model_dump(exclude_defaults=True) for name, one in {**params.pixels, category: stated}.items()}
    write_values({"pixels": {name: values for name, values in every.items() if values}})
