"""The card of a version, Markdown: use, measured metrics, threshold and its guarantee, images, provenance."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastflow.roi import Roi, as_roi, share_of
from fastflow.sealed import read_config
from pipelines.core.names import counted
from pipelines.core.paths import model_folder, model_name

FRACTIONS = ("image_auroc", "pixel_auroc", "aupro", "false_reject_rate", "miss_rate")
DECISION = "\n## Decision\n"
COUNTS = ("num_train", "num_good", "num_defective", "milliseconds_per_image")


def model_card(
    category: str,
    numbers: Mapping[str, float],
    *,
    intervals: Mapping[str, Sequence[float]],
    images: Mapping[str, Any],
    origin: Mapping[str, str],
) -> str:
    """From the checkpoint, the metrics of its evaluation and their 95 % limits, its dataset.json, its provenance."""
    config = read_config(model_folder(category))
    model, threshold = config["model"], config["threshold"]
    return (
        f"# {category}: FastFlow on {model['backbone']}, {looked_at_size(model)} pixels\n\n"
        f"Finds defects in photographs of **{category}**, and where they are; learnt from good images alone.\n\n"
        "## Use\n"
        f"- For photographs like those it was trained on: the same product, view, camera and light. "
        f"`pred_score` above {threshold['image']:.6g} means: not like the good ones.\n"
        f"{region_line(as_roi(model.get('roi')))}"
        "- Not for other products, cameras or lights, nor as the only guard where a missed defect can harm people.\n"
        "- It knows no kinds of defects. One that is smaller than a few of its pixels, or changes the look of the part "
        "less than good parts differ among themselves, is missed.\n\n"
        f"## Measured\n{metrics_table(numbers, intervals)}\n\n"
        "On the test images of this category, which no choice was made on. Metrics with `oracle` in their name choose "
        "a threshold on them, and are not shown here.\n\n"
        "## Threshold\n"
        f"{threshold['image']:.6g}, for {threshold['false_reject_rate']:.1%} false rejects, by method "
        f"`{threshold['method']}` from {threshold['num_normal']} good training images. Guarantee: "
        f"{threshold['guarantee']}.\n\n"
        f"## Load\n```python\n"
        f'mlflow.pyfunc.load_model("models:/{model_name(category)}@champion").predict(["part.png"])  # or /<version>\n'
        "```\nin an environment with this project's package; takes paths, bytes or base64, gives `pred_score`, "
        "`pred_label`.\n\n"
        "## Images\n"
        f"{images['source']}, DVC hash `{images['dvc_md5']}`. Licence: {images['licence']}. {images['left_out']} left "
        f"out, {images['noted']} noted by the checks.{reviewed(images.get('review'))}\n\n"
        "## Provenance\n"
        f"Seed {config['seed']}, {config['epochs']} epochs, {config['train_seconds']:.0f} s; backbone weights: "
        f"`{weights_name(config['weights'])}`; commit `{origin['git_commit']}`"
        f"{', with changes that are in no commit' if origin['git_dirty'] == 'true' else ''}; torch {origin['torch']}, "
        f"timm {origin['timm']}.\n"
    )


def reviewed(found: Mapping[str, Any] | None) -> str:
    """A sentence on pictures that inspectors decided on, where there are any."""
    if not found:
        return ""
    defects = sum(found["defects"].values())
    return (
        f" From the review of the line, until {found['last'][:10]}: {counted(found['good'], 'good training image')} "
        f"and {counted(defects, 'defective test image')}, which the model of the time helped to find."
    )


def looked_at_size(model: Mapping[str, Any]) -> str:
    """Of a checkpoint's configuration, such as 256x256; with tiles: 1260x500 in tiles of 256x256."""
    size, tiles = "x".join(map(str, model["image_size"])), model.get("tiles")
    return f"{'x'.join(map(str, tiles['picture']))} in tiles of {size}" if tiles else size


def region_line(roi: Roi | None) -> str:
    """A line on the region of interest, where there is one."""
    return (
        f"- It looks at a region of interest alone, {share_of(roi)}: what lies outside is not judged.\n" if roi else ""
    )


def with_decision(card: str, decision: Mapping[str, Any], verdict: str) -> str:
    """The card with the gate's decision in place of an earlier one: `verdict` in words, and a line a rule."""
    champion = f"beside version {decision['champion']}" if decision["champion"] else "as the first champion"
    rules = "\n".join(f"- {rule['outcome']}: `{rule['name']}`, {rule['sentence']}" for rule in decision["rules"])
    return f"{card.partition(DECISION)[0].rstrip()}\n{DECISION}{verdict}, {champion}, {decision['time']}\n\n{rules}\n"


def metrics_table(numbers: Mapping[str, float], intervals: Mapping[str, Sequence[float]]) -> str:
    lines = ["| | | 95 % |", "|---|---|---|"]
    for name in (*FRACTIONS, *COUNTS):
        if name in numbers:
            limits = " to ".join(f"{limit:.4f}" for limit in intervals.get(name, ()))
            value = f"{numbers[name]:.4f}" if name in FRACTIONS else f"{numbers[name]:g}"
            lines.append(f"| {name} | {value} | {limits} |")
    return "\n".join(lines)


def weights_name(weights: str) -> str:
    """A file by its name alone: its folder is private."""
    return weights.replace("\\", "/").rpartition("/")[2]
