"""Regions to a file, a line each, as soon as they are known: CSV, or JSON lines by its suffix .jsonl."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastflow.files import printable
from fastflow.regions import Region, RegionRule, as_record
from pipelines.scoring.results_file import TableFile
from pipelines.scoring.rows import Kind


class RegionRow(NamedTuple):
    """A region of an image, 1 being that of the highest peak (`fastflow.regions.Region`). `polygon` is x y x y; cells
    in millimetres are empty where `mm_per_pixel` is. `threshold` is that of the pixels."""

    path: str
    sha256: str
    region: int
    x: int
    y: int
    width: int
    height: int
    area: int
    centroid_x: float
    centroid_y: float
    peak: float
    mean: float
    polygon: str
    x_mm: float | None
    y_mm: float | None
    width_mm: float | None
    height_mm: float | None
    centroid_x_mm: float | None
    centroid_y_mm: float | None
    area_mm2: float | None
    threshold: float
    min_area: int
    mm_per_pixel: float | None
    model: str


REGIONS = Kind("regions", RegionRow, key=("path", "sha256", "region"))


class RegionsFile(TableFile[RegionRow]):
    """Regions of one model, at one threshold and by one rule. A context manager, as the file of scores is."""

    def __init__(self, path: Path, *, version: str, threshold: float, rule: RegionRule) -> None:
        same = {"model": version, "threshold": threshold, "min_area": rule.min_area, "mm_per_pixel": rule.mm_per_pixel}
        super().__init__(path, REGIONS, same=same)
        self.version, self.threshold, self.rule = version, threshold, rule
        self.numbers: dict[tuple[str, str], set[int]] = {}

    def known(self, row: RegionRow) -> None:
        self.numbers.setdefault((row.path, row.sha256), set()).add(row.region)

    def holds(self, path: str, sha256: str, count: int | None) -> bool:
        """Whether all regions of an image are there, of which the file of scores says how many they are."""
        return count is not None and len(self.numbers.get((printable(path), sha256), ())) == count

    def add(self, path: str, sha256: str, regions: Sequence[Region]) -> None:
        """Writes those that are not there yet: a kill may have left some of an image's."""
        name = printable(path)
        known = self.numbers.setdefault((name, sha256), set())
        new = [self._row(name, sha256, n, one) for n, one in enumerate(regions, start=1) if n not in known]
        known |= {row.region for row in new}
        self.append(new)

    def _row(self, name: str, sha256: str, number: int, region: Region) -> RegionRow:
        cells: dict[str, Any] = {"path": name, "sha256": sha256, "region": number}
        cells |= as_record(region, self.rule.mm_per_pixel) | {"polygon": " ".join(map(str, region.polygon))}
        return RegionRow(**cells, threshold=self.threshold, model=self.version, **self.rule._asdict())
