"""A version is opened only where its files, its hash and its example's score are those that were registered."""

import base64
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from fastflow.trained import TrainedDetector
from pipelines.registry import registry as opening
from pipelines.registry.registered import Untrusted
from pipelines.registry.registry import example_file, number_of, open_model, open_version
from tests.registry.memory import Registry

NAME = "fastflow-plates"
IMAGE = b"\x89PNG an image"


class OfPlates(str):
    """In place of a detector."""

    category = "plates"


class Models:
    """In place of checkpoints and models: `score` is that of the example, `asked` what was verified."""

    def __init__(self) -> None:
        self.score, self.asked = 0.5, list[tuple[Path, str]]()

    def verified(self, folder: Path, *, sha256: str, signature: str) -> Path:
        assert signature == ""
        self.asked.append((folder, sha256))
        if sha256 == "another":
            raise Untrusted(f"{folder}: the artifact was changed or damaged")
        return folder / "data"

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        assert frame["image"].tolist() == [IMAGE]
        return pd.DataFrame({"pred_score": [self.score], "pred_label": [0]})


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> Models:
    made = Models()

    def load(folder: Path) -> OfPlates:
        return OfPlates(f"model of {folder.name}")

    def served(detector: str) -> Models:
        assert detector == "model of data"
        return made

    monkeypatch.setattr(opening, "verified_checkpoint", made.verified)
    monkeypatch.setattr(TrainedDetector, "load", load)
    monkeypatch.setattr(opening, "ServedModel", served)
    monkeypatch.setattr(opening, "trained_on", lambda folder: frozenset({f"an image of {folder.name}"}))
    return made


def folder_with_example(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    table = {"columns": ["image"], "data": [[base64.b64encode(IMAGE).decode()]]}
    (folder / "input_example.json").write_text(json.dumps(table))
    return folder


def test_the_example_is_the_image_that_was_registered(tmp_path: Path) -> None:
    folder = folder_with_example(tmp_path / "m")
    assert example_file(folder) == IMAGE
    for content in ("", "[]", '{"data": []}', '{"data": [[7]]}', "[" * 100_000, '{"data": [["a"]]}'):
        (folder / "input_example.json").write_text(content)
        with pytest.raises(Untrusted, match=r"m/input_example\.json is not the example that was registered"):
            example_file(folder)


@pytest.mark.parametrize("recorded", [0.5, -0.5, 0.01, 40.0, -40.0])
def test_the_example_scores_as_it_did_within_a_ten_thousandth(models: Models, tmp_path: Path, recorded: float) -> None:
    """Of the score, or of one where that is smaller."""
    folder, allowed = folder_with_example(tmp_path / "m"), 1e-4 * max(1.0, abs(recorded))
    for part in (-0.99, 0.0, 0.99):
        models.score = recorded + part * allowed
        assert str(open_model(folder, sha256="c0de", example_score=recorded)[0]) == "model of data"
    for part in (-1.01, 1.01, float("nan")):
        models.score = recorded + part * allowed
        with pytest.raises(Untrusted, match=f"its example scores .*, recorded was {recorded:.6g}"):
            open_model(folder, sha256="c0de", example_score=recorded)
    assert models.asked == [(folder, "c0de")] * 6


def test_without_a_recorded_score_the_hash_alone_decides(models: Models, tmp_path: Path) -> None:
    assert str(open_model(tmp_path, sha256="c0de", example_score=None)[0]) == "model of data"
    with pytest.raises(Untrusted, match="changed or damaged"):
        open_model(tmp_path, sha256="another", example_score=None)


def test_a_version_is_opened_by_its_own_tags(models: Models, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    registry, places = Registry(), list[Path]()
    registry.add(NAME, 2)
    version = registry.models[NAME].versions["2"]
    version.tags |= {"model_sha256": "c0de", "example_pred_score": "0.5", "category": "plates"}

    def download(client: Any, made: Any, to: Path) -> Path:
        assert (client, made) == (registry, version)
        assert to.is_dir()
        places.append(to)
        return folder_with_example(to / "model-c0de")

    monkeypatch.setattr(opening, "download", download)
    opened = open_version(registry.client, "plates", "2")
    assert (str(opened.detector), opened.tags) == ("model of data", version.tags)
    assert opened.trained_on == {"an image of data"}
    assert models.asked == [(places[0] / "model-c0de", "c0de")]
    assert not places[0].exists(), "what was downloaded does not stay"
    models.score = 0.6
    with pytest.raises(Untrusted, match="recorded was"):
        open_version(registry.client, "plates", "2")
    version.tags["example_pred_score"] = "half"
    with pytest.raises(Untrusted, match=f"{NAME}/2: its tag example_pred_score is 'half'; allowed: a finite number"):
        open_version(registry.client, "plates", "2")
    version.tags.clear()
    open_version(registry.client, "plates", "2")
    assert models.asked[-1][1] == "unknown", "which is the hash of nothing"
    monkeypatch.setattr(OfPlates, "category", "cable")
    with pytest.raises(Untrusted, match=f"{NAME}/2 holds a model of cable, not of plates"):
        open_version(registry.client, "plates", "2")
    with pytest.raises(ValueError, match=f"{NAME} has no version 7"):
        open_version(registry.client, "plates", "7")


def test_a_tag_is_a_finite_number_or_absent() -> None:
    assert number_of({"image_auroc": "0.25", "other": "x"}, "image_auroc", of="a") == 0.25
    assert number_of({"image_auroc": " -1e3 "}, "image_auroc", of="a") == -1000.0
    assert number_of({"other": "0.25"}, "image_auroc", of="a") is None
