"""Photographs in batches: decoded ahead of the model, and what it finds in them as rows."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.detector import Detector, Scores
from fastflow.errors import BadData
from fastflow.frame import Frame
from fastflow.maps import Map, picture_map
from fastflow.regions import Region, RegionRule, find_regions, largest_area
from pipelines.data.appearance import Photograph, read_photograph
from pipelines.scoring.rows import Row

Batch = list[tuple[str, Photograph]]


class Judged(NamedTuple):
    """A photograph with its row, its map without padding, and its regions, none where nobody looks for any."""

    row: Row
    seen: Photograph
    anomaly_map: Map
    regions: list[Region]


def decoded(paths: Sequence[str], frame: Frame, batch_size: int, refused: list[str]) -> Iterator[Batch]:
    """Batches of readable images, decoded by threads two batches ahead; messages of the others go to `refused`."""
    batch: Batch = []
    with ThreadPoolExecutor() as pool:
        ahead: list[tuple[str, Future[Photograph]]] = []
        left = iter(paths)
        while True:
            for path in left:
                ahead.append((path, pool.submit(read_photograph, Path(path), frame)))
                if len(ahead) > 2 * batch_size:
                    break
            if not ahead:
                break
            path, waiting = ahead.pop(0)
            try:
                batch.append((path, waiting.result()))
            except (BadData, OSError) as error:
                refused.append(str(error))
            if len(batch) == batch_size:
                yield batch
                batch = []
    if batch:
        yield batch


def judged(
    detector: Detector, batch: Batch, found: Scores, milliseconds: float, rule: RegionRule | None
) -> list[Judged]:
    """The images of a batch whose score is finite: any other is no verdict. `milliseconds`: of each."""
    signed = (float(detector.threshold["image"]), detector.version, round(milliseconds, 2))
    pixel, low, made = float(detector.threshold["pixel"]), float(detector.threshold["low"]), []
    for number, (path, seen) in enumerate(batch):
        score = float(found.pred_score[number])
        if not np.isfinite(score):
            continue
        own = picture_map(found.anomaly_map[number, 0], seen.framed.size, detector.frame.roi, low=low)
        row = Row(path, score, int(found.pred_label[number]), *signed, **seen.appearance._asdict(), sha256=seen.sha256)
        regions: list[Region] = []
        if rule is not None:
            regions = find_regions(own, seen.framed.shape, threshold=pixel, min_area=rule.min_area)
            row = row._replace(
                regions=len(regions),
                largest_area=largest_area(regions),
                min_area=rule.min_area,
                pixel_threshold=pixel,
            )
        made.append(Judged(row, seen, own, regions))
    return made
