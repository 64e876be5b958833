"""What each part of the default score is worth: one training a seed, measured under the default and single changes.

    python -m benchmarks.ablation --data-root DIR --category bottle --weights FILE --seeds 3 --json out.json

The same weights are scored in every row, so rows differ by the score alone. Choices about training are compared with
`python -m benchmarks.accuracy --set ...`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from benchmarks.accuracy import Category, open_category
from benchmarks.accuracy_table import METRICS
from fastflow.evaluation import Scored, measure
from fastflow.features import batches, extract_features
from fastflow.files import write_text
from fastflow.fit import fit
from fastflow.frame import picture_shape
from fastflow.model import FastFlow, build_model
from fastflow.score import SCORES, ScoreRule
from fastflow.sizes import config_for
from fastflow.train import calibrate
from pipelines.core.device import choose_device
from pipelines.core.params import Params, read_params
from pipelines.training.resumable import fit_settings

DEFAULT = SCORES["likelihood_by_area"]
ROWS: dict[str, ScoreRule] = {
    "likelihood by area (default)": DEFAULT,
    "image score of all scales alike": SCORES["likelihood"],
    "whole log-determinant": DEFAULT._replace(log_det_weight=1.0),
    "no log-determinant": DEFAULT._replace(log_det_weight=0.0),
    "not compressed": DEFAULT._replace(compress="none"),
    "no smoothing": DEFAULT._replace(smoothing=0.0),
    "image score: maximum": DEFAULT._replace(top_fraction=0.0),
    "image score: top 1 %": DEFAULT._replace(top_fraction=0.01),
    "image score: top 5 %": DEFAULT._replace(top_fraction=0.05),
    "paper's score": SCORES["paper"],
    "nll": SCORES["nll"],
}


def score_rows(category: Category, weights: str, params: Params, seed: int) -> list[dict[str, Any]]:
    """One trained model's metrics under every row."""
    model = build_model(
        config_for(category.train_paths, params.model.preset, **params.model.overrides), weights=weights, seed=seed
    )
    model.to(choose_device(params.device))
    size = params.evaluate.batch_size
    features, test_features = (
        extract_features(model, paths, batch_size=size, device=model.mean.device)
        for paths in (category.train_paths, category.test_paths)
    )
    fit(model, features, **fit_settings(params, len(features[0])) | {"seed": seed})
    rows: list[dict[str, Any]] = []
    for name, rule in ROWS.items():
        if not rows or rule.log_det_weight != model.rule.log_det_weight:
            model.rule = rule
            calibrate(model, features, batch_size=size)
        model.rule = rule
        found = measure(category.test, score_features(model, test_features, category, size), category.root)
        rows.append({"score": name, "seed": seed} | {metric: value.value for metric, value in found.items()})
    return rows


@torch.no_grad()
def score_features(model: FastFlow, features: list[Tensor], category: Category, batch_size: int) -> Scored:
    """Scores of the test pictures from features that are already there; the time per image is left out."""
    made = [model.score([f[part] for f in features]) for part in batches(len(features[0]), batch_size)]
    scores, maps = torch.cat([p.pred_score for p in made]), torch.cat([p.anomaly_map for p in made])
    shapes = [picture_shape(path) for path in category.test_paths]
    sizes = map(model.frame.place, shapes)
    cut = [one[0, :height, :width].cpu().numpy() for one, (height, width) in zip(maps, sizes, strict=True)]
    return Scored(scores.cpu().numpy(), cut, shapes, 0.0)


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Mean and standard deviation over the seeds, one line a score, in the order of `ROWS`."""
    frame = pd.DataFrame(rows).astype(dict.fromkeys(METRICS, float))
    grouped = frame.groupby("score", sort=False)[list(METRICS)]
    mean, std = grouped.mean(), grouped.std()
    return mean.map("{:.4f}".format) + " ± " + std.map("{:.4f}".format)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--category", required=True)
    parser.add_argument("--weights", default="imagenet")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    params = read_params()
    category = open_category(args.data_root / args.category)
    rows = [row for seed in range(args.seeds) for row in score_rows(category, args.weights, params, seed)]
    print(table(rows).to_string())
    if args.json:
        write_text(args.json, json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
