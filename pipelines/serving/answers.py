"""What the server answers: a verdict, and the regions that it rests on."""

import threading
from typing import Any

from pydantic import BaseModel, Field

from fastflow.detector import Detector
from fastflow.frame import Size
from fastflow.regions import Region, RegionRule, as_record, find_regions
from pipelines.serving.batching import Scored

ONE_AT_A_TIME = threading.Lock()  # a picture of 50 million pixels takes 1 GB where all of it is anomalous


class RegionAnswer(BaseModel):
    """Pixels above the pixel threshold that hold together; lengths from the photograph's upper left corner."""

    x: int = Field(description="of the box, in pixels, as y, width and height")
    y: int
    width: int
    height: int
    area: int = Field(description="in pixels")
    centroid_x: float
    centroid_y: float
    peak: float = Field(description="of the anomaly map in the region, as mean")
    mean: float
    polygon: list[int] = Field(description="the outline as x, y, x, y, ...")
    x_mm: float | None = Field(None, description="as the other lengths: null where params.yaml has no mm_per_pixel")
    y_mm: float | None = None
    width_mm: float | None = None
    height_mm: float | None = None
    centroid_x_mm: float | None = None
    centroid_y_mm: float | None = None
    area_mm2: float | None = None


class Answer(BaseModel):
    """A verdict: pred_label 1 where pred_score is above the threshold."""

    category: str
    pred_score: float
    pred_label: int
    threshold: float
    model: str
    milliseconds: float = Field(description="of the model, for the batch that this image was in")
    pixel_threshold: float = Field(description="of the anomaly map: regions lie above it")
    min_area: int = Field(description="regions of fewer pixels are left out")
    regions: list[RegionAnswer] = Field(description="in the photograph's own pixels, the highest peak first")
    anomaly_map: str | None = Field(None, description="a PNG with transparency, of the image's shape, in base64")


def regions_of(found: Scored, shape: Size, detector: Detector, rule: RegionRule) -> list[Region]:
    """Of a photograph of `shape` (height, width); by one thread at a time, as a large one takes memory."""
    with ONE_AT_A_TIME:
        pixel = float(detector.threshold["pixel"])
        return find_regions(found.anomaly_map, shape, threshold=pixel, min_area=rule.min_area)


def as_answers(regions: list[Region], rule: RegionRule) -> list[RegionAnswer]:
    return [RegionAnswer(**as_record(one, rule.mm_per_pixel)) for one in regions]


def about(detector: Detector, rule: RegionRule) -> dict[str, Any]:
    """What the regions of an answer rest on."""
    return {"pixel_threshold": float(detector.threshold["pixel"]), "min_area": rule.min_area}
