"""Exports whose files are replaced around the moment they are opened: what was verified is what scores."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import set_external_data

from fastflow.export import about
from fastflow.export.about import EXPORT, BadExport, verify, write_about
from fastflow.export.runner import open_export
from fastflow.trained import TrainedDetector
from pipelines.scoring import export
from tests.conftest import THRESHOLD
from tests.scoring.export_kit import images, model_of

pytestmark = pytest.mark.filterwarnings("ignore")  # the exporters' own


def exported(folder: Path, runtime: str) -> Path:
    """An export of a small model, sealed."""
    folder.mkdir()
    detector = TrainedDetector(model=model_of(), threshold=THRESHOLD)
    export.write_model(detector, folder, runtime=runtime, precision="fp32", images=None)
    reseal(folder, runtime, detector)
    return folder


def reseal(folder: Path, runtime: str, detector: TrainedDetector) -> None:
    write_about(
        folder, runtime=runtime, precision="fp32", category="plates", model="1", frame=detector.frame,
        threshold=THRESHOLD,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("runtime", about.FILES)
def test_an_opened_model_does_not_follow_its_files(tmp_path: Path, runtime: str) -> None:
    """Copying over a file, as `cp` does, keeps its place on disk, which a mapped file would show."""
    folder, pixels = exported(tmp_path / "model", runtime), images(2)
    opened = open_export(folder, threads=1)
    before = opened.predict(pixels).pred_score
    for name in about.FILES[runtime]:
        with (folder / name).open("r+b") as file:
            file.write(np.random.default_rng(0).bytes((folder / name).stat().st_size))
    np.testing.assert_array_equal(opened.predict(pixels).pred_score, before)


@pytest.mark.parametrize("runtime", about.FILES)
def test_a_file_replaced_after_it_was_hashed_is_not_opened(
    tmp_path: Path, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each file is changed the moment that it was read: what `verify` returns is what it had hashed."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in about.FILES[runtime]:
        (folder / name).write_text(f"{name} as it was written")
    reseal(folder, runtime, TrainedDetector(model=model_of(), threshold=THRESHOLD))
    read = Path.read_bytes

    def replaced(path: Path) -> bytes:
        content = read(path)
        path.write_text("another")
        return content

    sealed = EXPORT.read(folder)
    monkeypatch.setattr(Path, "read_bytes", replaced)
    names = about.FILES[runtime]
    assert verify(folder, sealed) == [f"{name} as it was written".encode() for name in names]
    monkeypatch.undo()
    with pytest.raises(BadExport, match="is damaged: its sha256"):
        verify(folder, sealed)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["model", "."])
def test_weights_in_a_file_that_no_seal_names_are_not_read(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX may keep weights in files beside it, found by name: hidden ones in the folder, or in the current one."""
    folder = exported(tmp_path / "model", "onnx")
    model = onnx.load(folder / "model.onnx")
    tensor = max(model.graph.initializer, key=lambda one: len(one.raw_data))
    (tmp_path / place / ".weights").write_bytes(tensor.raw_data)
    set_external_data(tensor, location=".weights")
    tensor.ClearField("raw_data")
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    reseal(folder, "onnx", TrainedDetector(model=model_of(), threshold=THRESHOLD))
    monkeypatch.chdir(tmp_path / place)
    with pytest.raises(BadExport, match="is no model that onnxruntime opens"):
        open_export(folder, threads=1)
