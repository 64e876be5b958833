"""How much may light, focus and position change? Good photographs that a model has not seen, changed in steps.

Run as: fastflow tolerance bottle
        fastflow tolerance bottle --limit 2%

A change is tolerated up to the step before the first at which more good pictures are rejected than the limit allows: at
which the exact 95 % limits of their rate lie above it. Later steps are not tried. Writes tolerance.json and
tolerance.html of reports/<category>/, and both to the model's run in MLflow. Nothing here changes the model.
"""

from datetime import date
from pathlib import Path

from fastflow.files import write_text
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import TOLERANCE, report_folder
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.qualification.material import images_sha256, unseen_good
from pipelines.qualification.model_run import run_of_model
from pipelines.qualification.tolerance_file import Tolerance
from pipelines.qualification.tolerance_page import render
from pipelines.qualification.tolerance_trial import Trial
from pipelines.qualification.tolerance_words import TITLES, by_kind, row
from pipelines.qualification.tolerance_words import limit as limit_words
from pipelines.registry.checkpoints import checkpoint_of, require_own

MOST_IMAGES = 60  # more are drawn from by chance


def tolerance(category: str, params: Params, *, limit: float | None = None, model: str | None = None) -> Tolerance:
    """What is tolerated, after it is written. `limit`: of the false-reject rate; None: the one the threshold is for.

    Raises:
        BadData: too few unseen good pictures, or pictures that are not those of the index; a model that rejects more of
            them than the limit as they are.
    """
    found = unseen_good(category, params, what="a tolerance")
    if len(found) > MOST_IMAGES:
        found = found.sample(MOST_IMAGES, random_state=params.seed).sort_index().reset_index(drop=True)
    paths = [Path(params.data.root) / category / path for path in found["image_path"]]
    with checkpoint_of(model or category) as named:
        require_own(named.category, category, params.data.categories, model=model or category)
        run_key, detector = named.run_key, named.open().to(choose_device(params.device))
        most = float(detector.threshold.get("false_reject_rate") or params.threshold.false_reject_rate)
        trial = Trial(detector, paths, seed=params.seed, limit=limit or most)
        result = Tolerance(
            category=category,
            model=named.version,
            weights=named.weights,
            threshold=float(detector.threshold["image"]),
            seed=params.seed,
            limit=trial.limit,
            images=images_sha256(found),
            height=trial.shape[0],
            width=trial.shape[1],
            grey=trial.grey,
            unchanged=trial.unchanged(category),
            changes=trial.run(),
        )
        write(result, trial)
        log_to_run(run_key, result)
    return result


def write(result: Tolerance, trial: Trial) -> None:
    """The figures, then the page beside them."""
    about = {"model": result.model, "made on": date.today().isoformat()} | project_version()
    figures = report_folder(result.category) / TOLERANCE[0]
    page = render(result, trial, about=about)
    write_text(figures, result.model_dump_json(indent=2) + "\n")
    write_text(figures.with_name(TOLERANCE[1]), page)
    log.info("see %s", figures.with_name(TOLERANCE[1]))


def show(result: Tolerance, *, as_json: bool) -> None:
    """Prints the figures, or what they say."""
    if as_json:
        print(result.model_dump_json(indent=2))
        return
    for kind, changes in by_kind(result).items():
        print(f"{TITLES[kind]}: {row(changes)}")
    print(f"{limit_words(result)}.")


def log_to_run(run_key: str, result: Tolerance) -> None:
    """Figures and page."""
    allowed = {
        f"tolerates_{one.name.replace(' ', '_').lower()}": one.allowed
        for one in result.changes
        if one.allowed is not None
    }
    name = f"{result.category} tolerance"
    with run_of_model(run_key, name, category=result.category, version=result.model) as run:
        run.log_metrics(allowed)
        for file in TOLERANCE:
            run.log_files(report_folder(result.category) / file, under="tolerance")
