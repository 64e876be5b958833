"""A category's retrainings on disk, `promote` as a person calls it, and what it left."""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from PIL import Image

from pipelines.registry import aliases, registered, store
from pipelines.reporting.decision import in_words, read_decision
from tests.conftest import draw_square, fastflow
from tests.stages import STAGE_NAMES, run, write_tiny_params

NAME = "fastflow-plates"
REPORT, MODEL = Path("reports/plates"), Path("models/plates")
Damage = Callable[[str], AbstractContextManager[None]]


class Outcome(NamedTuple):
    """What one `promote` left."""

    code: int
    said: str  # on stderr
    decision: dict[str, Any]
    words: str
    tags: dict[str, str]  # of the challenger, those of the gate
    aliases: dict[str, str | None]

    def failed(self) -> set[str]:
        return self.of("failed")

    def of(self, outcome: str) -> set[str]:
        return {rule["name"] for rule in self.decision["rules"] if rule["outcome"] == outcome}


def asked(*options: str) -> Outcome:
    """`fastflow promote plates` and these options."""
    said = io.StringIO()
    with redirect_stderr(said):
        code = fastflow("promote", "plates", *options)
    decision = read_decision(REPORT)
    told = tags(decision["challenger"]) if decision else {}
    told = {name: value for name, value in told.items() if name.startswith("gate")}
    return Outcome(code, said.getvalue(), decision, in_words(decision) if decision else "", told, standing())


def standing() -> dict[str, str | None]:
    client = store.connect()
    return {which: aliases.alias(client, NAME, which) for which in ("champion", "previous", "challenger")}


def stand(**versions: str) -> None:
    """Puts the aliases where a test starts from."""
    client = store.connect()
    for which in standing():
        if which in versions:
            client.set_registered_model_alias(NAME, which, versions[which])
        else:
            client.delete_registered_model_alias(NAME, which)


def tags(version: str) -> dict[str, str]:
    return dict(aliases.get_version(store.connect(), "plates", version).tags)


@contextmanager
def tagged(version: str, **values: str) -> Iterator[None]:
    """The version has other values of these tags meanwhile."""
    client, before = store.connect(), tags(version)
    for key, value in values.items():
        client.set_model_version_tag(NAME, version, key, value)
    try:
        yield
    finally:
        for key in values:
            client.set_model_version_tag(NAME, version, key, before[key])


def retrain(*, seed: int) -> None:
    """Prepares, trains and evaluates the smallest of flows."""
    write_tiny_params(Path(), epochs=3)
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["seed"] = seed
    values["gate"] |= {"image_auroc": 0.4, "miss_rate": 0.95}
    values["model"]["overrides"] |= {"layers": [1], "flow_steps": 1}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        for stage in STAGE_NAMES:
            assert run(stage, patch) == 0


def plant_noise() -> None:
    """As many defective plates among the good training images as there are good ones; none of them is a test image."""
    for i in range(8):
        pixels, _ = draw_square(seed=5000 + i, defect=True)
        Image.fromarray(pixels).save(f"images/plates/train/good/noise{i}.png")


class Story(NamedTuple):
    """What the gate said, in this order."""

    without_version: Outcome
    first: Outcome
    first_again: Outcome
    equal: Outcome
    noisy: Outcome


@contextmanager
def flipped(version: str) -> Iterator[None]:
    """One bit of the version's weights in the store is another one meanwhile."""
    weights = artifact(version) / "data/plates/flow.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        yield
    finally:
        weights.write_bytes(whole)


@contextmanager
def removed(version: str) -> Iterator[None]:
    """The version's files are not in the store meanwhile."""
    place = artifact(version)
    aside = place.rename("aside")
    try:
        yield
    finally:
        aside.rename(place)


def artifact(version: str) -> Path:
    (place,) = Path(".mlflow/artifacts").glob(f"*/artifacts/model-{tags(version)[registered.CONTENT][:8]}")
    return place


DAMAGES: dict[Damage, str] = {
    flipped: "the artifact was changed or damaged",
    removed: "its files are gone from the store",
}
