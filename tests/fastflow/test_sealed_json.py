"""The file that describes a model folder: its seal by hand, what is read of it, and what is written."""

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from fastflow.errors import BadData
from fastflow.sealed import (
    BACKBONE,
    CHECKPOINT,
    CONFIG,
    FLOW,
    SEAL,
    BadCheckpoint,
    Kind,
    read_config,
    read_sealed,
    sealed,
    weights_id,
    write_threshold,
)
from tests.conftest import THRESHOLD


class BadThing(BadData):
    """Of the kind below."""


THING = Kind("a thing", "thing.json", BadThing, make="make one", cure="make it anew")


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def by_hand(values: dict[str, Any]) -> bytes:
    """Sealed by the definition: the sha256 of all the rest, as JSON with sorted keys."""
    return json.dumps(values | {SEAL: digest(json.dumps(values, sort_keys=True).encode())}).encode()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as a checkpoint's, with files that hold no model."""
    for name in (FLOW, BACKBONE, "scores.json"):
        (tmp_path / name).write_bytes(name.encode())
    hashes = {name: digest(name.encode()) for name in (FLOW, BACKBONE, "scores.json")}
    values = {"model": {"backbone": "resnet18"}, "sha256": hashes, "threshold": THRESHOLD, "category": "plates"}
    (tmp_path / CONFIG).write_bytes(by_hand(values))
    return tmp_path


def test_a_seal_is_the_sha256_of_all_the_rest_in_any_order() -> None:
    values = {"b": [1, 2.5, None], "a": {"d": "ü", "c": True}}
    written = sealed(values)
    assert json.loads(written) == json.loads(by_hand(values))
    assert sealed({"a": values["a"], SEAL: "an older one", "b": values["b"]}) != written, "but the order stays"
    assert json.loads(sealed(values | {SEAL: "an older one"})) == json.loads(written)
    assert written.endswith("}\n")
    assert written.startswith('{\n  "b": [')


def test_what_was_sealed_is_read_without_its_seal(folder: Path) -> None:
    config = read_config(folder)
    assert list(config) == ["model", "sha256", "threshold", "category"]
    assert read_config(folder, sha256=digest((folder / CONFIG).read_bytes())) == config


def test_a_name_is_of_all_that_makes_a_score(folder: Path) -> None:
    """The flow alone says nothing of the region that it looks at, nor of the backbone that feeds it."""
    config = read_config(folder)
    name, roi = weights_id(config), {"shape": [8, 8], "runs": "9 4 51"}
    assert re.fullmatch("[0-9a-f]{12}", name)
    others = [
        config | {"model": config["model"] | {"roi": roi}},
        config | {"model": config["model"] | {"value_range": [0, 4095]}},
        *(config | {"sha256": config["sha256"] | {file: "0" * 64}} for file in (FLOW, BACKBONE)),
    ]
    assert len({name, *map(weights_id, others)}) == 5
    assert weights_id(config | {"threshold": THRESHOLD | {"image": 9.0}, "category": "gears"}) == name


def test_every_edit_breaks_the_seal(folder: Path) -> None:
    whole = json.loads((folder / CONFIG).read_bytes())
    changes: list[dict[str, Any]] = [{"category": "gears"}, {"new": 1}, {SEAL: "0" * 64}, {SEAL: 3}, {"threshold": {}}]
    for change in changes:
        (folder / CONFIG).write_text(json.dumps(whole | change))
        with pytest.raises(
            BadCheckpoint, match=f"{CONFIG} is damaged: its content is not what was written; restore it"
        ):
            read_config(folder)
    (folder / CONFIG).write_text(json.dumps(whole | {SEAL: None}))
    with pytest.raises(BadCheckpoint, match="has no seal, so its content cannot be trusted; restore it or train again"):
        read_config(folder)


def test_each_kind_says_what_it_is_and_how_to_mend_it(tmp_path: Path) -> None:
    for folder in (tmp_path / "gone", tmp_path / "file" / "below", tmp_path):
        (tmp_path / "file").touch()
        (tmp_path / "thing.json").mkdir(exist_ok=True)
        with pytest.raises(BadThing, match=f"^{folder} is not a thing: it has no thing.json; make one$"):
            THING.read(folder)
    (tmp_path / "thing.json").rmdir()
    (tmp_path / "thing.json").write_bytes(by_hand({"sha256": {}}))
    with pytest.raises(BadThing, match=r"thing\.json is damaged: it lists the sha256 of no file; make it anew"):
        THING.read(tmp_path)


@pytest.mark.parametrize("wrong", ["abc", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_what_is_no_sha256_holds_nobody_to_it(folder: Path, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"{folder}: the sha256 that it is held to is '{wrong}'"):
        read_config(folder, sha256=wrong)


def test_another_sha256_is_refused_before_the_content_is_believed(folder: Path) -> None:
    (folder / CONFIG).write_text("{")
    with pytest.raises(BadCheckpoint, match=f"is not the one asked for: its sha256 is {digest(b'{')}, not {'0' * 64}"):
        read_config(folder, sha256="0" * 64)


@pytest.mark.parametrize("without", ["model", "sha256"])
def test_what_describes_no_model_is_damaged(folder: Path, without: str) -> None:
    config = read_config(folder)
    if without == "model":
        del config["model"]
    else:
        del config["sha256"][FLOW]
    (folder / CONFIG).write_bytes(by_hand(config))
    with pytest.raises(BadCheckpoint, match=f"{CONFIG} is damaged: it does not describe a model"):
        read_config(folder)


def test_a_threshold_may_be_absent_but_not_be_none(folder: Path) -> None:
    config = read_config(folder)
    (folder / CONFIG).write_bytes(by_hand(config | {"threshold": THRESHOLD | {"image": None}}))
    with pytest.raises(BadCheckpoint, match=rf"{CONFIG}: threshold: image is None; allowed: a finite number; restore"):
        read_config(folder)
    del config["threshold"]
    (folder / CONFIG).write_bytes(by_hand(config))
    assert "threshold" not in read_config(folder)
    with pytest.raises(BadCheckpoint, match="threshold is None; allowed: a mapping with image, pixel, low; restore"):
        CHECKPOINT.threshold(folder, config)
    assert CHECKPOINT.threshold(folder, {"threshold": THRESHOLD | {"method": "rank"}}) == THRESHOLD | {"method": "rank"}


def test_a_new_threshold_leaves_all_the_rest(folder: Path) -> None:
    before, weights = read_config(folder), (folder / FLOW).read_bytes()
    write_threshold(folder, {"image": 0.9, "pixel": 0.8, "low": 0.2, "method": "misses"})
    after = read_config(folder)
    assert after == before | {"threshold": {"image": 0.9, "pixel": 0.8, "low": 0.2, "method": "misses"}}
    assert weights_id(after) == weights_id(before)
    assert (folder / FLOW).read_bytes() == weights
    assert (folder / CONFIG).read_text() == sealed(after)
    with pytest.raises(ValueError, match="to be written: threshold: image is nan; allowed: a finite number"):
        write_threshold(folder, THRESHOLD | {"image": math.nan})
    assert read_config(folder) == after
    (folder / CONFIG).write_text((folder / CONFIG).read_text().replace("plates", "gears"))
    with pytest.raises(BadCheckpoint, match="not what was written"):
        write_threshold(folder, THRESHOLD)


def test_a_file_beside_the_weights_is_read_as_it_was_written(folder: Path) -> None:
    assert read_sealed(folder, "scores.json") == b"scores.json"
    (folder / "scores.json").write_bytes(b"others")
    expected = f"sha256 is {digest(b'others')}, recorded was {digest(b'scores.json')}; restore it or train again"
    with pytest.raises(BadCheckpoint, match=rf"scores\.json is damaged: its {expected}"):
        read_sealed(folder, "scores.json")
    (folder / "scores.json").unlink()
    with pytest.raises(BadCheckpoint, match=r"scores\.json is missing; restore it or train again"):
        read_sealed(folder, "scores.json")
    (folder / "strange.json").write_text("{}")
    with pytest.raises(BadCheckpoint, match=rf"strange\.json is not among the files whose sha256 {CONFIG} lists"):
        read_sealed(folder, "strange.json")
