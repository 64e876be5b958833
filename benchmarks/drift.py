"""How often the drift check alarms, on photographs that it should and should not alarm on: python -m benchmarks.drift

Needs the demo's models (make demo). Draws new photographs of a category, changes them by a ladder of levels, scores all
by the category's model, and judges 200 samples of 60 of each level. Five minutes on two cores.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from fastflow.detector import Detector
from pipelines.core.params import read_params
from pipelines.data.appearance import levels_of
from pipelines.demo.generate import PARTS, draw_defect, draw_good
from pipelines.monitoring.drift import reference_of
from pipelines.monitoring.drift_rules import judge
from pipelines.registry.detectors import open_detector

Pixels = NDArray[np.uint8]
POOL_IMAGES, NUM_SAMPLES, SAMPLE_IMAGES, SEED = 100, 200, 60, 1_000_003


def light(pixels: Pixels, level: float) -> Pixels:
    return np.asarray((pixels * level).clip(0, 255), np.uint8)


def contrast(pixels: Pixels, level: float) -> Pixels:
    mean = float(pixels.mean())
    return np.asarray((mean + level * (pixels - mean)).clip(0, 255), np.uint8)


def blur(pixels: Pixels, level: float) -> Pixels:
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(level)))


def noise(pixels: Pixels, level: float) -> Pixels:
    drawn = np.random.default_rng(int(pixels.sum())).normal(0, level, pixels.shape)
    return np.asarray((pixels + drawn).clip(0, 255), np.uint8)


def zoom(pixels: Pixels, level: float) -> Pixels:
    size = len(pixels)
    cut = round(level * size)
    return np.asarray(Image.fromarray(pixels).crop((cut, cut, size - cut, size - cut)).resize((size, size)))


LADDER: dict[str, tuple[Callable[[Pixels, float], Pixels], tuple[float, ...]]] = {
    "light, times": (light, (0.98, 0.95, 0.8)),
    "contrast, times": (contrast, (0.95, 0.8)),
    "blur, sigma in pixels": (blur, (0.5, 1.0, 2.0)),
    "noise, grey levels": (noise, (2.0, 8.0)),
    "closer, share cut at each side": (zoom, (0.01, 0.03, 0.1)),
}
DEFECTIVE_FRACTIONS = (0.02, 0.05, 0.1, 0.2, 0.4)


def scored(detector: Detector, photographs: Iterator[Pixels], *, size: int) -> pd.DataFrame:
    """What `pipelines.scoring.score` would write of these photographs."""
    rows = []
    for pixels in photographs:
        score = float(detector.predict(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])).pred_score[0])
        rows.append((score, size, size, *levels_of(pixels)))
    return pd.DataFrame(rows, columns=["pred_score", "width", "height", "brightness", "contrast", "sharpness"])


def defective(category: str, size: int) -> Iterator[Pixels]:
    types = PARTS[category][1]
    for number in range(POOL_IMAGES):
        kind = types[number % len(types)]
        yield draw_defect(category, f"test/{kind}", number, seed=SEED, size=size)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", default="weave", choices=PARTS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    limits, then, detector = read_params().drift, reference_of(args.category), open_detector(args.category)
    size = detector.frame.height
    good = [draw_good(args.category, "test/good", number, seed=SEED, size=size) for number in range(2 * POOL_IMAGES)]
    plain, bad = scored(detector, iter(good), size=size), scored(detector, defective(args.category, size), size=size)
    found: dict[str, dict[str, float]] = {}

    def report(name: str, draw: Callable[[np.random.Generator], pd.DataFrame]) -> None:
        kinds = [
            judge(
                draw(np.random.default_rng(number)), then.table,
                threshold=then.threshold, usual_rejects=limits.usual_rejects, least=limits.least,
            ).kind
            for number in range(NUM_SAMPLES)
        ]  # fmt: skip
        found[name] = {kind: kinds.count(kind) / NUM_SAMPLES for kind in ("camera", "scores", "defects")}
        print(f"{name:38} " + "  ".join(f"{kind} {share:6.1%}" for kind, share in found[name].items()), flush=True)

    def some(table: pd.DataFrame, draw: np.random.Generator) -> pd.DataFrame:
        return table.iloc[draw.permutation(len(table))[:SAMPLE_IMAGES]]

    def mixed(share: float, draw: np.random.Generator) -> pd.DataFrame:
        count = int(draw.binomial(SAMPLE_IMAGES, share))
        return pd.concat([some(bad, draw)[:count], some(plain, draw)[count:]])

    print(f"{args.category}: {NUM_SAMPLES} samples of {SAMPLE_IMAGES} photographs, each; alarms by kind")
    report("good, unchanged", partial(some, plain))
    for name, (change, levels) in LADDER.items():
        for level in levels:
            changed = scored(detector, (change(pixels, level) for pixels in good[:POOL_IMAGES]), size=size)
            report(f"{name} {level:g}", partial(some, changed))
    for share in DEFECTIVE_FRACTIONS:
        report(f"defective, share {share:g}", partial(mixed, share))
    if args.json:
        args.json.write_text(json.dumps({"category": args.category, "alarms": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
