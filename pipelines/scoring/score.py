"""Score photographs: fastflow score --model bottle photographs/ --to scores.csv

--model: a category, an export's folder (the fastest), models:/fastflow-bottle@champion. Images: files, folders and what
is below them, or - for paths on stdin, a line each. Results: CSV, or JSON lines where --to ends in .jsonl; on stdout
without --to. A file that holds results already is gone on with. Exit code 3: some images could not be read; they are
listed, and all others scored.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from fastflow.decode import SUFFIXES, image_files, read_image
from fastflow.detector import Detector, Scores, not_finite
from fastflow.errors import BadData
from fastflow.files import printable
from fastflow.frame import Frame
from fastflow.maps import Map, resize_map
from pipelines.core.progress import progress
from pipelines.core.stage import log
from pipelines.data.appearance import Photograph, read_photograph
from pipelines.registry.detectors import open_detector
from pipelines.reporting.pictures import blend, heat_colours
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row

BATCH_SIZE = 8
SHOWN = 20  # unreadable images that a message names
Batch = list[tuple[str, Photograph]]


class Unreadable(BadData):
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
) -> None:
    """Scores what `images` name into the file `to`, or as CSV on stdout; pictures with heat into the folder `overlays`.
    `sha256`: of the model's export.json or config.json, where that is known.

    Raises:
        ValueError: a name that leads nowhere, no such model, or a batch of less than one image.
        Unreadable: after all others were scored.
        BadData: the file holds something else, or scores of another model or threshold.
        Held: another process writes to the file.
    """
    size = BATCH_SIZE if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"--batch-size is {size}; allowed: 1 or more")
    paths = named(images)
    log.info("opening %s for %d images", model, len(paths))
    detector = open_detector(model, threads=threads, sha256=sha256)
    if overlays:
        overlays.mkdir(parents=True, exist_ok=True)
    with ResultsFile(to, version=detector.version, threshold=detector.threshold["image"]) as results:
        score_paths(detector, paths, results, overlays=overlays, batch_size=size)


def score_paths(
    detector: Detector, paths: Sequence[str], results: ResultsFile, *, overlays: Path | None, batch_size: int
) -> None:
    """Scores those of the paths that the results do not hold yet; files are read while others are scored.

    Raises:
        Unreadable: after all others were scored.
    """
    todo = [path for path in paths if printable(path) not in results.done]
    if len(todo) < len(paths):
        known, rejected = len(paths) - len(todo), results.num_rejected
        log.info("%d of %d images are in %s already, %d rejected in all", known, len(paths), results.name, rejected)
    if others := len(results.done - set(map(printable, paths))):
        log.info("%s also holds %d images that were not named now; for a file of its own: --to", results.name, others)
    refused: list[str] = []
    rejected = 0
    with progress(f"score with {detector.version}", len(todo), unit="image") as advance:
        for batch in decoded(todo, detector.frame, batch_size, refused):
            start = time.perf_counter()
            images = np.stack([seen.framed.pixels.transpose(2, 0, 1) for _, seen in batch])
            found = detector.predict(images, np.array([seen.framed.size for _, seen in batch]))
            milliseconds = 1000 * (time.perf_counter() - start) / len(batch)
            usable = np.isfinite(found.pred_score)
            refused += [
                str(not_finite(path, float(score)))
                for (path, _), score, good in zip(batch, found.pred_score, usable, strict=True)
                if not good
            ]
            results.add(rows(detector, batch, found, milliseconds))
            rejected += int(found.pred_label[usable].sum())
            if overlays:
                for number, (path, seen) in enumerate(batch):
                    if not usable[number]:
                        continue
                    height, width = seen.framed.size
                    write_overlay(detector, overlays, path, found.anomaly_map[number, 0, :height, :width])
            advance(len(batch))
    if todo:
        scored = len(todo) - len(refused)
        log.info("%s: %d images scored with %s, %d of them rejected", results.name, scored, detector.version, rejected)
    if refused:
        more = [f"... and {len(refused) - SHOWN} more"] if len(refused) > SHOWN else []
        listed = "\n  ".join([*refused[:SHOWN], *more])
        raise Unreadable(f"{len(refused)} of {len(todo)} images could not be scored, all others are:\n  {listed}")


def rows(detector: Detector, batch: Batch, found: Scores, milliseconds: float) -> list[Row]:
    """Of the images whose score is a number: another one is no verdict, and a row would be taken for one."""
    signed = (detector.threshold["image"], detector.version, round(milliseconds, 2))
    return [
        Row(path, float(value), int(label), *signed, **seen.appearance._asdict())
        for (path, seen), value, label in zip(batch, found.pred_score, found.pred_label, strict=True)
        if np.isfinite(value)
    ]


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


def write_overlay(detector: Detector, folder: Path, path: str, anomaly_map: Map) -> None:
    """The image with its heat, in its own pixels, on the category's own scale: the same score is the same colour in
    every picture."""
    pixels = read_image(Path(path), rule=detector.frame.rule)
    colours = heat_colours(
        resize_map(anomaly_map, pixels.shape[:2]), low=detector.threshold["low"], threshold=detector.threshold["pixel"]
    )
    name = "_".join(part for part in Path(path).parts if part not in ("..", "/"))
    name += "" if Path(path).suffix.lower() in (".jpg", ".jpeg") else ".jpg"
    Image.fromarray(blend(pixels, colours)).save(folder / name, quality=90)


def named(arguments: Sequence[str]) -> list[str]:
    """The image files that a person named, once each, folders in order of names.

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
