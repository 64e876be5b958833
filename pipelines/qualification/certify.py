"""What can a model find, and from which size on? Defects are drawn on good photographs that it has not seen.

Run as: fastflow certify bottle
        fastflow certify bottle --mm-per-pixel 0.05

Writes reports/<category>/certificate.json and certificate.html, and both to the model's run in MLflow. The verdict is
the model's own, at its own threshold. Nothing here changes the model, and no picture of a real defect is opened.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from fastflow.files import write_text
from fastflow.frame import picture_shape
from fastflow.metrics.rates import rate_interval
from fastflow.trained import TrainedDetector
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import certificate_file
from pipelines.core.revision import project_version
from pipelines.core.stage import log
from pipelines.qualification.certificate import Certificate, FalseCalls, Step, read_certificate, write_certificate
from pipelines.qualification.certificate_page import render
from pipelines.qualification.curves import curve_of
from pipelines.qualification.material import Options, good_labels, images_sha256, sizes_for, unseen_good
from pipelines.qualification.model_run import run_of_model
from pipelines.qualification.sentences import false_calls, sentence
from pipelines.qualification.trial import CURVES, Drawing, Example, Trial, Verdict, planned
from pipelines.registry.checkpoints import Named, checkpoint_of, require_own


class Tried(NamedTuple):
    """The good pictures, rows of the index, with their `labels`; the sizes drawn and the verdicts; the share of a
    picture that counted as part."""

    images: pd.DataFrame
    labels: Sequence[int]
    sizes: Sequence[float]
    verdicts: Mapping[Drawing, Verdict]
    part_share: float


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
        require_own(named.category, category, params.data.categories, model=model or category)
        run_key, detector = named.run_key, named.open().to(choose_device(params.device))
        sizes = sizes_for(paths, detector.frame.rule, chosen)
        labels = good_labels(category, detector, paths, batch_size=params.evaluate.batch_size)
        accepted = [path for path, label in zip(paths, labels, strict=True) if not label]
        trial = Trial(detector, accepted, seed=params.seed, anywhere=chosen.anywhere)
        drawings = planned(len(sizes), chosen.per_step, len(accepted), seed=params.seed)
        log.info("%s: %d defects on %d unseen good pictures", category, len(drawings), len(accepted))
        verdicts, examples = trial.judge(drawings, sizes)
        tried = Tried(images, labels, sizes, verdicts, float(np.mean(list(trial.part_shares.values()))))
        certificate = certificate_of(category, named, tried, detector=detector, params=params, chosen=chosen)
        write(certificate, examples, detector)
        log_to_run(run_key, certificate)
    return certificate


def certificate_of(
    category: str, named: Named, tried: Tried, *, detector: TrainedDetector, params: Params, chosen: Options
) -> Certificate:
    """All figures."""
    count, total = sum(tried.labels), len(tried.labels)
    low, high = rate_interval(count, total)
    first = Path(params.data.root) / category / tried.images["image_path"][0]
    height, width = picture_shape(first, detector.frame.rule)
    return Certificate(
        category=category,
        model=named.version,
        weights=named.weights,
        threshold=float(detector.threshold["image"]),
        seed=params.seed,
        images=images_sha256(tried.images),
        height=height,
        width=width,
        part_share=float(f"{tried.part_share:.4g}"),
        per_step=chosen.per_step,
        mm_per_pixel=chosen.mm_per_pixel,
        false_calls=FalseCalls(count=count, total=total, low=low, high=high),
        curves=[
            curve_of(*curve, steps_of(number, tried.verdicts, tried.sizes), seed=params.seed)
            for number, curve in enumerate(CURVES)
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
    with suppress(BadData):  # a damaged one is written anew
        before = read_certificate(certificate.category)
        if before and before.weights != certificate.weights:
            log.info("this replaces the certificate of model %s", before.model)
    figures = write_certificate(certificate)
    write_text(figures.with_suffix(".html"), page)
    for curve in certificate.curves:
        print(sentence(curve, certificate.mm_per_pixel))
    print(f"At the same threshold, {false_calls(certificate)}")
    log.info("see %s", figures.with_suffix(".html"))


def log_to_run(run_key: str, certificate: Certificate) -> None:
    """Figures and page."""
    reached = {
        f"a90_95_{curve.kind}_{round(100 * curve.contrast)}": curve.a90_95
        for curve in certificate.curves
        if curve.a90_95 is not None
    }
    calls, name = certificate.false_calls, f"{certificate.category} certified"
    with run_of_model(run_key, name, category=certificate.category, version=certificate.model) as run:
        run.log_metrics(reached | {"certificate_false_call_rate": calls.count / calls.total})
        for path in (
            certificate_file(certificate.category),
            certificate_file(certificate.category).with_suffix(".html"),
        ):
            run.log_files(path, under="certificate")
