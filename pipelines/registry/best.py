"""The best figures that a category's champions have reached on one set of test images, and the versions that did.

A challenger may lose `gate.epsilon` against the champion, and the next one again: it is held to these, too. They are a
tag of the registered model. Other test images begin anew.
"""

import json
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import mlflow

from pipelines.core.paths import model_name
from pipelines.registry import aliases

TAG = "best"
Figures = Mapping[str, float]  # of one version, by the rule that compares it; higher is better
NOTHING: Figures = MappingProxyType({})


class Best(NamedTuple):
    """`of`: by figure, the version and its value; `images`: the test images' hash."""

    images: str
    of: Mapping[str, tuple[str, float]]

    def versions(self, *, above: Figures = NOTHING) -> dict[str, set[str]]:
        """The figures that each version holds, and that are higher than those of `above`."""
        found: dict[str, set[str]] = {}
        for name, (version, value) in self.of.items():
            if value > above.get(name, -math.inf):
                found.setdefault(version, set()).add(name)
        return found

    def with_champion(self, version: str, figures: Figures) -> "Best":
        """After this version was champion. Of equal figures the earlier version's stays."""
        better = {n: (version, value) for n, value in figures.items() if n not in self.of or value > self.of[n][1]}
        return Best(self.images, {**self.of, **better})


def read_best(client: mlflow.MlflowClient, category: str, images: str | None = None) -> Best:
    """Those on these test images, or on the last ones; empty where no champion was measured on them. A version that a
    rollback withdrew counts no longer."""
    tags = client.get_registered_model(model_name(category)).tags
    try:
        kept = json.loads(tags.get(TAG, "{}"))
        best = Best(
            str(kept["images"]), {n: (str(version), float(value)) for n, (version, value) in kept["of"].items()}
        )
        if not all(math.isfinite(value) for _, value in best.of.values()):
            raise ValueError(f"tag {TAG}: a figure is no number")
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):  # none yet, or changed
        best = Best("", {})
    if images not in (None, best.images):
        return Best(str(images), {})
    counted = {version for version in best.versions() if _counts(client, category, version)}
    return Best(best.images, {name: held for name, held in best.of.items() if held[0] in counted})


def _counts(client: mlflow.MlflowClient, category: str, version: str) -> bool:
    try:
        return not aliases.is_withdrawn(aliases.get_version(client, category, version))
    except ValueError:  # deleted by hand
        return False


def write_best(client: mlflow.MlflowClient, category: str, best: Best) -> None:
    client.set_registered_model_tag(model_name(category), TAG, json.dumps(best._asdict()))
