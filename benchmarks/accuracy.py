"""Train and evaluate categories over several seeds, with the defaults of params.yaml: mean and deviation, one table.

    python -m benchmarks.accuracy --data-root DIR OTHER_DIR --category bottle tire --seeds 3 --json out.json \
        --markdown out.md

Without `--category`, every category of the folders. `--mvtec`: the fifteen of MVTec AD, the paper's figures beside ours
(`make bench-mvtec DATA=DIR`).

`--backbone` is a preset's name. `--set` changes single fields of the model, of the training or of tiles, for ablations:
`--set score=paper --set train.epochs=20 --set tiles.size=256`. The last epoch counts; with `--every 2` the test images
are also measured every two epochs, to show how far the last epoch is from the best. That is a measurement, never a
choice.
"""

import argparse
import json
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import yaml

from benchmarks.accuracy_table import METRICS, table
from benchmarks.published import MVTEC
from fastflow.evaluation import Scored, measure, score_images
from fastflow.files import write_text
from fastflow.fit import FINAL, Hooks, Progress, fit
from fastflow.index import list_category
from fastflow.mirror import mirrored_features
from fastflow.model import FastFlow, build_model
from fastflow.noise import AUTO
from fastflow.presets import DEFAULT
from fastflow.sizes import config_for
from fastflow.tiled import training_samples
from fastflow.tiles import TileSettings
from fastflow.train import calibrate
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params, read_params
from pipelines.training.resumable import fit_settings


class Category(NamedTuple):
    """A category's folder, its index, and the paths of its training and test images."""

    root: Path
    test: pd.DataFrame
    train_paths: list[Path]
    test_paths: list[Path]


def open_category(root: Path) -> Category:
    index = list_category(root)
    train, test = (index[index["split"] == split].reset_index(drop=True) for split in ("train", "test"))
    return Category(root, test, *([root / path for path in part["image_path"]] for part in (train, test)))


def find_categories(roots: list[Path], names: list[str]) -> dict[str, Path]:
    """The folder of each category by its name, in the order of `names`; of all in `roots` that hold `train/good` where
    no name is given.

    Raises:
        ValueError: a category that no folder holds, or two do.
    """
    found = {name: [root / name for root in roots if (root / name).is_dir()] for name in names}
    if not names:
        for folder in sorted(path.parent.parent for root in roots for path in root.glob("*/train/good")):
            found.setdefault(folder.name, []).append(folder)
    where = ", ".join(map(str, roots))
    if not found:
        raise ValueError(f"{where}: no category there; allowed: folders that hold <category>/train/good")
    for name, folders in found.items():
        if len(folders) != 1:
            raise ValueError(f"{where}: category {name} is there {len(folders)} times; allowed: once")
    return {name: folders[0] for name, folders in found.items()}


def run_seed(
    category: Category, args: argparse.Namespace, params: Params, overrides: dict[str, Any], seed: int
) -> dict[str, Any]:
    """One training and its measurements: the metrics at the last epoch, the seconds, and the curve if asked for."""
    start = time.perf_counter()
    paths = drawn(category.train_paths, args.images, seed=seed)
    device = choose_device(params.device)
    model = build_model(config_for(paths, args.backbone, **overrides), weights=args.weights, seed=seed).to(device)
    batch_size = params.evaluate.batch_size
    measured = partial(measure_now, category=category, batch_size=batch_size, original_size=args.original_size)
    samples = training_samples(model, paths, seed=seed, batch_size=batch_size)
    features = samples.features
    curve = []
    spent = 0.0

    def on_epoch(progress: Progress) -> None:
        nonlocal spent
        number = progress.epoch.epoch
        if progress.fold == FINAL and args.every and number % args.every == 0 and number < progress.epochs:
            pause = time.perf_counter()
            calibrate(model, features, batch_size=batch_size)
            curve.append({"epoch": number} | measured(model))
            spent += time.perf_counter() - pause

    settings = fit_settings(params, len(features[0])) | {"seed": seed}
    tries = params.train.augment == AUTO and samples.tiled is None
    mirrored = mirrored_features(model, paths, batch_size=batch_size) if tries else None
    fitted = fit(model, features, tiled=samples.tiled, mirrored=mirrored, hooks=Hooks(on_epoch=on_epoch), **settings)
    seconds = time.perf_counter() - start - spent
    metrics = measured(model)
    curve.append({"epoch": settings["epochs"]} | metrics)
    shown = "  ".join(f"{name} {metrics[name]:.4f}" for name in METRICS if metrics[name] is not None)
    chosen = {"noise": fitted.noise, "mirrored": fitted.mirrored}
    print(f"seed {seed}: {shown}  {settings['epochs']} epochs  {chosen}  {seconds:.0f} s", flush=True)
    return chosen | {"metrics": metrics, "epochs": settings["epochs"], "seconds": seconds, "curve": curve}


def drawn(paths: list[Path], count: int | None, *, seed: int) -> list[Path]:
    """So many of the files, in their order; all where `count` is None or not below their number."""
    if count is None or count >= len(paths):
        return paths
    return [paths[i] for i in sorted(np.random.default_rng(seed).permutation(len(paths))[:count])]


def measure_now(
    model: FastFlow, category: Category, batch_size: int, *, original_size: bool = False
) -> dict[str, float | None]:
    """The three metrics of the model as it stands; those of pixels at the model's size, or at the photographs' own."""
    detector = TrainedDetector(model=model, threshold={"image": 0, "pixel": 0, "low": 0})  # no metric here asks for it
    scored: Scored = score_images(detector, category.test_paths, batch_size=batch_size)
    values = measure(category.test, scored, category.root, original_size=original_size)
    return {name: value.value for name, value in values.items()}


def summarise(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """mean, std (of seeds, ddof 1) and per_seed of each metric; an undefined one is null."""
    summary: dict[str, Any] = {}
    for name in METRICS:
        values = [run["metrics"][name] for run in runs]
        known = np.array([v for v in values if v is not None])
        mean = float(known.mean()) if len(known) else None
        std = float(known.std(ddof=1)) if len(known) > 1 else None
        summary[name] = {"mean": mean, "std": std, "per_seed": values}
    return summary | {
        "epochs": runs[0]["epochs"],
        "noise": [run["noise"] for run in runs],
        "mirrored": [run["mirrored"] for run in runs],
        "seconds": float(np.mean([run["seconds"] for run in runs])),
        "curves": [run["curve"] for run in runs],
    }


def overrides_of(pairs: list[str], params: Params) -> tuple[dict[str, Any], Params]:
    """`--set` pairs to model overrides and changed parameters."""
    model = dict(params.model.overrides)
    train, tiles = params.train.model_dump(), dict[str, Any]()
    for key, value in _split(pairs):
        first, _, name = key.rpartition(".")
        {"train": train, "tiles": tiles}.get(first, model)[name if first else key] = value
    model |= {"tiles": TileSettings(**tiles)} if tiles else {}
    return model, Params.model_validate(params.model_dump() | {"train": train})


def _split(pairs: list[str]) -> Iterator[tuple[str, Any]]:
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SystemExit(f"--set {pair}: expected key=value")
        yield key, yaml.safe_load(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, nargs="+", required=True, help="folders that hold categories")
    parser.add_argument("--category", nargs="+", default=[], help="those to measure; all if not given")
    parser.add_argument("--mvtec", action="store_true", help="the fifteen of MVTec AD, with the paper's figures beside")
    parser.add_argument("--backbone", default=DEFAULT, help="a preset")
    parser.add_argument("--weights", default="imagenet", help="a .safetensors file, imagenet or random")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes")
    parser.add_argument("--images", type=int, help="so many good images, drawn by each seed; all if not given")
    parser.add_argument("--original-size", action="store_true", help="pixel metrics at the size of the photographs")
    parser.add_argument("--every", type=int, default=0, help="also measure every so many epochs")
    parser.add_argument("--json", type=Path, help="write the figures here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    args = parser.parse_args()
    overrides, params = overrides_of(args.changes, read_params())
    try:
        folders = find_categories(args.data_root, args.category or (list(MVTEC) if args.mvtec else []))
    except ValueError as error:
        parser.error(str(error))
    categories: dict[str, Any] = {}
    for name, folder in folders.items():
        print(f"{name}:", flush=True)
        category = open_category(folder)
        categories[name] = summarise([run_seed(category, args, params, overrides, seed) for seed in range(args.seeds)])
        write_figures(args, categories)  # after each: a night that is cut short has what it measured
    print(table(categories, paper=args.mvtec), end="")


def write_figures(args: argparse.Namespace, categories: dict[str, Any]) -> None:
    """The files asked for, of the categories measured so far."""
    if args.json:
        asked = {name: vars(args)[name] for name in ("backbone", "changes", "seeds", "images", "original_size")}
        write_text(args.json, json.dumps(asked | {"categories": categories}, indent=2) + "\n")
    if args.markdown:
        write_text(args.markdown, table(categories, paper=args.mvtec))


if __name__ == "__main__":
    main()
