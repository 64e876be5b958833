"""Are recent photographs still like those a model was calibrated on? And if not: the camera, or the parts?

Run as: fastflow drift bottle scores.csv          a file of fastflow score
        fastflow drift bottle photographs/        scored first
        fastflow drift bottle                     what params.yaml names, drift.recent

Writes drift/<category>.html and .json, and a run to MLflow. Exit code 1: something changed. Fewer images than
drift.least give no verdict, with exit code 0.
"""

import json
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastflow.decode import image_files
from fastflow.errors import BadData
from fastflow.files import write_text
from pipelines.core.params import Params
from pipelines.core.paths import DRIFT
from pipelines.core.revision import project_version
from pipelines.core.stage import Alarm, ServerAway, log
from pipelines.core.training_files import normal_table
from pipelines.data.appearance import Appearance
from pipelines.monitoring.drift_page import render
from pipelines.monitoring.drift_rules import Verdict, judge
from pipelines.registry.checkpoints import checkpoint_of, require_own, version_for_scores
from pipelines.registry.detectors import open_detector
from pipelines.scoring.outputs import Outputs
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row, read_rows
from pipelines.scoring.score import BATCH_SIZE, UnreadableImages, image_paths, score_paths
from pipelines.tracking import runs

REQUIRED_COLUMNS = ("pred_score", *Appearance._fields)


class Reference(NamedTuple):
    """The good training images of a version, a row an image, and its threshold."""

    table: pd.DataFrame
    threshold: float
    category: str
    version: str
    weights: str


def drift(category: str, params: Params, *, source: str | None = None, model: str | None = None) -> Verdict | None:
    """The verdict, after its page is written; None where there are no recent images.

    Raises:
        ValueError: a model of another category.
        BadData: not a score file, or one of another model; a model without these figures, trained by an older version.
        Alarm: something changed; the message says what.
    """
    if source is None and params.drift.recent is None:
        raise ValueError("name photographs or a score file, or write drift.recent into params.yaml")
    expected = source or str(params.drift.recent).format(category=category)
    if source is None and not has_input(Path(expected)):
        log.info("%s: no recent images: nothing is in %s", category, expected)
        return None
    source, model = expected, model or category
    reference = reference_of(model)
    require_own(reference.category, category, params.data.categories, model=model)
    recent = recent_scores(source, model, reference, last=params.drift.last)
    verdict = judge(
        recent,
        reference.table,
        threshold=reference.threshold,
        usual_rejects=params.drift.usual_rejects,
        least=params.drift.least,
    )
    log_verdict(category, verdict, recent, reference, source=source, usual_rejects=params.drift.usual_rejects)
    if verdict.alarm:
        raise Alarm(f"{category}: {verdict.sentence}. See {DRIFT / category}.html")
    log.info("%s: %s. See %s.html", category, verdict.sentence, DRIFT / category)
    return verdict


def reference_of(model: str) -> Reference:
    """The calibration images of a version. Raises BadData where their figures were not stored."""
    with checkpoint_of(model) as found:
        table = pd.DataFrame(normal_table(found.folder, found.about))
        threshold = found.about["threshold"]["image"]
        of = (found.category, found.version, found.weights)
    if not set(REQUIRED_COLUMNS) <= set(table.columns):
        raise BadData(
            f"{model} was trained by an older version, which did not store the appearance of its images; train it again"
        )
    return Reference(table, float(threshold), *of)


def has_input(place: Path) -> bool:
    """Whether there is a score file, or a folder with an image in it or below."""
    return place.is_file() or bool(image_files(place))


def recent_scores(source: str, model: str, reference: Reference, *, last: int) -> pd.DataFrame:
    """The `last` rows of a score file, oldest first; or as many photographs, the newest, scored now.

    Raises:
        ValueError: `source` is neither a file nor a folder.
    """
    path = Path(source)
    if path.is_dir():
        with tempfile.TemporaryDirectory() as scratch:
            file = Path(scratch) / "scores.csv"
            detector = open_detector(model)
            with ResultsFile(file, version=detector.version) as results:
                paths = sorted(image_paths([source]), key=lambda p: (Path(p).stat().st_mtime, p))
                try:
                    score_paths(detector, paths[-last:], Outputs(results), overlays=None, batch_size=BATCH_SIZE)
                except UnreadableImages as error:  # the others are scored
                    log.warning("%s", error)
            return read_scores(file, reference)
    if not path.is_file():
        raise ValueError(f"{source}: neither a score file nor a folder")
    return read_scores(path, reference).tail(last).reset_index(drop=True)


def read_scores(path: Path, reference: Reference) -> pd.DataFrame:
    """A file of `fastflow score`. Raises BadData if it is not, or of another model than the reference's."""
    table = pd.DataFrame(read_rows(path, more=True).rows, columns=list(Row._fields))
    known = {reference.version, reference.weights}
    strangers = sorted(name for name in set(map(str, table["model"])) if name.partition(" ")[0] not in known)
    if strangers:
        anew = (
            f"score the photographs anew: fastflow score FOLDER --model {reference.category} --to {path.stem}-new.csv"
        )
        with suppress(ServerAway):
            if len(strangers) == 1 and (version := version_for_scores(reference.category, strangers[0])):
                anew = f"compare them with that one, --model {version}, or {anew}"
        raise BadData(
            f"{path} holds scores of {', '.join(strangers)}, the calibration is {reference.version}'s; {anew}"
        )
    return table


def log_verdict(
    category: str, verdict: Verdict, recent: pd.DataFrame, reference: Reference, *, source: str, usual_rejects: float
) -> None:
    """Writes the page and the figures, and logs a run."""
    about = {
        "images from": source,
        "model": reference.version,
        "usual rejects": f"{usual_rejects:.1%}",
    } | project_version()
    page = render(category, verdict, recent, reference.table, threshold=reference.threshold, about=about)
    write_text(DRIFT / f"{category}.html", page)
    figures = verdict._asdict() | {"shifts": [shift._asdict() for shift in verdict.shifts]}
    write_text(DRIFT / f"{category}.json", json.dumps({"category": category, **figures}, indent=2) + "\n")
    name = f"{category} drift {time.strftime('%Y-%m-%d %H:%M')}"
    tags = {"category": category, "drift": verdict.kind, "model_version": reference.version}
    with runs.new_run(name, tags=tags, live=False) as run:
        numbers = {"recent_images": float(verdict.images), "recent_rejects": float(verdict.rejected)}
        for shift in verdict.shifts:
            numbers |= {f"{shift.name}_{key}": getattr(shift, key) for key in ("ks", "psi", "moved", "outside")}
        run.log_metrics(numbers)
        run.set_tags({"mlflow.note.content": verdict.sentence})
        for suffix in (".html", ".json"):
            run.log_files(DRIFT / f"{category}{suffix}", under="drift")
    then_rejected = int(recent["pred_label"].sum())
    other = f", {then_rejected} at the threshold they were scored with" * (then_rejected != verdict.rejected)
    log.info("%s: %d images, %d rejected%s", category, verdict.images, verdict.rejected, other)
