"""The certificate of a trained model, in the MLflow run of its training; with a real store."""

import shutil
from pathlib import Path

import mlflow
import numpy as np
import pytest
from PIL import Image

from pipelines.core.paths import QUALIFICATION, certificate_file, report_folder
from pipelines.promotion.certified import champion_certificate
from pipelines.qualification.certificate import read_certificate
from pipelines.registry import store
from pipelines.tracking.sync import sync
from tests.conftest import draw_square, fastflow, write_plates
from tests.qualification.test_certify import short as short
from tests.stages import STAGE_NAMES, run, write_tiny_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


def test_a_certificate_is_in_its_trainings_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    plates = write_plates(tmp_path / "images/plates")
    for number in range(12):
        pixels, _ = draw_square(seed=5000 + number, defect=False)
        Image.fromarray(pixels).save(plates / f"test/good/new_{number:03}.png")
    write_tiny_params(tmp_path)
    report_folder("plates").mkdir(parents=True)
    for name in QUALIFICATION:
        (report_folder("plates") / name).write_text("of an earlier model")
    for stage in STAGE_NAMES:
        assert run(stage, monkeypatch) == 0
    for name in QUALIFICATION:
        (report_folder("plates") / name).unlink()
    assert fastflow("certify", "plates", "--per-step", "4") == 0
    sync()
    store.connect()
    (one,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    assert one.info.status == "FINISHED"
    report = {Path(file.path).name for file in mlflow.MlflowClient().list_artifacts(one.info.run_id, "report")}
    assert "metrics.json" in report
    assert not report & {*QUALIFICATION}, "a report carries no figures of another model"
    certificate = read_certificate("plates")
    assert certificate is not None
    calls = certificate.false_calls
    assert np.isclose(one.data.metrics["certificate_false_call_rate"], calls.count / calls.total)
    assert {name for name in one.data.metrics if name.startswith("a90_95_")} == {
        f"a90_95_{curve.kind}_{round(100 * curve.contrast)}" for curve in certificate.curves if curve.a90_95
    }
    kept = Path(mlflow.artifacts.download_artifacts(run_id=one.info.run_id, artifact_path="certificate"))
    for file in (certificate_file("plates"), certificate_file("plates").with_suffix(".html")):
        assert (kept / file.name).read_bytes() == file.read_bytes()
    shutil.rmtree(kept)
    assert champion_certificate(store.connect(), "plates", "1") == certificate
    mlflow.MlflowClient().delete_run(one.info.run_id)
    assert champion_certificate(store.connect(), "plates", "1") == (
        "fastflow-plates version 1, the champion, has no certificate in its run: it was not certified before it was "
        "promoted"
    )
