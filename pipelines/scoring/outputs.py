"""The files that a scoring fills: scores, and, where they are asked for, regions and COCO's JSON."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from fastflow.detector import Detector
from fastflow.files import file_sha256, printable
from fastflow.regions import RegionRule
from pipelines.scoring.batches import Judged
from pipelines.scoring.coco import CocoFile
from pipelines.scoring.regions_file import RegionsFile
from pipelines.scoring.results_file import ResultsFile


class Outputs(NamedTuple):
    """`rule`: what is a region; None: nobody looks for any."""

    results: ResultsFile
    rule: RegionRule | None = None
    regions: RegionsFile | None = None
    coco: CocoFile | None = None

    def holds(self, path: str) -> bool:
        """Whether each of the files has what it is to say of an image with its present content."""
        if not self.results.holds(path):
            return False
        if self.regions is None and self.coco is None:
            return True
        digest = file_sha256(Path(path))
        count = self.results.regions.get((printable(path), digest))
        return (self.regions is None or self.regions.holds(path, digest, count)) and (
            self.coco is None or self.coco.holds(path, digest)
        )

    def add(self, made: Sequence[Judged]) -> None:
        """What was found in photographs; to the file of scores last: what that has is complete."""
        for row, seen, _, found in made:
            if self.regions is not None:
                self.regions.add(row.path, row.sha256, found)
            if self.coco is not None:
                self.coco.add(row.path, row.sha256, seen.framed.shape, row.pred_score, row.pred_label, found)
        self.results.add([one.row for one in made])


@contextmanager
def open_outputs(
    detector: Detector, rule: RegionRule, *, to: Path | None, regions: Path | None, coco: Path | None
) -> Iterator[Outputs]:
    """The files, which no other process writes to meanwhile.

    Raises:
        ValueError: one file for two purposes.
        BadData: a file holds something else, or of another model, threshold or rule. LockHeld: another process's.
    """
    named = [path.resolve() for path in (to, regions, coco) if path is not None]
    if len(set(named)) < len(named):
        raise ValueError("--to, --regions and --coco name one file; give each a file of its own")
    pixel, version = float(detector.threshold["pixel"]), detector.version
    with ExitStack() as stack:
        image = float(detector.threshold["image"])
        scores = ResultsFile(to, version=version, threshold=image, min_area=rule.min_area, pixel_threshold=pixel)
        file = RegionsFile(regions, version=version, threshold=pixel, rule=rule) if regions else None
        json = CocoFile(coco, category=detector.category, version=version, threshold=pixel, rule=rule) if coco else None
        stack.enter_context(scores)
        if file is not None:
            stack.enter_context(file)
        if json is not None:
            stack.enter_context(json)
        yield Outputs(scores, rule, file, json)
