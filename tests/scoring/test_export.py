"""Exports: each format against the checkpoint, and the command that writes them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fastflow.checkpoint import save_checkpoint
from fastflow.detector import Scores, Sizes
from fastflow.export.about import ABOUT, FILES, PRECISIONS, write_about
from fastflow.export.parity import MIN_IMAGES, ParityError, compare, require_parity
from fastflow.export.runner import open_export, open_file
from fastflow.roi import roi_of
from fastflow.trained import TrainedDetector
from pipelines import prepare
from pipelines.core import progress
from pipelines.core.params import read_params
from pipelines.scoring import export
from tests.conftest import SIZE, THRESHOLD, fastflow, write_plates
from tests.scoring.export_kit import images, model_of, scores_of, sizes_of
from tests.stages import write_tiny_params


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(
    ("runtime", "precision"), [(runtime, one) for runtime, allowed in PRECISIONS.items() for one in allowed]
)
def test_every_format_scores_as_the_checkpoint_alone_and_in_batches(
    tmp_path: Path, runtime: str, precision: str
) -> None:
    model = model_of(letterbox=True)
    pixels, sizes = images(MIN_IMAGES), sizes_of(MIN_IMAGES, model)
    threshold = float(np.sort(scores_of(model, 0, pixels, sizes).pred_score)[[9, 10]].mean())  # half are anomalous
    calibration = images(16) if precision == "int8" else None
    detector = TrainedDetector(model=model, threshold=THRESHOLD | {"image": threshold})
    export.write_model(detector, tmp_path, runtime=runtime, precision=precision, images=calibration)
    assert [p.name for p in tmp_path.glob("model.*") if p.suffix != ".bin"] == [FILES[runtime][0]]
    run = open_file(tmp_path, runtime=runtime, precision=precision, threads=1)
    table = compare(lambda batch, part=None: scores_of(model, threshold, batch, part), run, pixels, sizes)
    if precision == "fp32":
        require_parity(table, precision=precision)
        assert table["export_label"].sum() == MIN_IMAGES / 2
    else:
        assert table["relative_difference"].max() < 0.1
    maps = run(pixels[:5], sizes[:5]).anomaly_map
    assert maps.shape == (5, 1, SIZE, SIZE)
    assert np.isfinite(maps).sum(axis=(1, 2, 3)).tolist() == sizes[:5].prod(axis=1).tolist()
    assert np.isfinite(run(pixels[:5]).anomaly_map).all(), "without sizes, all of an image is picture"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
@pytest.mark.parametrize(("runtime", "precision"), [("onnx", "fp32"), ("onnx", "int8"), ("openvino", "fp32")])
def test_an_export_has_its_models_region_of_interest(tmp_path: Path, runtime: str, precision: str) -> None:
    inside = np.zeros((SIZE, SIZE), bool)
    inside[10:40, 15:50], inside[60, 3:9] = True, True
    model = model_of(letterbox=True, roi=roi_of(inside))
    pixels, other = images(MIN_IMAGES), np.where(inside, images(MIN_IMAGES), 255 - images(MIN_IMAGES))
    detector = TrainedDetector(model=model, threshold=THRESHOLD)
    calibration = images(16) if precision == "int8" else None
    export.write_model(detector, tmp_path, runtime=runtime, precision=precision, images=calibration)
    about = {"category": "plates", "model": "1", "frame": detector.frame, "threshold": THRESHOLD}
    write_about(tmp_path, runtime=runtime, precision=precision, **about)  # type: ignore[arg-type]
    exported = open_export(tmp_path, threads=1)
    assert exported.frame == detector.frame
    if precision == "fp32":
        require_parity(compare(detector.predict, exported.predict, pixels), precision=precision)
    found = [[one.tobytes() for one in exported.predict(batch[:5])] for batch in (pixels, other)]
    assert found[0] == found[1], "what lies outside changes no bit"
    assert (np.isfinite(exported.predict(pixels[:5]).anomaly_map[:, 0]) == inside).all()


def test_an_export_that_scores_otherwise_is_refused() -> None:
    model, pixels = model_of(), images(MIN_IMAGES)
    reference = scores_of(model, 0.5, pixels)

    def rows_of(batch: NDArray[np.uint8]) -> NDArray[np.intp]:
        return np.array([int(np.flatnonzero((pixels == image).all(axis=(1, 2, 3)))[0]) for image in batch])

    def answers(scores: Scores, batch: NDArray[np.uint8]) -> Scores:
        rows = rows_of(batch)
        return Scores(scores.pred_score[rows], scores.pred_label[rows], scores.anomaly_map[rows])

    def table(other: Scores) -> object:
        return compare(lambda b, _=None: answers(reference, b), lambda b, _=None: answers(other, b), pixels)

    require_parity(table(reference), precision="fp32")  # type: ignore[arg-type]
    one_off = reference.pred_score.copy()
    one_off[7] *= 1.0002
    with pytest.raises(ParityError, match=r"differ by up to 0\.0002 of the checkpoint's; allowed in fp32: 0\.0001"):
        require_parity(table(reference._replace(pred_score=one_off)), precision="fp32")  # type: ignore[arg-type]
    one_off[7] = np.nan
    with pytest.raises(ParityError, match="differ by up to nan"):
        require_parity(table(reference._replace(pred_score=one_off)), precision="int8")  # type: ignore[arg-type]
    flipped = reference.pred_label.copy()
    flipped[3] = 1 - flipped[3]
    with pytest.raises(ParityError, match="1 of 20 images another verdict; allowed in fp32: 0%"):
        require_parity(table(reference._replace(pred_label=flipped)), precision="fp32")  # type: ignore[arg-type]
    few = compare(lambda b, _=None: answers(reference, b), lambda b, _=None: answers(reference, b), pixels[:19])
    with pytest.raises(ParityError, match="19 images are too few"):
        require_parity(few, precision="fp32")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # the exporters' own
def test_the_command_writes_what_scores_equally_and_nothing_else(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(progress, "LINE_SECONDS", 0)
    caplog.set_level("INFO")
    write_tiny_params(folder, epochs=1)
    write_plates(folder / "images/plates", num_train=18, num_test=4)
    params = read_params(folder / "params.yaml")
    params = params.model_copy(update={"data": params.data.model_copy(update={"root": "images"})})
    prepare.prepare("plates", params)
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(model_of(), Path("models/plates"), category="plates", threshold=threshold)

    def command() -> int:
        return fastflow("export", "plates", "--format", "onnx")

    assert command() == 0
    assert "comparing: 100% 60/60" in caplog.text  # 20 images: the checkpoint, and the export in two ways
    made = Path("exports/plates/onnx-fp32")
    opened = open_export(made)
    assert (opened.about["category"], opened.about["parity"]["num_images"]) == ("plates", MIN_IMAGES)
    table = pd.read_csv(made / "parity.csv")
    assert table["split"].value_counts().to_dict() == {"train": 12, "test": 8}
    assert (table["export_score"] > 0).all()

    before = (made / ABOUT).read_bytes()

    def mirrored(images: NDArray[np.uint8], sizes: Sizes) -> Scores:
        return opened.predict(images[..., ::-1], sizes)

    monkeypatch.setattr(export, "open_file", lambda *a, **k: mirrored)
    assert command() == 3
    assert "the export's scores differ by up to" in capsys.readouterr().err
    assert [path.name for path in Path("exports/plates").iterdir()] == ["onnx-fp32"]
    assert (made / ABOUT).read_bytes() == before


def test_a_model_of_another_category_is_not_written_under_this_name(folder: Path) -> None:
    write_tiny_params(folder)
    params = read_params(folder / "params.yaml")
    params = params.model_copy(update={"data": params.data.model_copy(update={"categories": ["plates", "gears"]})})
    threshold = {"image": 0.5, "pixel": 0.6, "low": 0.1}
    save_checkpoint(model_of(), Path("models/gears"), category="gears", threshold=threshold)
    with pytest.raises(ValueError, match="models/gears is a model of gears, not of plates; run: fastflow export gears"):
        export.export("plates", params, model="models/gears", precision="fp32")
    assert not Path("exports").exists()
