"""Edits of params.yaml: the value asked for, and every other character as it was."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.core.params import BadParams, read_params
from pipelines.core.params_edit import write_values
from tests.conftest import ROOT, of_a_user

SHIPPED = (ROOT / "params.yaml").read_text()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(SHIPPED)
    return path


def changed_lines(before: str, after: str) -> dict[str, str]:
    return {a: b for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b}


def test_what_is_not_asked_for_keeps_every_character(file: Path) -> None:
    write_values({}, file)
    assert file.read_text() == SHIPPED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 3),
        ("data.categories", ["a", "b-1"]),
        ("data.root", "my photos # 3"),
        ("train.learning_rate", 0.00025),
        ("train.epochs", None),
        ("model.overrides", {"image_size": [64, 64], "flow_steps": 2}),
        ("gate.categories", {"weave": {"miss_rate": 0.1}}),
        ("download.visa.mirrors", ["https://one.example/a", "https://two.example/b"]),
        ("drift.recent", "{category}/new"),
        ("model.weights", "on"),
        ("model.weights", "12"),
        ("model.weights", "1e5"),
    ],
)
def test_a_value_is_read_again_as_it_was_given_and_comments_stay(file: Path, key: str, value: object) -> None:
    write_values({key: value}, file)
    found: object = read_params(file).model_dump()
    for part in key.split("."):
        assert isinstance(found, dict)
        found = found[part]
    assert found == value
    assert [c for c in comments(file.read_text()) if c] == [c for c in comments(SHIPPED) if c]


def comments(text: str) -> list[str]:
    return [line.rpartition(" # ")[2] if " # " in line else line * line.startswith("#") for line in text.splitlines()]


def test_a_value_in_lines_of_its_own_leaves_the_comments_around_it(file: Path) -> None:
    """As DVC writes lists."""
    own_lines = "  categories:    # ours\n  - weave   # first\n  - gear\n\n# of the next section\n"
    text, replaced = re.subn(r"  categories: \[weave, label, gear\] .*\n\n", own_lines, SHIPPED, count=1)
    assert replaced
    file.write_text(text)
    write_values({"data.categories": ["part"]}, file)
    below = file.read_text().partition("\n  categories: ")[2]
    assert re.match(r"\[part\] +# ours\n\n# of the next section\ndownload: ", below)
    assert read_params(file).data.categories == ["part"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"train.epoch": 3}, "no line for train.epoch; write it there by hand: 3"),
        ({"trains.epochs": 3}, "no line for trains.epochs"),
        ({"train.epochs": "many"}, "train.epochs is 'many'"),
        ({"train.epochs": 3, "data.categories": []}, "data.categories is"),
    ],
)
def test_what_cannot_be_is_refused_and_the_file_stays(file: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(BadParams, match=message):
        write_values(values, file)
    assert file.read_text() == SHIPPED


def test_another_reader_of_yaml_finds_the_same(file: Path) -> None:
    write_values({"model.overrides": {"layers": [1, 2]}, "data.categories": ["007", "x"]}, file)
    found = yaml.safe_load(file.read_text())
    assert (found["model"]["overrides"], found["data"]["categories"]) == ({"layers": [1, 2]}, ["007", "x"])


@pytest.mark.slow
def test_dvc_reads_names_that_look_like_numbers_as_names(tmp_path: Path, file: Path) -> None:
    names = ["4711", "00123", "1e3", "1_000", "0x1f", "2024-01-01", "no", "y", "part"]
    write_values({"data.categories": names}, file)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    alone: dict[str, Any] = {
        "cwd": tmp_path,
        "env": of_a_user(tmp_path),
        "check": True,
        "capture_output": True,
        "text": True,
    }
    subprocess.run(["dvc", "init", "-q", "--no-scm"], **alone)
    listed = subprocess.run(["dvc", "stage", "list", "--name-only"], **alone).stdout.split()
    assert [line.removeprefix("train@") for line in listed if line.startswith("train@")] == names
