"""The gate's operating characteristics: how often it promotes a challenger that is worse by so much, and how often it
holds up an equal one, by the number of test images.

Run as: python -m benchmarks.gate            prints a Markdown table; some minutes

Both models' scores are normal, of good images around 0 and of defective ones above, so that the champion's AUROC is
what is stated; they agree image by image to a correlation of 0.8, and each has a threshold that rejects 1 % of good
parts. Half of the images are defective, of two types. The pixels' rule is left out.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import norm

from pipelines.core.gate_params import GateRules
from pipelines.core.params import read_params
from pipelines.promotion.gate import rules_against
from pipelines.promotion.rules import Measured, Outcome, of_outcome

AGREEMENT, FALSE_REJECT_RATE = 0.8, 0.01
IMAGES, AUROCS, LOSSES = (20, 60, 200), (0.95, 0.99), (0.0, 0.02, 0.05, 0.1)
VERDICTS = ("promoted", "inconclusive", "refused")


def verdict(champion: Measured, challenger: Measured, rules: GateRules) -> str:
    found = rules_against(challenger, champion, rules)
    for name, outcome in (("refused", Outcome.FAILED), ("inconclusive", Outcome.INCONCLUSIVE)):
        if of_outcome(found, outcome):
            return name
    return "promoted"


def pair(images: int, auroc: float, loss: float, draw: np.random.Generator) -> tuple[Measured, Measured]:
    """Champion and challenger on the same images."""
    label = np.repeat([0, 1], images // 2)
    shared, *own = draw.normal(size=(3, images))
    both = [np.sqrt(AGREEMENT) * shared + np.sqrt(1 - AGREEMENT) * part for part in own]
    champion, challenger = (
        part + np.sqrt(2) * norm.ppf(found) * label for part, found in zip(both, (auroc, auroc - loss), strict=True)
    )
    return measured(champion, label), measured(challenger, label)


def measured(scores: NDArray[np.float64], label: NDArray[np.int64]) -> Measured:
    table = {
        "image_path": [f"{i}.png" for i in range(len(label))],
        "defect_type": np.where(label == 0, "good", np.where(np.arange(len(label)) % 2, "scratch", "dent")),
        "gt_label": label,
        "pred_score": scores,
        "pred_label": (scores > norm.ppf(1 - FALSE_REJECT_RATE)).astype(int),
    }
    return Measured(pd.DataFrame(table), aupro=None, pixels=None, architecture="", milliseconds_per_image=1.0)


def shares(images: int, auroc: float, loss: float, rules: GateRules, *, repeats: int) -> dict[str, float]:
    """Of each verdict."""
    draw = np.random.default_rng(0)
    counts = Counter(verdict(*pair(images, auroc, loss, draw), rules) for _ in range(repeats))
    return {name: counts[name] / repeats for name in VERDICTS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=500)
    repeats = parser.parse_args().repeats
    # misses are the comparison's here: a champion of AUROC .95 misses 40 % at that threshold
    rules = read_params(Path("params.yaml")).gate.of("").model_copy(update={"miss_rate": 1.0, "resamples": 500})
    print("| champion's AUROC | challenger's | test images | promoted | inconclusive | refused |")
    print("|---|---|---|---|---|---|")
    for auroc in AUROCS:
        for loss in LOSSES:
            for images in IMAGES:
                found = shares(images, auroc, loss, rules, repeats=repeats)
                cells = " | ".join(f"{100 * found[name]:.0f} %" for name in VERDICTS)
                print(f"| {auroc} | {auroc - loss:.2f} | {images} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
