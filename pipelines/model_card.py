"""The notes of a run: what its model is, what it was measured to do, and what it promises."""

from collections.abc import Mapping

from fastflow.sealed import read_config
from pipelines.paths import model_folder

SHOWN = ("image_auroc", "pixel_auroc", "aupro", "num_train", "num_good", "num_defective", "milliseconds_per_image")


def model_card(category: str, numbers: Mapping[str, float]) -> str:
    """Markdown of about 15 lines, from the checkpoint and the metrics of its evaluation."""
    config = read_config(model_folder(category))
    model, threshold = config["model"], config["threshold"]
    size = "x".join(map(str, model["image_size"]))
    rows = "\n".join(f"| {name} | {numbers[name]:.6g} |" for name in SHOWN if name in numbers)
    return (
        f"## {category}: FastFlow on {model['backbone']}, {size} pixels\n\n"
        f"Finds defects in images of **{category}**; learnt from good images alone (seed {config['seed']}, "
        f"{config['epochs']} epochs, {config['train_seconds']:.0f} s).\n\n"
        f"| measured on the test images | |\n|---|---|\n{rows}\n\n"
        f"**Threshold** {threshold['image']:.6g}, for {threshold['false_reject_rate']:.1%} false rejects. "
        f"Guarantee: {threshold['guarantee']}.\n\n"
        "**Not for** other products, other cameras or other lighting than those of its images.\n"
    )
