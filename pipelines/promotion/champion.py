"""Score today's test images with the champion, downloaded and verified: does it still do what it did?"""

import time
from collections.abc import Mapping

from fastflow.detector import NotFinite
from fastflow.errors import BadData
from fastflow.metrics.image import image_auroc
from pipelines.core.params import Params
from pipelines.core.paths import model_name
from pipelines.core.provenance import data_hash, provenance
from pipelines.core.stage import Failed, log
from pipelines.promotion.evaluation_set import EvaluationSet
from pipelines.promotion.rules import Measured
from pipelines.registry import aliases, registry, store
from pipelines.registry.aliases import CHAMPION
from pipelines.tracking import runs


def check_champion(category: str, params: Params) -> None:
    """Logs the champion's metrics on the images that are here now to MLflow, as a run.

    Raises:
        Failed: its image_auroc is below the recorded one by more than gate.epsilon, or the artifact is damaged.
        ServerAway: the store does not answer.
    """
    client = store.connect()
    with store.answering():
        version = aliases.alias(client, model_name(category), CHAMPION)
        if version is None:
            log.info("%s has no champion yet", category)
            return
        try:
            opened = registry.open_version(client, category, version)
        except BadData as error:
            raise Failed(f"{category}: champion, version {version}: {error}") from error
    try:
        found = EvaluationSet(category, params).measure(opened.detector)
    except NotFinite as error:
        raise Failed(f"{category}: champion, version {version}: {error}") from error
    numbers = numbers_of(found)
    name = f"{category} champion {time.strftime('%Y-%m-%d %H:%M')}"
    tags = provenance(category) | {"category": category, "model_version": version, "data_dvc_md5": data_hash(category)}
    with runs.new_run(name, tags=tags, live=False) as run:
        run.log_metrics(numbers)
    text = ", ".join(f"{key} {value:.4f}" for key, value in numbers.items())
    log.info("%s: champion, version %s: %s", category, version, text)
    require_not_worse(
        f"{category}: champion, version {version}", numbers, opened.tags, epsilon=params.gate.of(category).epsilon
    )


def require_not_worse(champion: str, numbers: Mapping[str, float], tags: Mapping[str, str], *, epsilon: float) -> None:
    """Raises Failed where the image_auroc of today is not the recorded one, or above it, within `epsilon`."""
    try:
        recorded, now = registry.number_of(tags, "image_auroc", of=champion), numbers.get("image_auroc")
    except BadData as error:
        raise Failed(str(error)) from error
    if recorded is None or now is None:
        log.warning("%s: nothing to compare: image_auroc was %s, is %s", champion, recorded, now)
    elif not now >= recorded - epsilon:
        raise Failed(
            f"{champion}: image_auroc is {now:.4f} on today's images, was {recorded:.4f}; look at what changed, then "
            "retrain"
        )


def numbers_of(found: Measured) -> dict[str, float]:
    """Metrics by name; those that are not defined are left out."""
    scores = found.scores
    good = scores["gt_label"] == 0
    numbers = {
        "image_auroc": image_auroc(scores["pred_score"].to_numpy(), scores["gt_label"].to_numpy()).value,
        "aupro": found.aupro,
        "false_reject_rate": float(scores.loc[good, "pred_label"].mean()) if good.any() else None,
        "miss_rate": float(1 - scores.loc[~good, "pred_label"].mean()) if not good.all() else None,
        "milliseconds_per_image": found.milliseconds_per_image,
    }
    return {name: value for name, value in numbers.items() if value is not None}
