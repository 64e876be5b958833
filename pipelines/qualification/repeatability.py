"""Does the same part get the same score and verdict again? Several shots of the same parts, by one operator or more.

Run as: fastflow repeatability bottle study/              study/<part>/<shot>.png
        fastflow repeatability bottle study/ --json       or study/<operator>/<part>/<shot>.png

Writes reports/<category>/repeatability.json and repeatability.html, and both to the model's run in MLflow. Nothing here
changes the model.
"""

from datetime import date
from pathlib import Path

from fastflow.decode import read_image
from fastflow.evaluation import Scored, score_images
from fastflow.files import write_text
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.qualification.design import Design, design_of
from pipelines.qualification.model_run import run_of_model
from pipelines.qualification.repeatability_figures import mean_of, record_of
from pipelines.qualification.repeatability_page import Seen, render
from pipelines.qualification.repeatability_record import Repeatability, repeatability_file, write_record
from pipelines.qualification.repeatability_words import sentences
from pipelines.qualification.shots import shots_of_study
from pipelines.registry.checkpoints import checkpoint_of, require_own

SHOWN = 4  # parts whose shots are shown


def repeatability(
    category: str, folder: Path, params: Params, *, model: str | None = None, as_json: bool = False
) -> Repeatability:
    """The figures, after they are written.

    Raises:
        BadData: a folder that is no study, see `design_of`; a picture that cannot be read; a score that is no number,
            or the same for every shot.
    """
    design = design_of(shots_of_study(folder))
    paths = [shot.path for cell in design.cells for shot in cell]
    with checkpoint_of(model or category) as named:
        require_own(named.category, category, params.data.categories, model=model or category)
        run_key, detector = named.run_key, named.open().to(choose_device(params.device))
        log.info("%s: %d shots of %d parts", category, len(paths), len(design.parts))
        scored = score_images(detector, paths, batch_size=params.evaluate.batch_size)
        threshold = float(detector.threshold["image"])
        record = record_of(category, named, design, scored.pred_score, threshold=threshold, seed=params.seed)
        page = write(record, design, scored, detector)
        log_to_run(run_key, record)
    print(record.model_dump_json(indent=2) if as_json else "\n".join(sentences(record)))
    log.info("see %s", page)
    return record


def write(record: Repeatability, design: Design, scored: Scored, detector: TrainedDetector) -> Path:
    """The figures, then the page beside them; returns the page."""
    about = {"model": record.model, "made on": date.today().isoformat()} | project_version()
    files = [shot.path for cell in design.cells for shot in cell]
    chosen = set(record.flipped[:SHOWN] or [nearest_part(record)])
    places = [(cell, shot) for cell in record.cells for shot in range(len(cell.scores))]
    seen = [
        Seen(cell, shot, read_image(file, rule=detector.frame.rule), anomaly_map)
        for (cell, shot), file, anomaly_map in zip(places, files, scored.anomaly_maps, strict=True)
        if cell.part in chosen
    ]
    page = write_record(record).with_suffix(".html")
    write_text(page, render(record, seen, threshold=detector.threshold, about=about))
    return page


def nearest_part(record: Repeatability) -> str:
    """The part whose mean score lies nearest to the threshold."""
    return min(record.parts, key=lambda part: abs(mean_of(record.cells, part) - record.threshold))


def log_to_run(run_key: str, record: Repeatability) -> None:
    """Figures and page."""
    figures = {
        "repeatability_share": record.share.value,
        "repeatability_share_high": record.share.high,
        "repeatability_flipped_parts": len(record.flipped),
        "repeatability_agreement": record.together.same / record.together.total,
    }
    if record.distinct_categories is not None:
        figures["repeatability_distinct_categories"] = record.distinct_categories
    name = f"{record.category} repeatability"
    with run_of_model(run_key, name, category=record.category, version=record.model) as run:
        run.log_metrics(figures)
        for suffix in (".json", ".html"):
            run.log_files(repeatability_file(record.category).with_suffix(suffix), under="repeatability")
