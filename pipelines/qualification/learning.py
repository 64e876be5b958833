"""How many more photographs? Models trained on 8, 16, 32, ... of the good ones that are there, and all of them.

Run as: fastflow learning bottle
        fastflow learning bottle --more 60 --certify

Each training is the pipeline's own, on photographs drawn by its seed, and takes its threshold from them alone; then it
judges the good test pictures, which no training sees. Writes learning.json and learning.html of reports/<category>/,
and both to the run of the category's model in MLflow. No model is kept, and none is changed.
"""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastflow.errors import BadData
from fastflow.evaluation import score_images
from fastflow.files import file_sha256, write_text
from fastflow.fit import fit
from fastflow.index import read_index, verify_images
from fastflow.operating import operating_point
from fastflow.resume import training_key
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import LEARNING, STATE, index_file, model_folder, report_folder
from pipelines.core.pixel_rule import read_roi, read_rule, read_tiles
from pipelines.core.progress import progress
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.core.training_files import run_key_in
from pipelines.qualification.certify import steps_of
from pipelines.qualification.curves import curve_of
from pipelines.qualification.learning_file import (
    Learning,
    Limits,
    Point,
    begun_file,
    read_begun,
    write_begun,
)
from pipelines.qualification.learning_law import Outlook, outlook
from pipelines.qualification.learning_page import render
from pipelines.qualification.learning_words import answer, table
from pipelines.qualification.material import LEAST_IMAGES, PER_STEP, Options, sizes_for, unseen_good
from pipelines.qualification.model_run import run_of_model
from pipelines.qualification.trial import CURVES, Curve, Trial, planned
from pipelines.train import build
from pipelines.training.resumable import code_sha256, embed, fit_settings

FEWEST = 8
DEFECT = Curve("spot", 0.25)  # whose a90/95 is taken: one kind, as each training has its own
APART = 1.25  # the last power of two is at least so many times fewer than all


class Photographs(NamedTuple):
    """Paths of the good ones: to train on, with each one's hash, and unseen."""

    train: list[Path]
    contents: list[str]
    unseen: list[Path]


def learning(
    category: str, params: Params, *, num_seeds: int, more: int | None = None, certify: bool = False
) -> Learning:
    """The learning curve, after it is written. `more`: photographs that might be taken; None: as many again.

    Raises:
        BadData: too few unseen good pictures or training pictures, or not those of the index.
    """
    train, unseen = read_index(index_file(category), split="train"), unseen_good(category, params, what="a curve")
    root = Path(params.data.root) / category
    sizes = sizes_of(category, len(train))
    verify_images(train, root)
    pictures = Photographs(
        [root / path for path in train["image_path"]], list(train["sha256"]), [root / p for p in unseen["image_path"]]
    )
    key = key_of(category, params, num_seeds=num_seeds, certify=certify)
    points = trained(category, params, pictures, sizes, key=key, num_seeds=num_seeds, certify=certify)
    rejected = as_array(points, sizes, len(unseen))
    seen = outlook(
        sizes, rejected, more=more or len(train), target=params.threshold.false_reject_rate, seed=params.seed
    )
    result = Learning(
        category=category,
        key=key,
        target=params.threshold.false_reject_rate,
        points=points,
        more=more or len(train),
        outcome=seen.outcome,
        now=Limits(**seen.now._asdict()),
        then=Limits(**seen.then._asdict()),
        drop=Limits(**seen.drop._asdict()),
        **seen.law._asdict(),
    )
    write(result, seen)
    begun_file(category).unlink(missing_ok=True)
    return result


def sizes_of(category: str, count: int) -> list[int]:
    """8, 16, 32 and so on, and all. Raises BadData where these are one."""
    found = [FEWEST << power for power in range(20) if (FEWEST << power) * APART <= count]
    if not found:
        raise BadData(
            f"{category} has {count} good training images; a learning curve needs {round(FEWEST * APART)} at "
            "least, and says little of fewer than 32: photograph more good parts, and add them (fastflow init)"
        )
    return [*found, count]


def key_of(category: str, params: Params, *, num_seeds: int, certify: bool) -> str:
    """Of all that determines the points."""
    kept = params.model_dump(include={"seed": True, "train": True, "threshold": True, "model": True})
    images = file_sha256(index_file(category))
    tiles = read_tiles(category)
    cut = tiles.model_dump() if tiles else None
    return training_key(images=images, code=code_sha256(), params=kept, seeds=num_seeds, certify=certify, tiles=cut)


def trained(
    category: str,
    params: Params,
    pictures: Photographs,
    sizes: Sequence[int],
    *,
    key: str,
    num_seeds: int,
    certify: bool,
) -> list[Point]:
    """All points, fewest images first; those of an interrupted command are taken over."""
    wanted = [(size, params.seed + number) for size in sizes for number in range(num_seeds)]
    points = read_begun(category, key)
    done = {(point.images, point.seed) for point in points}
    STATE.mkdir(exist_ok=True)
    with progress("trainings", len(wanted), unit="training", done=len(done)) as advance:
        for size, seed in wanted:
            if (size, seed) in done:
                continue
            point = train_one(category, params, pictures, size=size, seed=seed, certify=certify)
            points.append(point)
            write_begun(category, key, points)
            count = len(point.rejected)
            log.info("%d images, seed %d: %d of %d unseen good pictures rejected", size, seed, count, point.total)
            advance()
    return sorted(points, key=lambda point: (point.images, point.seed))


def train_one(category: str, params: Params, pictures: Photographs, *, size: int, seed: int, certify: bool) -> Point:
    """One training, as the pipeline's, and its verdict on the unseen pictures."""
    own = params.model_copy(update={"seed": seed})
    rows = sorted(np.random.default_rng(seed).permutation(len(pictures.train))[:size].tolist())
    model = build(own, pictures.train, read_rule(category), read_roi(category), read_tiles(category))
    model.to(choose_device(params.device))
    embedded = embed(model, [pictures.train[row] for row in rows], own, folder=STATE)
    contents = [pictures.contents[row] for row in rows]
    fitted = fit(model, **embedded._asdict(), contents=contents, **fit_settings(own, len(embedded.features[0])))
    rate = params.threshold.false_reject_rate
    point = operating_point(fitted.normal, false_reject_rate=rate, bounds=model.rule.bounds)
    detector = TrainedDetector(model=model, threshold=point)
    scores = score_images(detector, pictures.unseen, batch_size=params.evaluate.batch_size).pred_score
    labels = [not score <= point["image"] for score in scores]
    rejected = [number for number, label in enumerate(labels) if label]
    accepted = [path for path, label in zip(pictures.unseen, labels, strict=True) if not label]
    certified = certify and len(accepted) >= LEAST_IMAGES
    limit = smallest_spot(detector, accepted, seed=params.seed) if certified else None
    return Point(images=size, seed=seed, rejected=rejected, total=len(labels), certified=certified, a90_95=limit)


def smallest_spot(detector: TrainedDetector, accepted: Sequence[Path], *, seed: int) -> float | None:
    """a90/95 of medium spots, in pixels, as the certificate has it; None where it was not reached."""
    sizes, number = sizes_for(accepted, detector.frame.rule, Options()), CURVES.index(DEFECT)
    drawings = [one for one in planned(len(sizes), PER_STEP, len(accepted), seed=seed) if one.curve == number]
    verdicts, _ = Trial(detector, accepted, seed=seed, anywhere=False).judge(drawings, sizes)
    return curve_of(*DEFECT, steps_of(number, verdicts, sizes), seed=seed).a90_95


def as_array(points: Sequence[Point], sizes: Sequence[int], total: int) -> NDArray[np.bool_]:
    """Which unseen pictures (T) are rejected at each number of images (S) by each seed (K), (S, K, T)."""
    rows = [[point.rejected for point in points if point.images == size] for size in sizes]
    return np.array([[np.isin(np.arange(total), numbers) for numbers in row] for row in rows])


def write(result: Learning, seen: Outlook) -> None:
    """The figures, then the page beside them; and to the run of the category's model."""
    about = {"made on": date.today().isoformat()} | project_version()
    figures = report_folder(result.category) / LEARNING[0]
    page = render(result, seen, about=about)
    write_text(figures, result.model_dump_json(indent=2) + "\n")
    write_text(figures.with_name(LEARNING[1]), page)
    log.info("see %s", figures.with_name(LEARNING[1]))
    name, run_key = f"{result.category} learning curve", run_key_in(model_folder(result.category))
    with run_of_model(run_key, name, category=result.category) as run:
        run.log_metrics({"learning_now": result.now.value, "learning_then": result.then.value})
        for file in LEARNING:
            run.log_files(report_folder(result.category) / file, under="learning")


def show(result: Learning, *, as_json: bool) -> None:
    """Prints the figures, or what they say."""
    if as_json:
        print(result.model_dump_json(indent=2))
        return
    print(pd.DataFrame(table(result)).to_string(index=False))
    print(f"{answer(result)}.")
