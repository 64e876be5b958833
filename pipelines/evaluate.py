"""Score a category's test images with its trained model; write reports/<category>/ and continue its MLflow run.

Everything comes from the checkpoint: size, normalisation, score. Registers the model as a version.
Run by DVC as: python -m pipelines.evaluate --category bottle
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from fastflow.checkpoint import load_checkpoint, read_config
from fastflow.data import read_masks
from fastflow.decode import read_image
from fastflow.evaluation import Scored, image_metrics, intervals, mask_paths, pixel_values, pixels, score_images
from fastflow.index import read_index
from pipelines import registry, tracking
from pipelines.device import choose_device
from pipelines.params import Params
from pipelines.paths import index_file, model_folder, normal_scores, report_folder
from pipelines.pictures import Case, choose_cases, write_pictures
from pipelines.provenance import provenance
from pipelines.stage import log, run_category_stage
from pipelines.tables import Evaluated, score_table, tradeoff_table, write_tables


def evaluate(category: str, params: Params) -> None:
    device = choose_device(params.device)
    model = load_checkpoint(model_folder(category)).to(device)
    root, folder = Path(params.data.root) / category, report_folder(category)
    index = read_index(index_file(category), split="test")
    paths = [root / path for path in index["image_path"]]
    scored = score_images(model, paths, batch_size=params.evaluate.batch_size, device=device)
    threshold = read_config(model_folder(category))["threshold"]
    found = evaluated(index, scored, root, threshold=threshold["image"], original_size=params.evaluate.original_size)
    facts = count_images(category, index) | {"milliseconds_per_image": round(scored.milliseconds_per_image, 1)}
    tradeoff = tradeoff_table(normal_scores(category), found.scores, bounds=model.rule.bounds)
    numbers = write_tables(folder, category, found, facts=facts, threshold=threshold, tradeoff=tradeoff)
    write_cases(folder, category, index, scored, root)
    version = track(category, params, numbers)
    text = ", ".join(f"{n} {'undefined' if v.value is None else f'{v.value:.4f}'}" for n, v in found.metrics.items())
    log.info("%s: %s, registered as %s version %s", category, text, registry.model_name(category), version)


def evaluated(index: pd.DataFrame, scored: Scored, root: Path, *, threshold: float, original_size: bool) -> Evaluated:
    """Metrics of the scored images, and their intervals."""
    maps, masks = pixels(index, scored, root, original_size=original_size)
    metrics = image_metrics(index, scored.pred_score) | pixel_values(index, maps, masks)
    scores = score_table(index, scored.pred_score, threshold=threshold)
    return Evaluated(index, scores, maps, masks, metrics, intervals(index, scored.pred_score, maps, masks))


def count_images(category: str, test: pd.DataFrame) -> dict[str, float]:
    train, label = read_index(index_file(category), split="train"), test["gt_label"]
    return {"num_train": len(train), "num_good": int((label == 0).sum()), "num_defective": int((label == 1).sum())}


def write_cases(folder: Path, category: str, index: pd.DataFrame, scored: Scored, root: Path) -> None:
    """Pictures of chosen images: worst misses, worst false alarms, typical ones; heat on one scale a category."""
    size = scored.anomaly_maps.shape[1:]
    masks = mask_paths(index, root)
    cases = [
        Case(
            image_path=index["image_path"][i],
            defect_type=index["defect_type"][i],
            gt_label=int(index["gt_label"][i]),
            pred_score=float(scored.pred_score[i]),
            image=read_image(root / index["image_path"][i], image_size=size),
            anomaly_map=scored.anomaly_maps[i],
            gt_mask=read_masks([masks[i]], image_size=size)[0],
        )
        for i in choose_cases(index.assign(pred_score=scored.pred_score))
    ]
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    threshold = read_config(model_folder(category))["threshold"]
    write_pictures(folder / "pictures", cases=cases, low=threshold["low"], threshold=threshold["pixel"])


def track(category: str, params: Params, found: Mapping[str, float | None]) -> str:
    """Adds metrics and report to the training's run, and registers its model; returns the version."""
    folder = report_folder(category)
    numbers = {name: value for name, value in found.items() if value is not None}
    tracking.connect()
    with run_of(category) as (run, model_uri):
        run.log_metrics(numbers)
        tags = {name: f"{value:.6g}" for name, value in numbers.items()}
        version = registry.register(model_uri, category=category, tags=tags | {"run_id": run.run_id})
        write_about(category, params, run_id=run.run_id, version=version)
        run.log_files(folder, under="report")
    return version


@contextmanager
def run_of(category: str) -> Iterator[tuple[tracking.TrackedRun, str]]:
    """The training's run and model; on a store that does not know them (another machine's), an adopted copy."""
    folder = model_folder(category)
    address = json.loads((folder / "run.json").read_text())
    with tracking.continued_run(address["run_id"]) as run:
        if run is not None:
            yield run, address["model_uri"]
            return
    tags = provenance(category) | {"category": category, "adopted_from": address["run_id"]}
    with tracking.new_run(f"{category} adopted", tags=tags) as run:
        yield run, registry.log_model(folder, category=category)


def write_about(category: str, params: Params, *, run_id: str, version: str) -> None:
    """about.json: what the report's header shows of where this model comes from."""
    config = read_config(model_folder(category))
    model, threshold = config["model"], config["threshold"]
    about = {
        "backbone": model["backbone"],
        "weights": config["weights"],
        "image size": "x".join(map(str, model["image_size"])),
        "score": model["score"],
        "threshold": f"{threshold['image']:.6g}, for {threshold['false_reject_rate']:.1%} of good images",
        "threshold guarantee": threshold["guarantee"],
        "epochs": str(config["epochs"]),
        "seed": str(config["seed"]),
        "training time": f"{config['train_seconds']:.0f} s",
        "images from": params.data.root,
        "registered as": f"{registry.model_name(category)} version {version}",
        "MLflow run": run_id,
    }
    text = json.dumps(about | provenance(category), indent=2)
    (report_folder(category) / "about.json").write_text(text + "\n")


if __name__ == "__main__":
    sys.exit(run_category_stage(evaluate, doc=__doc__))
