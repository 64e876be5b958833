"""What can a model find, and from which size on? Defects are drawn on good photographs that it has not seen.

Run as: fastflow certify bottle
        fastflow certify bottle --mm-per-pixel 0.05

Writes reports/<category>/certificate.json and certificate.html, and both to the model's run in MLflow. The verdict is
the model's own, at its own threshold. Nothing here changes the model, and no picture of a real defect is opened.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from fastflow.evaluation import score_images
from fastflow.files import write_text
from fastflow.frame import picture_shape
from fastflow.index import read_index, verify_images
from fastflow.metrics.rates import rate_interval
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import RUN, certificate_file, index_file
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.core.training_files import run_key_of
from pipelines.qualification.certificate import Certificate, FalseCalls, Step, write_certificate
from pipelines.qualification.certificate_page import render
from pipelines.qualification.curves import curve_of
from pipelines.qualification.sentences import sentence
from pipelines.qualification.trial import CURVES, Drawing, Example, Trial, Verdict, planned
from pipelines.registry.checkpoints import Named, checkpoint_of
from pipelines.tracking import runs

LEAST_IMAGES = 10
NUM_STEPS, PER_STEP = 12, 8
SMALLEST, LARGEST = 0.01, 0.32  # of the pictures' shorter side
LEAST_PIXELS = 2.0


class Options(NamedTuple):
    """What a person may choose. Sizes in pixels of the photograph, None: `SMALLEST` and `LARGEST`."""

    mm_per_pixel: float | None = None
    smallest: float | None = None
    largest: float | None = None
    per_step: int = PER_STEP
    anywhere: bool = False


def certify(category: str, params: Params, *, model: str | None = None, options: Options | None = None) -> Certificate:
    """The certificate, after it is written.

    Raises:
        BadData: too few unseen good pictures, or pictures that are not those of the index; a model whose score is the
            same for all, or that rejects too many of them.
        ValueError: sizes that cannot be.
    """
    chosen = options or Options()
    images = unseen_good(category, params)
    root = Path(params.data.root) / category
    paths = [root / path for path in images["image_path"]]
    with checkpoint_of(model or category) as named:
        detector = named.open().to(choose_device(params.device))
        sizes = sizes_for(paths, detector, chosen)
        labels = good_labels(category, detector, paths, batch_size=params.evaluate.batch_size)
        accepted = [path for path, label in zip(paths, labels, strict=True) if not label]
        trial = Trial(detector, accepted, seed=params.seed, anywhere=chosen.anywhere)
        drawings = planned(len(sizes), chosen.per_step, len(accepted), seed=params.seed)
        log.info("%s: %d defects on %d unseen good pictures", category, len(drawings), len(accepted))
        verdicts, examples = trial.judge(drawings, sizes)
        certificate = certificate_of(category, named, detector, images, labels, trial, verdicts, sizes, params, chosen)
        write(certificate, examples, detector)
        log_to_run(named, certificate)
    return certificate


def unseen_good(category: str, params: Params) -> pd.DataFrame:
    """Rows of the good test pictures. Raises BadData where they are too few, or not those that were checked."""
    index = read_index(index_file(category), split="test")
    found = index[index["gt_label"] == 0].reset_index(drop=True)
    if len(found) < LEAST_IMAGES:
        raise BadData(
            f"{category} has {len(found)} good pictures that the model has not seen (test/good); a certificate needs "
            f"{LEAST_IMAGES} at least, and 60 make it firm: photograph more good parts, and add them (fastflow init)"
        )
    verify_images(found, Path(params.data.root) / category)
    return found


def sizes_for(paths: Sequence[Path], detector: TrainedDetector, chosen: Options) -> list[float]:
    """The steps of size, pixels, three digits each. Raises ValueError."""
    shorter = min(min(picture_shape(path, detector.frame.rule)) for path in paths)
    low = max(LEAST_PIXELS, SMALLEST * shorter) if chosen.smallest is None else chosen.smallest
    high = LARGEST * shorter if chosen.largest is None else chosen.largest
    if not 1 <= low < high / 1.5 or high > shorter:
        raise ValueError(
            f"defects from {low:g} to {high:g} pixels; allowed: 1 or more, the largest at least 1.5 times the "
            f"smallest, and at most {shorter}, the shorter side of the smallest picture; see --smallest and --largest"
        )
    return [float(f"{size:.3g}") for size in np.geomspace(low, high, NUM_STEPS)]


def good_labels(category: str, detector: TrainedDetector, paths: Sequence[Path], *, batch_size: int) -> list[int]:
    """1 for each good picture that is rejected. Raises BadData where a certificate would say nothing."""
    scores = score_images(detector, paths, batch_size=batch_size).pred_score
    if len(np.unique(scores)) == 1:
        raise BadData(
            f"{category}: every good picture gets the same score, {scores[0]:g}, so the model tells nothing apart; see "
            "that the pictures differ (fastflow validate), and train it again"
        )
    labels = [int(not score <= detector.threshold["image"]) for score in scores]
    if len(labels) - sum(labels) < LEAST_IMAGES:
        raise BadData(
            f"{category}: the model rejects {sum(labels)} of {len(labels)} unseen good pictures, and {LEAST_IMAGES} "
            "that it accepts are needed to draw on; take another threshold (fastflow threshold), or train on more"
        )
    return labels


def certificate_of(
    category: str,
    named: Named,
    detector: TrainedDetector,
    images: pd.DataFrame,
    labels: Sequence[int],
    trial: Trial,
    verdicts: Mapping[Drawing, Verdict],
    sizes: Sequence[float],
    params: Params,
    chosen: Options,
) -> Certificate:
    """All figures."""
    count, total = sum(labels), len(labels)
    low, high = rate_interval(count, total)
    height, width = picture_shape(Path(params.data.root) / category / images["image_path"][0], detector.frame.rule)
    return Certificate(
        category=category,
        model=named.version,
        weights=named.weights,
        threshold=float(detector.threshold["image"]),
        seed=params.seed,
        images=hashlib.sha256("\n".join(images["sha256"]).encode()).hexdigest(),
        height=height,
        width=width,
        part_share=float(f"{np.mean(list(trial.part_shares.values())):.4g}"),
        per_step=chosen.per_step,
        mm_per_pixel=chosen.mm_per_pixel,
        false_calls=FalseCalls(count=count, total=total, low=low, high=high),
        curves=[
            curve_of(*curve, steps_of(number, verdicts, sizes), seed=params.seed) for number, curve in enumerate(CURVES)
        ],
    )


def steps_of(curve: int, verdicts: Mapping[Drawing, Verdict], sizes: Sequence[float]) -> list[Step]:
    """What was found of each size."""
    steps = []
    for number, size in enumerate(sizes):
        here = [verdict for drawing, verdict in verdicts.items() if (drawing.curve, drawing.step) == (curve, number)]
        found = [verdict for verdict in here if verdict.found]
        located = sum(verdict.located for verdict in found)
        steps.append(Step(size=size, drawn=len(here), found=len(found), located=located))
    return steps


def write(certificate: Certificate, examples: Mapping[Drawing, Example], detector: TrainedDetector) -> None:
    """The figures, then the page beside them."""
    about = {"model": certificate.model, "made on": date.today().isoformat()} | project_version()
    page = render(certificate, examples, threshold=detector.threshold, about=about)
    figures = write_certificate(certificate)
    write_text(figures.with_suffix(".html"), page)
    for curve in certificate.curves:
        log.info("%s", sentence(curve, certificate.mm_per_pixel))
    log.info("see %s", figures.with_suffix(".html"))


def log_to_run(named: Named, certificate: Certificate) -> None:
    """Figures and page to the training's run, where the checkpoint names that."""
    if not (named.folder / RUN).is_file():
        return
    reached = {
        f"a90_95_{curve.kind}_{round(100 * curve.contrast)}": curve.a90_95
        for curve in certificate.curves
        if curve.a90_95 is not None
    }
    key, calls = run_key_of(named.folder), certificate.false_calls
    with runs.continued_run(key, f"{named.category} certified", tags={"category": named.category}) as run:
        run.log_metrics(reached | {"certificate_false_call_rate": calls.count / calls.total})
        for path in (
            certificate_file(certificate.category),
            certificate_file(certificate.category).with_suffix(".html"),
        ):
            run.log_files(path, under="certificate")
