"""A model folder is what was written, whatever its format: edits, files too few and files too many are refused."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastflow import api
from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.export.about import ABOUT, read_about, verify, write_about
from fastflow.export.runner import open_export
from fastflow.files import file_sha256
from fastflow.frame import Frame
from fastflow.model import FastFlow
from fastflow.sealed import CONFIG, FLOW, SEAL, sealed, write_threshold
from tests.conftest import THRESHOLD

Open = Callable[..., object]


def verified(folder: Path, **known: str) -> None:
    """As `open_export`, without the runtime: the files of these tests hold no model."""
    verify(folder, read_about(folder, **known))


def export(folder: Path) -> Path:
    folder.mkdir()
    (folder / "model.xml").write_text("a model")
    (folder / "model.bin").write_text("its weights")
    write_about(
        folder, runtime="openvino", precision="fp32", category="plates", model="1", frame=Frame(64, 64),
        threshold=THRESHOLD,
    )  # fmt: skip
    return folder


@pytest.fixture(params=["checkpoint", "export"])
def model(request: pytest.FixtureRequest, tiny_model: FastFlow, tmp_path: Path) -> tuple[Path, Path, Open]:
    """A folder, the file that seals it, and what opens it."""
    if request.param == "checkpoint":
        save_checkpoint(tiny_model, tmp_path / "m", category="plates", threshold=THRESHOLD)
        return tmp_path / "m", tmp_path / "m" / CONFIG, api.load
    return export(tmp_path / "m"), tmp_path / "m" / ABOUT, verified


def edit(file: Path, *, anew: bool, **values: Any) -> None:
    """Changes what a folder says of itself; `anew`: as one does who can seal it."""
    about = {key: value for key, value in json.loads(file.read_text()).items() if anew is False or key != SEAL}
    about |= values
    file.write_text(sealed(about) if anew else json.dumps(about))


def test_a_folder_as_it_was_written_opens(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    opened(folder)
    opened(folder, sha256=file_sha256(file))
    (folder / ".DS_Store").write_text("a system's own")
    opened(folder)


def test_an_edited_threshold_is_seen(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    edit(file, anew=False, threshold=THRESHOLD | {"image": 0.9})
    with pytest.raises(BadData, match=r"\.json is damaged: its content is not what was written"):
        opened(folder)


def test_who_seals_anew_is_seen_by_the_sha256_that_is_kept_elsewhere(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    known = file_sha256(file)
    edit(file, anew=True, threshold=THRESHOLD | {"image": 0.9})
    opened(folder)
    with pytest.raises(BadData, match=rf"not the one asked for: its sha256 is {file_sha256(file)}, not {known}"):
        opened(folder, sha256=known)
    with pytest.raises(ValueError, match=r"'abc' \(str\); allowed: a sha256, 64 hexadecimal digits"):
        opened(folder, sha256="abc")


def test_without_a_seal_nothing_is_believed(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    about = json.loads(file.read_text())
    del about[SEAL]
    file.write_text(json.dumps(about))
    with pytest.raises(BadData, match=r"\.json has no seal, .*; (restore it|export the model again: fastflow export)"):
        opened(folder)


def test_an_empty_list_of_hashes_verifies_nothing_and_is_refused(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    edit(file, anew=True, sha256={})
    with pytest.raises(BadData, match="it lists the sha256 of no file"):
        opened(folder)


@pytest.mark.parametrize("hashes", [[], None, "all", {FLOW: None, "model.xml": 3}, {"model.xml": "0" * 63}])
def test_a_list_of_hashes_that_is_none_is_refused(model: tuple[Path, Path, Open], hashes: object) -> None:
    folder, file, opened = model
    edit(file, anew=True, sha256=hashes)
    with pytest.raises(BadData, match="is damaged"):
        opened(folder)


def test_each_file_that_is_read_must_be_listed_there_and_as_it_was(model: tuple[Path, Path, Open]) -> None:
    folder, file, opened = model
    hashes = json.loads(file.read_text())["sha256"]
    for name in hashes:
        edit(file, anew=True, sha256={key: value for key, value in hashes.items() if key != name})
        with pytest.raises(BadData, match=rf"{name} is not among the files|it does not describe a model"):
            opened(folder)
        edit(file, anew=True, sha256=hashes)
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        with pytest.raises(BadData, match=rf"{name} is damaged: its sha256 is .*, recorded was {hashes[name]}"):
            opened(folder)
        (folder / name).unlink()
        with pytest.raises(BadData, match=rf"{name} is missing"):
            opened(folder)
        (folder / name).write_bytes(content)
    opened(folder)


def test_a_file_that_no_export_lists_is_refused(tmp_path: Path) -> None:
    folder = export(tmp_path / "m")
    (folder / "model.onnx.data").write_text("weights that an edited model could name")
    with pytest.raises(BadData, match=r"model\.onnx\.data is not among the files"):
        open_export(folder)


@pytest.mark.parametrize("name", ["image", "pixel", "low"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "1", True, None, [1]])
def test_a_threshold_that_is_no_finite_number_is_refused(
    model: tuple[Path, Path, Open], name: str, value: object
) -> None:
    folder, file, opened = model
    edit(file, anew=True, threshold=THRESHOLD | {name: value})
    with pytest.raises(BadData, match=rf"threshold: {name} is .*; allowed: a finite number"):
        opened(folder)


@pytest.mark.parametrize("threshold", [None, [], "0.5", {"image": 0.5}])
def test_a_folder_without_a_whole_threshold_is_refused(model: tuple[Path, Path, Open], threshold: object) -> None:
    folder, file, opened = model
    edit(file, anew=True, threshold=threshold)
    with pytest.raises(BadData, match=r"threshold.*; allowed: "):
        opened(folder)


def test_no_threshold_that_is_not_finite_is_ever_written(tiny_model: FastFlow, tmp_path: Path) -> None:
    save_checkpoint(tiny_model, tmp_path / "m", threshold=THRESHOLD)
    before = (tmp_path / "m" / CONFIG).read_bytes()
    with pytest.raises(ValueError, match="image is nan; allowed: a finite number"):
        write_threshold(tmp_path / "m", THRESHOLD | {"image": math.nan})
    assert (tmp_path / "m" / CONFIG).read_bytes() == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"image_size": [100_000, 64]}, r"image_size is \[100000, 64\] .*; allowed: a list of 2, each a whole number"),
        ({"image_size": "64"}, "image_size is '64'"),
        ({"grid": -1}, "grid is -1; allowed: a whole number from 1 to 8192, or null"),
        ({"format": "tensorrt"}, "format is 'tensorrt' .*; allowed: one of onnx, openvino"),
        ({"format": ["onnx"]}, "format is "),
        ({"precision": "int4"}, "precision is 'int4' .*; allowed: one of fp32, bf16, int8"),
        ({"format": "torch"}, "the format torch is no longer read: PyTorch opens its files by unpickling"),
    ],
)
def test_a_field_of_an_export_out_of_range_is_named(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    folder = export(tmp_path / "m")
    edit(folder / ABOUT, anew=True, **values)
    with pytest.raises(BadData, match=message):
        open_export(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"null", b"\xff\xfe", b"[" * 100_000, b'{"sha256": 1}'])
def test_what_is_no_json_of_ours_is_damaged_and_no_traceback(model: tuple[Path, Path, Open], content: bytes) -> None:
    folder, file, opened = model
    file.write_bytes(content)
    with pytest.raises(BadData, match=r"\.json is damaged"):
        opened(folder)
    file.unlink()
    if file.name == ABOUT:
        with pytest.raises(BadData, match=r"is not an exported model: it has no export\.json; run: fastflow export"):
            opened(folder)
