"""Two models of a category side by side, scored now on the same test images: what changed, and for which images.

Run as: fastflow compare bottle                                  its champion, and models/bottle
        fastflow compare --category bottle models:/fastflow-bottle/3 models:/fastflow-bottle/7
        fastflow compare                                         all categories

Writes compare.html. Models are named as `fastflow score --model` takes them; {category} stands for each category.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from fastflow.data import read_masks
from fastflow.decode import read_image
from fastflow.evaluation import Scored, image_metrics, mask_paths, pixel_values, pixels, score_images
from fastflow.files import write_text
from fastflow.index import read_index
from fastflow.metrics.paired import auroc_difference
from fastflow.metrics.rates import error_rates
from fastflow.pixels.meaning import PixelRule
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import CHAMPION_MODEL, index_file
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.promotion.comparison_page import COMPARED, MILLISECONDS, SAME, Compared, Flipped, Side, render
from pipelines.promotion.evaluation_set import ROUNDS
from pipelines.registry.checkpoints import checkpoint_of, require_own
from pipelines.reporting.pictures import Triplet, triplet
from pipelines.reporting.tables import Evaluated, defect_table, score_table

THE_TRAINED = "{category}"  # models/<category>
PAGE = Path("compare.html")
FLIPPED_SHOWN = 24  # flipped images that a category's page shows


class Opened(NamedTuple):
    """A model by the name that was given, and by its version."""

    name: str
    version: str
    detector: TrainedDetector


class Judged(NamedTuple):
    """One of the two: its side of the page, its scored images, where its heat begins and is a defect, how it reads."""

    side: Side
    scored: Scored
    threshold: dict[str, float]
    label: "pd.Series[int]"
    rule: PixelRule


def write_comparison(
    models: Sequence[str],
    params: Params,
    *,
    categories: Sequence[str] = (),
    to: Path | None = None,
    as_json: bool = False,
) -> None:
    """Compares two models on the test images of each category, by default all; prints a table and writes the page.

    `models`: the first is by default the champion, the second models/<category>.

    Raises:
        ValueError: more than two models, or a model that is not there.
    """
    if len(models) > 2:
        raise ValueError(f"two models are compared, got {len(models)}: {', '.join(models)}")
    first, second = [*models, *[CHAMPION_MODEL, THE_TRAINED][len(models) :]]
    found = [compare(c, params, first, second) for c in categories or params.data.categories]
    write_text(to or PAGE, render(found, about=project_version()))
    print(json.dumps({one.category: figures_of(one) for one in found}, indent=2) if as_json else table_of(found))
    log.info("wrote %s", to or PAGE)


def compare(category: str, params: Params, first: str, second: str) -> Compared:
    """Raises what `checkpoint_of` and `require_own` of pipelines.registry.checkpoints do, before an image is scored."""
    models = [opened(name.format(category=category), category, params) for name in (first, second)]
    index, root = read_index(index_file(category), split="test"), Path(params.data.root) / category
    rules = params.gate.of(category)
    both = [judged(index, root, params, model) for model in models]
    one, other = both
    difference = None
    if index["gt_label"].nunique() == 2:
        found = auroc_difference(
            one.scored.pred_score,
            other.scored.pred_score,
            index["gt_label"],
            confidence=rules.confidence,
            resamples=rules.resamples,
        )
        difference = (found.value, found.lower)
    rows = np.flatnonzero(one.label.to_numpy() != other.label.to_numpy())
    return Compared(
        category=category,
        first=one.side,
        second=other.side,
        difference=difference,
        confidence=rules.confidence,
        flipped=[flipped(index, root, int(row), one, other) for row in rows[:FLIPPED_SHOWN]],
        num_flipped=len(rows),
        same=np.array_equal(one.scored.pred_score, other.scored.pred_score) and one.threshold == other.threshold,
    )


def opened(name: str, category: str, params: Params) -> Opened:
    with checkpoint_of(name) as found:
        require_own(found.category, category, params.data.categories, model=name)
        detector = found.open().to(choose_device(params.device))
        version = found.version if name.startswith("models:") else f"{found.folder} ({found.version})"
    return Opened(name, version, detector)


def judged(index: pd.DataFrame, root: Path, params: Params, model: Opened) -> Judged:
    """A model on all test images."""
    detector = model.detector
    log.info("scoring %d test images with %s", len(index), model.name)
    threshold = dict(detector.threshold)
    paths = [root / path for path in index["image_path"]]
    size = params.evaluate.batch_size
    scored = score_images(detector, paths, batch_size=size)
    few = [score_images(detector, paths[: 2 * size], batch_size=size) for _ in range(ROUNDS)]
    maps, masks = pixels(index, scored, root)
    metrics = image_metrics(index, scored.pred_score) | pixel_values(index, maps, masks)
    scores = score_table(index, scored.pred_score, threshold=threshold["image"])
    rates = error_rates(scores["gt_label"], scores["pred_label"])
    types = defect_table(Evaluated(index, scores, maps, masks, metrics, {}))
    numbers = {name: value.value for name, value in metrics.items()} | rates
    numbers |= {MILLISECONDS: min(one.milliseconds_per_image for one in (scored, *few))}  # the least disturbed
    side = Side(model.version, threshold["image"], numbers, types, detector.frame.roi)
    return Judged(side, scored, threshold, scores["pred_label"], detector.frame.rule)


def flipped(index: pd.DataFrame, root: Path, row: int, first: Judged, second: Judged) -> Flipped:
    """An image that the two judge differently, with the heat of each on its own scale."""
    found = index.iloc[row]
    pictures = [
        pictures_of(root / found["image_path"], mask_paths(index, root)[row], one, row) for one in (first, second)
    ]
    return Flipped(
        image_path=found["image_path"],
        defect_type=found["defect_type"],
        gt_label=int(found["gt_label"]),
        scores=(float(first.scored.pred_score[row]), float(second.scored.pred_score[row])),
        labels=(int(first.label.iloc[row]), int(second.label.iloc[row])),
        heats=(pictures[0].heat, pictures[1].heat),
        truth=pictures[1].contours,
    )


def pictures_of(path: Path, mask: Path | None, one: Judged, row: int) -> Triplet:
    anomaly_map = one.scored.anomaly_maps[row]
    height, width = anomaly_map.shape
    image = read_image(path, image_size=(height, width), rule=one.rule)
    (gt_mask,) = read_masks([mask], sizes=[(height, width)])
    return triplet(image, anomaly_map, gt_mask, low=one.threshold["low"], threshold=one.threshold["pixel"])


def table_of(found: list[Compared]) -> str:
    """Lines of a table for a terminal."""
    wide = max(map(len, COMPARED))
    lines = []
    for one in found:
        lines.append(f"{one.category}, first: {one.first.version}, second: {one.second.version}")
        lines.append(f"  {'metric':{wide}} {'first':>9} {'second':>9} {'change':>9}")
        for name, then, now in one.pairs():
            if then is not None and now is not None:
                digits = 1 if name == MILLISECONDS else 4
                lines.append(f"  {name:{wide}} {then:9.{digits}f} {now:9.{digits}f} {now - then:+9.{digits}f}")
        lines.append(f"  {'verdicts flipped':{wide}} {one.num_flipped:9}")
        if one.same:
            lines.append(f"  {SAME}")
        if one.regions():
            lines.append(f"  {one.regions()}")
    return "\n".join(lines)


def figures_of(one: Compared) -> dict[str, Any]:
    versions = {"first": one.first.version, "second": one.second.version}
    pairs = {name: {"first": then, "second": now} for name, then, now in one.pairs()}
    return {"versions": versions, "metrics": pairs, "flipped": one.num_flipped, "regions": one.regions()}
