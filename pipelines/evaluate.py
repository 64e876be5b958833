"""Score a category's test images with its trained model; write reports/<category>/ and continue its MLflow run.

Everything comes from the checkpoint: size, normalisation, score. Registers the model as a version.
Run by DVC as: python -m pipelines.evaluate --category bottle
"""

import base64
import io
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image

from fastflow.evaluation import Scored, image_metrics, intervals, judge_regions, pixel_values, pixels, score_images
from fastflow.files import write_text
from fastflow.frame import read_framed
from fastflow.index import read_index, verify_images
from fastflow.roi import as_roi, share_of
from fastflow.sealed import FLOW, read_config, weights_id
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.experiment import REGISTER, experiment
from pipelines.core.experiment import tags as experiment_tags
from pipelines.core.params import Params
from pipelines.core.paths import MODEL_ID, QUALIFICATION, index_file, model_folder, model_name, report_folder
from pipelines.core.provenance import data_hash, provenance
from pipelines.core.region_rule import stated_regions
from pipelines.core.run import run_category_stage
from pipelines.core.stage import log
from pipelines.core.training_files import experiment_of, run_key_of
from pipelines.data.dataset_card import FILE as DATASET
from pipelines.data.dataset_card import dataset_card
from pipelines.data.reviewed import as_tags
from pipelines.registry.model_card import looked_at_size, model_card
from pipelines.registry.served_model import load_served
from pipelines.reporting.decision import FILE as DECISION
from pipelines.reporting.gallery import log_page, write_cases
from pipelines.reporting.pictures import Why
from pipelines.reporting.region_tables import held_out, write_regions
from pipelines.reporting.tables import TYPE_METRICS, Evaluated, score_table, tradeoff_table, write_tables
from pipelines.reporting.why import Compared, good_pictures, why
from pipelines.tracking import runs
from pipelines.tracking.runs import TrackedRun
from pipelines.training.normal_scores import normal_scores

EXAMPLE_SIDE_PIXELS = 1024


def evaluate(category: str, params: Params) -> None:
    folder = model_folder(category)
    key = run_key_of(folder)
    origin = provenance(category) | {"category": category, "seed": str(read_config(folder)["seed"])}
    # opened first: the process that uploads the run starts while images are scored
    with run_of(category, key, tags=origin) as run:
        text = score_and_report(category, params, run, origin=origin)
    version = str(run.result.get("version", "")) if run.result else ""
    registered = registered_as(category, version)
    write_about(category, params, run_key=run.key, registered=registered, version=version)
    log.info("%s: %s, registered as %s", category, text, registered)


def run_of(category: str, key: str, *, tags: Mapping[str, str]) -> AbstractContextManager[TrackedRun]:
    """The training's run again; a new one where an experiment evaluates what was not trained in it."""
    name = f"{category} evaluated"
    if experiment() not in ("", experiment_of(model_folder(category))):
        return runs.new_run(name, tags=tags)
    return runs.continued_run(key, name, tags=tags)


def registered_as(category: str, version: str) -> str:
    """What the report and the log say; an experiment's model is no version."""
    if name := experiment():
        return f"nothing, as it is the experiment {name}; to register it, once applied: {REGISTER} {category}"
    return f"{model_name(category)} version {version}" if version else f"{model_name(category)}, not sent to MLflow yet"


def score_and_report(category: str, params: Params, run: TrackedRun, *, origin: Mapping[str, str]) -> str:
    """Writes the category's report and logs it to the run; returns the metrics as text."""
    device = choose_device(params.device)
    detector = TrainedDetector.load(model_folder(category)).to(device)
    root, folder = Path(params.data.root) / category, report_folder(category)
    index = read_index(index_file(category), split="test")
    verify_images(index, root)
    paths = [root / path for path in index["image_path"]]
    log.info("%s: scoring %d test images, then metrics with their limits, and pictures", category, len(paths))
    scored = score_images(detector, paths, batch_size=params.evaluate.batch_size)
    threshold = detector.threshold
    found = evaluated(index, scored, root, detector, original_size=params.evaluate.original_size)
    rule = stated_regions(params, category)
    judged = judge_regions(index, scored, root, threshold=float(threshold["pixel"]), min_area=rule.min_area)
    facts = count_images(category, index) | {"milliseconds_per_image": round(scored.milliseconds_per_image, 1)}
    facts |= write_regions(folder, judged, rule=rule, threshold=threshold)
    tradeoff = tradeoff_table(normal_scores(category), found.scores, bounds=detector.model.rule.bounds)
    numbers = write_tables(folder, category, found, facts=facts, threshold=threshold, tradeoff=tradeoff)
    explain = partial(reasons, detector, category, index, root)
    write_cases(
        folder,
        index,
        scored,
        root,
        threshold=threshold,
        rule=detector.frame.rule,
        min_area=rule.min_area,
        explain=explain,
    )
    track(category, params, run, numbers, origin=origin)
    values = {name: found.metrics[name].value for name in TYPE_METRICS}  # metrics.json has all
    known = ", ".join(f"{name} {value:.4f}" for name, value in values.items() if value is not None)
    return known or f"without {', '.join(values)}: the test images do not allow them"


def evaluated(
    index: pd.DataFrame, scored: Scored, root: Path, detector: TrainedDetector, *, original_size: bool
) -> Evaluated:
    """Metrics of the scored images, and their intervals."""
    maps, masks = pixels(index, scored, root, original_size=original_size)
    metrics = image_metrics(index, scored.pred_score) | pixel_values(index, maps, masks)
    scores = score_table(index, scored.pred_score, threshold=detector.threshold["image"])
    scores = scores.assign(model=detector.version)  # other scores on these images are another model's
    return Evaluated(index, scores, maps, masks, metrics, intervals(index, scored.pred_score, maps, masks))


def reasons(
    detector: TrainedDetector, category: str, test: pd.DataFrame, root: Path, images: Sequence[Path]
) -> dict[Path, Why]:
    """Why these images have their scores; nothing of a model that looks at tiles, which has no explanation yet."""
    if detector.model.config.tiles is not None or not images:
        return {}
    unseen = [root / path for path in test.loc[test["gt_label"] == 0, "image_path"]]
    compared = Compared.of(good_pictures(category, "train", root), unseen)
    return dict(zip(images, why(detector, images, compared), strict=True))


def count_images(category: str, test: pd.DataFrame) -> dict[str, float]:
    train, label = read_index(index_file(category), split="train"), test["gt_label"]
    return {"num_train": len(train), "num_good": int((label == 0).sum()), "num_defective": int((label == 1).sum())}


def track(
    category: str,
    params: Params,
    run: TrackedRun,
    found: Mapping[str, float | None],
    *,
    origin: Mapping[str, str],
) -> None:
    """Adds metrics and report to the training's run, and has its model registered, where it is no experiment's."""
    folder = model_folder(category)
    numbers = {name: value for name, value in found.items() if value is not None}
    card, images = write_cards(category, params, numbers, origin)
    run.log_metrics(numbers)
    run.set_tags({"mlflow.note.content": card} | as_tags(images["review"]))
    rows = int(numbers["num_good"] + numbers["num_defective"])
    source = (Path(params.data.root) / category).as_posix()
    run.log_dataset(name=category, digest=data_hash(category), source=source, context="evaluation", rows=rows)
    write_about(category, params, run_key=run.key, registered="see the model registry")
    others = (DECISION, *QUALIFICATION)  # of another version
    run.log_files(report_folder(category), under="report", without=others)
    log_page(category, run)
    if experiment():
        return
    example, score = example_of(category, params)
    tags = model_tags(folder) | {"example_pred_score": repr(score)}
    if "image_auroc" in numbers:
        tags |= {"image_auroc": f"{numbers['image_auroc']:.6g}"}
    run.log_model(folder, category=category, example=example, tags=tags, description=card)


def write_cards(
    category: str, params: Params, numbers: Mapping[str, float], origin: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    """model_card.md and dataset.json, which are returned, too."""
    folder = report_folder(category)
    rows = pd.concat(read_index(index_file(category), split=split) for split in ("train", "test"))
    images = dataset_card(category, Path(params.data.root), rows)
    write_text(folder / DATASET, json.dumps(images, indent=2, ensure_ascii=False) + "\n")
    limits = json.loads((folder / "intervals.json").read_text())
    card = model_card(category, numbers, intervals=limits, images=images, origin=origin)
    write_text(folder / "model_card.md", card)
    return card, images


def model_tags(folder: Path) -> dict[str, str]:
    """Tags of a registered version about its weights and its threshold: what commands need, without the run, whose
    tags and metrics are many."""
    config = read_config(folder)
    weights = {f"sha256.{FLOW}": config["sha256"][FLOW], MODEL_ID: weights_id(config)}
    threshold = config["threshold"]
    rate = threshold.get("max_miss", threshold["false_reject_rate"])
    aim = {"threshold_method": threshold["method"], "threshold_rate": f"{rate:.6g}"}
    return weights | {"threshold": f"{threshold['image']:.6g}"} | aim


def example_of(category: str, params: Params) -> tuple[str, float]:
    """A training image as the model sees it, as a PNG in base64, and the score that the written checkpoint gives it."""
    served = load_served(model_folder(category))
    first = read_index(index_file(category), split="train")["image_path"].iloc[0]
    found = read_framed(Path(params.data.root) / category / first, served.detector.frame)
    file = io.BytesIO()
    image = Image.fromarray(found.pixels[: found.size[0], : found.size[1]])
    image.thumbnail((EXAMPLE_SIDE_PIXELS, EXAMPLE_SIDE_PIXELS))  # of a large one: it is kept with each version
    image.save(file, "PNG")
    score = served.predict(pd.DataFrame({"image": [file.getvalue()]}))["pred_score"].iloc[0]
    return base64.b64encode(file.getvalue()).decode(), float(score)


def write_about(category: str, params: Params, *, run_key: str, registered: str, version: str = "") -> None:
    """about.json: what the report's header shows of where this model comes from."""
    config = read_config(model_folder(category))
    model, threshold = config["model"], config["threshold"]
    about = {
        "backbone": model["backbone"],
        "weights": config["weights"],
        "image size": looked_at_size(model),
        "score": model["score"],
        "threshold": f"{threshold['image']:.6g}, for {threshold['false_reject_rate']:.1%} of good images",
        "threshold method": threshold["method"],
        "threshold guarantee": threshold["guarantee"],
        "pixel threshold": f"{threshold['pixel']:.6g}; {held_out(threshold)}",
        "epochs": str(config["epochs"]),
        "seed": str(config["seed"]),
        "training time": f"{config['train_seconds']:.0f} s",
        "images from": params.data.root,
        "registered as": registered,
        "MLflow run_key": run_key,
    }
    if roi := as_roi(model.get("roi")):
        about["region of interest"] = share_of(roi)
    about |= ({"version": version} if version else {}) | experiment_tags()
    write_text(report_folder(category) / "about.json", json.dumps(about | provenance(category), indent=2) + "\n")


if __name__ == "__main__":
    run_category_stage(evaluate, doc=__doc__)
