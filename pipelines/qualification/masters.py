"""Before a shift: parts whose verdict is known must get it.

Run as: fastflow masters bottle add shots/ --expect good        shots/<part>.png, or shots/<part>/<shot>.png
        fastflow masters bottle check today/                    photographs taken now, named in the same way
        fastflow masters bottle check                           the stored ones: the model alone, without the camera
        fastflow masters bottle                                 lists them, and the last check

A check writes masters/<category>.html, .json (the last one) and .jsonl (all of them), and is logged to MLflow. Exit
code 1: a part got the wrong verdict.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from fastflow.detector import Detector
from fastflow.errors import BadData
from fastflow.evaluation import Scored, score_images
from fastflow.files import write_text
from pipelines.core.params import Masters, Params
from pipelines.core.revision import project_version
from pipelines.core.stage import Alarm, log
from pipelines.qualification.line_model import Opened, model_of_the_line, opened
from pipelines.qualification.masters_page import render
from pipelines.qualification.masters_record import (
    Judged,
    MastersCheck,
    history_file,
    read_history,
    record_file,
    when,
    write_check,
)
from pipelines.qualification.masters_store import Master, check_new, read_masters, stored_shots
from pipelines.qualification.model_run import run_of_model
from pipelines.qualification.shots import Shot, shots_of_masters


def check(
    category: str, params: Params, *, folder: Path | None = None, model: str | None = None, as_json: bool = False
) -> MastersCheck:
    """The check, after it is written and logged.

    Raises:
        BadData: no master parts, or none of one kind; photographs that are not new ones of all of them; a score that is
            no number.
        Alarm: a part got the wrong verdict.
    """
    masters = complete(category)
    rule = params.masters.get(category, Masters())
    shots = shots_of_masters(folder) if folder else stored_shots(category, masters)
    if folder:
        check_new(category, shots, masters)
    now = datetime.now(UTC).replace(microsecond=0)
    since = first_use(category, shots, now, hours=rule.hours) if folder else now
    with opened(model or model_of_the_line(category), category, params) as found:
        log.info("%s: %d photographs of master parts, by model %s", category, len(shots), found.version)
        scored = score_images(found.detector, [shot.path for shot in shots], batch_size=params.evaluate.batch_size)
        made = MastersCheck(
            category=category,
            time=now,
            since=since,
            model=found.version,
            weights=found.weights,
            threshold=float(found.detector.threshold["image"]),
            new_photographs=folder is not None,
            shots=judged(shots, masters, scored, found.detector),
        )
        write(made, shots, scored, found)
    print(made.model_dump_json(indent=2) if as_json else f"{category}: {made.result}")
    page = record_file(category).with_suffix(".html")
    if made.wrong:
        raise Alarm(f"{category}: {made.result}; do not start the shift. See {page}")
    log.info("see %s", page)
    return made


def complete(category: str) -> list[Master]:
    """Raises BadData unless there is a good and a defective master part."""
    masters = read_masters(category)
    missing = [kind for kind in ("good", "defect") if kind not in {one.expect for one in masters}]
    if missing:
        kinds = " and no ".join({"good": "good", "defect": "defective"}[kind] for kind in missing)
        raise BadData(
            f"{category} has no {kinds} master part; a check needs both kinds, else a model that says the same of "
            f"every part would pass: fastflow masters {category} add DIR --expect {missing[0]}"
        )
    return masters


def first_use(category: str, shots: Sequence[Shot], now: datetime, *, hours: float) -> datetime:
    """When the first of these was first checked. Raises BadData where that is longer ago than a check holds."""
    first: dict[str, datetime] = {}
    for check in read_history(category):
        for one in check.shots:
            first.setdefault(one.sha256, check.time)
    for shot in shots:
        before = first.get(shot.sha256, now)
        if now - before > timedelta(hours=hours):
            raise BadData(
                f"{shot.path} was checked on {when(before)}, more than {hours:g} hours ago: it says nothing of today's "
                "camera and light; photograph the part again"
            )
    return min(first.get(shot.sha256, now) for shot in shots)


def judged(shots: Sequence[Shot], masters: Sequence[Master], scored: Scored, detector: Detector) -> list[Judged]:
    expected = {one.part: one.expect for one in masters}
    return [
        Judged(
            part=shot.part,
            expect=expected[shot.part],
            file=shot.path.name,
            sha256=shot.sha256,
            pred_score=float(score),
            pred_label=0 if score <= detector.threshold["image"] else 1,
        )
        for shot, score in zip(shots, scored.pred_score, strict=True)
    ]


def write(made: MastersCheck, shots: Sequence[Shot], scored: Scored, found: Opened) -> None:
    """The record, the page, and the run in MLflow."""
    before = read_history(made.category)
    write_check(made)
    about = {"model": made.model, "made on": when(made.time)} | project_version()
    page = record_file(made.category).with_suffix(".html")
    write_text(page, render([*before, made], shots, scored.anomaly_maps, detector=found.detector, about=about))
    figures = {
        "masters_right": len(made.parts) - len(made.wrong),
        "masters_wrong": len(made.wrong),
        "masters_margin": made.margin,
    }
    name = f"{made.category} master parts"
    with run_of_model(found.run_key, name, category=made.category, version=made.model) as run:
        run.log_metrics(figures, step=len(before))
        for path in (record_file(made.category), history_file(made.category), page):
            run.log_files(path, under="masters")
