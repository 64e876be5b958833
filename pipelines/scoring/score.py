"""Score photographs: fastflow score --model bottle photographs/ --to scores.csv

--model: a category, an export's folder (the fastest), models:/fastflow-bottle@champion. Images: files, folders and what
is below them, or - for paths on stdin, a line each. Results: CSV, or JSON lines where --to ends in .jsonl; on stdout
without --to. A file that has results already is resumed. --regions: a line a region, --coco: the same as COCO's JSON;
docs/regions.md. Exit code 3: some images could not be read; they are listed, and all others scored.
"""

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fastflow.decode import SUFFIXES, image_files
from fastflow.detector import Detector, not_finite
from fastflow.errors import BadData
from fastflow.files import printable, write_text
from fastflow.frame import Frame, Size, alike, at_once
from pipelines.core.progress import progress
from pipelines.core.region_rule import region_rule
from pipelines.core.stage import log
from pipelines.registry.detectors import open_detector
from pipelines.scoring.batches import decoded, judged
from pipelines.scoring.outputs import Outputs, open_outputs
from pipelines.scoring.overlays import write_overlays
from pipelines.scoring.production import Production, as_scored, is_recorded
from pipelines.scoring.results_file import ResultsFile

BATCH_SIZE = 8
MESSAGES_SHOWN = 3


class UnreadableImages(BadData):
    """Images that could not be scored; all others were."""


def score(
    images: Sequence[str],
    *,
    model: str,
    to: Path | None = None,
    overlays: Path | None = None,
    batch_size: int | None = None,
    threads: int | None = None,
    sha256: str = "",
    record: bool | None = None,
    regions: Path | None = None,
    coco: Path | None = None,
    min_area: int | None = None,
    mm_per_pixel: float | None = None,
) -> None:
    """Scores what `images` name into the file `to`, or as CSV on stdout; pictures with heat into the folder `overlays`;
    their regions into the files `regions` and `coco`. `sha256`: of the model's export.json or config.json, where that
    is known. `record`: whether production/ keeps the scores, too; None: in a project. `min_area`, `mm_per_pixel`: as in
    `fastflow.regions.RegionRule`; None: as params.yaml has it.

    Raises:
        ValueError: a path that does not exist, no such model, a batch of less than one image, an area or scale that is
            none.
        UnreadableImages: after all others were scored.
        BadData: a file holds something else, or is of another model, threshold or area.
        LockHeld: another process writes to the file.
    """
    size = BATCH_SIZE if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"--batch-size is {size}; allowed: 1 or more")
    paths = image_paths(images)
    log.info("opening %s for %d images", model, len(paths))
    detector = open_detector(model, threads=threads, sha256=sha256)
    rule = region_rule(detector.category, min_area=min_area, mm_per_pixel=mm_per_pixel)
    if overlays:
        overlays.mkdir(parents=True, exist_ok=True)
    production = Production(detector.category, "score") if is_recorded(record) else None
    with open_outputs(detector, rule, to=to, regions=regions, coco=coco) as outputs:
        score_paths(detector, paths, outputs, overlays=overlays, batch_size=size, production=production)


def score_paths(
    detector: Detector,
    paths: Sequence[str],
    outputs: Outputs,
    *,
    overlays: Path | None,
    batch_size: int,
    production: Production | None = None,
) -> None:
    """Scores those of the paths that the outputs do not hold yet; files are read while others are scored.

    Raises:
        UnreadableImages: after all others were scored.
    """
    results = outputs.results
    todo = [path for path in paths if not outputs.holds(path)]
    log_known(paths, todo, results)
    refused, undrawn, unlike, rejected = list[str](), list[str](), list[str](), 0
    with progress(f"score with {detector.version}", len(todo), unit="image") as advance:
        for batch in decoded(todo, detector.frame, at_once(detector.frame, batch_size), refused):
            start = time.perf_counter()
            images = np.stack([seen.framed.pixels.transpose(2, 0, 1) for _, seen in batch])
            found = detector.predict(images, np.array([seen.framed.size for _, seen in batch]))
            milliseconds = 1000 * (time.perf_counter() - start) / len(batch)
            usable = np.isfinite(found.pred_score)
            unlike += [path for path, seen in batch if not fits(seen.framed.shape, detector.frame)]
            refused += [
                str(not_finite(path, float(score)))
                for (path, _), score, good in zip(batch, found.pred_score, usable, strict=True)
                if not good
            ]
            made = judged(detector, batch, found, milliseconds, outputs.rule)
            outputs.add(made)
            if production:
                production.add(as_scored([one.row for one in made], dict(batch)))
            rejected += int(found.pred_label[usable].sum())
            if overlays:
                undrawn += write_overlays(detector, overlays, made)
            advance(len(batch))
    if todo:
        count = len(todo) - len(refused)
        log.info("%s: %d images scored with %s, %d of them rejected", results.name, count, detector.version, rejected)
    log_unlike(unlike, detector.frame, results)
    if undrawn:
        failures = listed(undrawn, results.path, ".overlays.txt")
        log.warning("%d overlays could not be written, their images are scored:\n  %s", len(undrawn), failures)
    if refused:
        summary = f"{len(refused)} of {len(todo)} images could not be scored, all others are"
        raise UnreadableImages(f"{summary}:\n  {listed(refused, results.path, '.unread.txt')}")


def fits(shape: Size, frame: Frame) -> bool:
    """Whether a picture of that (height, width) is neither padded or stretched much, nor enlarged."""
    placed = frame.place(shape)
    return alike(shape, (frame.height, frame.width)) and shape[0] >= placed[0] and shape[1] >= placed[1]


def log_unlike(paths: Sequence[str], frame: Frame, results: ResultsFile) -> None:
    """Names the pictures that a model is hardly trained for."""
    if paths:
        log.warning(
            "%d images have another shape than this model's %d x %d, or are smaller, so that a part may look like none "
            "that it was trained on:\n  %s",
            len(paths), frame.width, frame.height, listed(paths, results.path, ".unlike.txt"),
        )  # fmt: skip


def log_known(paths: Sequence[str], todo: Sequence[str], results: ResultsFile) -> None:
    """What the results hold already."""
    if len(todo) < len(paths):
        known, rejected = len(paths) - len(todo), results.num_rejected
        log.info("%d of %d images are in %s already, %d rejected in all", known, len(paths), results.name, rejected)
    if again := sum(printable(path) in results.done for path in todo):
        log.info("%d of them have changed since: scored again, and the earlier rows stay, see sha256", again)
    if others := len(results.done.keys() - set(map(printable, paths))):
        log.info("%s also holds %d images that were not named now; for a separate file: --to", results.name, others)


def listed(messages: Sequence[str], scores: Path | None, ending: str) -> str:
    """The first messages, a line each; all of them go to a file beside that of the scores, where there is one."""
    shown = list(messages[:MESSAGES_SHOWN])
    if len(messages) > MESSAGES_SHOWN:
        every = scores and scores.with_name(scores.name + ending)
        if every:
            write_text(every, printable("\n".join(messages) + "\n"))
        shown.append(f"and {len(messages) - MESSAGES_SHOWN:,} more" + f"; all of them: {every}" * bool(every))
    return "\n  ".join(shown)


def image_paths(arguments: Sequence[str]) -> list[str]:
    """The image files that the arguments name, once each, folders in order of names.

    Raises:
        ValueError: a name is neither a file nor a folder, or there is no image at all.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        if argument == "-":
            found |= dict.fromkeys(line.rstrip("\n") for line in sys.stdin if line.strip())
        elif Path(argument).is_dir():
            found |= dict.fromkeys(map(str, image_files(Path(argument))))
        elif Path(argument).is_file():
            found[argument] = None
        else:
            raise ValueError(f"{argument}: neither a file nor a folder")
    if not found:
        raise ValueError(f"no image among {', '.join(arguments)}; looked for {', '.join(sorted(SUFFIXES))}")
    return list(found)
