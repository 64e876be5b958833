"""The stages in one process on a tiny category: what they write, what they track, and how they refuse bad input."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipelines.core.params import read_params
from pipelines.core.paths import DEMO
from pipelines.core.stage import BAD_DATA, USAGE
from pipelines.registry import comparison_view
from pipelines.reporting import results
from pipelines.tracking.sync import sync
from pipelines.training.resumable import train_settings
from tests.conftest import ROOT, SIZE, as_shipped
from tests.stages import STAGE_NAMES, run, run_report, write_tiny_params
from tests.stages import project as project  # the fixture

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix


def test_a_category_goes_from_images_to_report_and_registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in STAGE_NAMES:
        assert run(stage, monkeypatch) == 0
    assert run_report(monkeypatch) == 0

    metrics = json.loads((project / "reports/plates/metrics.json").read_text())
    assert metrics["image_auroc"] > 0.9
    assert metrics["pixel_auroc"] > 0.9
    assert metrics["undefined"] == {}
    assert metrics["num_train"] == 8
    page = (project / "report.html").read_text()
    assert "plates" in page
    assert "square" in page
    says_why(json.loads((project / "reports/plates/pictures/index.json").read_text()), page)

    sync()
    key = json.loads((project / "models/plates/run.json").read_text())["run_key"]
    (finished,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    run_id = finished.info.run_id
    assert finished.data.tags["run_key"] == key
    assert finished.info.status == "FINISHED"
    assert finished.data.params["train.epochs"] == "6"
    assert finished.data.metrics["image_auroc"] == pytest.approx(metrics["image_auroc"])
    assert {"git_commit", "data_dvc_md5", "seed", "torch", "sha256.flow.safetensors"} <= finished.data.tags.keys()
    saved = mlflow.get_experiment(finished.info.experiment_id).tags[comparison_view.TAG]
    columns = json.loads(json.loads(saved)["state"])["selectedColumns"]
    kinds = (("metrics", finished.data.metrics), ("params", finished.data.params), ("tags", finished.data.tags))
    assert set(columns) - {"tags.`gate`"} <= {f"{kind}.`{name}`" for kind, values in kinds for name in values}
    history = mlflow.MlflowClient().get_metric_history(run_id, "loss")
    curve = pd.read_csv(project / "reports/plates/training.csv")
    assert [m.value for m in history] == pytest.approx(curve["loss"].tolist())
    artifacts = {f.path for f in mlflow.MlflowClient().list_artifacts(run_id, "report")}
    assert {"report/metrics.json", "report/pictures"} <= artifacts

    served = mlflow.pyfunc.load_model("models:/fastflow-plates/1")
    scores = pd.read_csv(project / "reports/plates/scores.csv")
    asked = pd.DataFrame({"image": [str(project / "images/plates" / p) for p in scores["image_path"]]})
    answer = served.predict(asked)
    threshold = json.loads((project / "models/plates/config.json").read_text())["threshold"]["image"]
    assert answer["pred_label"].tolist() == (scores["pred_score"] > threshold).astype(int).tolist()
    assert answer["pred_score"].tolist() == pytest.approx(scores["pred_score"].tolist(), rel=1e-4)
    encoded = base64.b64encode((project / "images/plates/test/square/000.png").read_bytes()).decode()
    by_path = answer["pred_score"][scores["image_path"] == "test/square/000.png"].item()
    assert served.predict(pd.DataFrame({"image": [encoded]}))["pred_score"].item() == pytest.approx(by_path, rel=1e-4)
    with pytest.raises(ValueError, match="neither an existing file nor base64"):
        served.predict(pd.DataFrame({"image": ["nothing.png"]}))
    assert results.table(["plates"])["image_auroc"].to_dict() == {"plates": metrics["image_auroc"]}
    mean = results.table(["plates", "none"]).loc["mean"]
    assert mean["image_auroc"] == pytest.approx(metrics["image_auroc"])


def says_why(pictures: dict[str, Any], page: str) -> None:
    """Of the case that is closest to the threshold."""
    (closest, *_) = pictures["groups"]["borderline"]
    because = pictures["cases"][closest]["why"]
    assert because["said"][0].startswith("It comes from x ")
    assert Path(because["nearest"]).parent == Path("images/plates/train/good")
    assert because["said"][0] in page


def test_evaluation_on_a_store_that_never_saw_the_training_adopts_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stage in ("prepare", "train"):
        assert run(stage, monkeypatch) == 0
    sync()
    trained = json.loads((project / "models/plates/run.json").read_text())["run_key"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project}/another_store.db")
    assert run("evaluate", monkeypatch) == 0
    sync()
    adopted = mlflow.search_runs(experiment_names=["fastflow"])
    assert adopted["tags.adopted_from"].tolist() == [trained]
    assert adopted["metrics.image_auroc"].notna().all()


@pytest.mark.parametrize("gone", ["test/square", "test"])
def test_a_category_without_defects_or_test_images_still_goes_through(
    project: Path, monkeypatch: pytest.MonkeyPatch, gone: str
) -> None:
    shutil.rmtree(project / "images/plates/ground_truth")
    shutil.rmtree(project / "images/plates" / gone)
    for stage in STAGE_NAMES:
        assert run(stage, monkeypatch) == 0
    metrics = json.loads((project / "reports/plates/metrics.json").read_text())
    for name in ("image_auroc", "pixel_auroc", "aupro"):
        assert metrics[name] is None
        assert metrics["undefined"][name]
    assert run_report(monkeypatch) == 0
    assert metrics["undefined"]["image_auroc"] in (project / "report.html").read_text()


def test_demo_category_is_drawn_and_prepared(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("draw", monkeypatch, "weave") == 0
    text = (
        (project / "params.yaml").read_text().replace("root: images", "root: data/demo").replace("- plates", "- weave")
    )
    (project / "params.yaml").write_text(text)
    assert run("prepare", monkeypatch, "weave") == 0
    assert pd.read_csv(project / "data/prepared/weave.csv")["split"].value_counts()["train"] == 3


def spoil_image(project: Path) -> None:
    path = project / "images/plates/train/good/001.png"
    path.write_bytes(path.read_bytes()[:100])


def remove_mask(project: Path) -> None:
    (project / "images/plates/ground_truth/square/002_mask.png").unlink()


def shrink_mask(project: Path) -> None:
    Image.new("L", (9, 9), 255).save(project / "images/plates/ground_truth/square/002_mask.png")


def blank_mask(project: Path) -> None:
    Image.new("L", (SIZE, SIZE)).save(project / "images/plates/ground_truth/square/002_mask.png")


def empty_category(project: Path) -> None:
    shutil.rmtree(project / "images/plates/train/good")


def remove_category(project: Path) -> None:
    shutil.rmtree(project / "images/plates")


def misspell_key(project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("seed:", "sead:"))


def mistype_value(project: Path) -> None:
    write_tiny_params(project, epochs="many")


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (spoil_image, BAD_DATA, "train/good/001.png: cannot be read"),
        (remove_mask, BAD_DATA, "test/square/002.png: its mask is missing"),
        (shrink_mask, BAD_DATA, "002_mask.png: (9, 9) pixels, its image has (64, 64)"),
        (blank_mask, BAD_DATA, "002_mask.png: the mask marks no pixel"),
        (empty_category, BAD_DATA, "train/good: has no image"),
        (remove_category, BAD_DATA, "images/plates does not exist"),
        (misspell_key, USAGE, "unknown key 'sead'"),
        (mistype_value, USAGE, "train.epochs is 'many' (str)"),
    ],
)
def test_bad_input_ends_in_one_sentence_and_nothing_written(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    code: int,
    sentence: str,
) -> None:
    spoil(project)
    assert run("prepare", monkeypatch) == code
    said = capfd.readouterr().err
    assert said.startswith("error: ")
    assert sentence in said
    assert "Traceback" not in said
    assert not (project / "data").exists() or not list((project / "data").rglob("*.*"))


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"weights": "absent.safetensors"}, "weights file absent.safetensors does not exist"),
        ({"weights": "params.yaml"}, "weights file params.yaml is not a readable .safetensors file"),
        ({"preset": "resnet19"}, "preset 'resnet19' is unknown; allowed: efficientnet_lite2"),
        ({"overrides": {"steps": 3}}, "unknown keys ['steps']"),
    ],
)
def test_bad_model_parameters_end_training_before_it_starts(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    model: dict[str, object],
    sentence: str,
) -> None:
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["model"] |= model
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    assert run("prepare", monkeypatch) == 0
    assert run("train", monkeypatch) == USAGE
    assert sentence in capfd.readouterr().err
    assert not (project / "models").exists()
    assert not (project / ".mlflow").exists()


def test_a_loss_that_is_not_finite_fails_the_run_and_registers_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_tiny_params(project, learning_rate=1e30)
    assert run("prepare", monkeypatch) == 0
    assert run("train", monkeypatch) == 1
    assert "error: the loss is " in capfd.readouterr().err
    assert not (project / "models").exists()
    sync()
    assert mlflow.search_runs(experiment_names=["fastflow"])["status"].tolist() == ["FAILED"]
    assert mlflow.search_registered_models() == []


@pytest.mark.parametrize(("written", "images", "epochs"), [(5, 64, 5), (None, 64, 15), (None, 209, 12), (1, 8, 1)])
def test_epochs_as_written_are_obeyed_and_few_images_get_more_only_where_none_are(
    written: int | None, images: int, epochs: int
) -> None:
    shipped = read_params(ROOT / "params.yaml")
    params = shipped.model_copy(update={"train": shipped.train.model_copy(update={"epochs": written})})
    assert train_settings(params, images)["epochs"] == epochs


@as_shipped
def test_shipped_params_name_drawable_demo_categories() -> None:
    params = read_params(ROOT / "params.yaml")
    assert params.data.root == DEMO.as_posix()
    assert set(params.data.categories) <= set(params.demo.categories)
