"""What was applied is tracked by DVC, trained on by the next run, and named by the data's card and the MLflow run."""

import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest

from pipelines.review.decisions import decide
from pipelines.review.store import opened
from pipelines.tracking.sync import sync
from tests.conftest import ROOT, fastflow, write_plates
from tests.review.kit import judged, keep
from tests.stages import project as project  # the fixture
from tests.stages import run, write_tiny_params
from tests.test_pipeline import change_params, dvc, status
from tests.test_pipeline import run as run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def reviewed() -> tuple[str, str, str]:
    """Kept and decided on: good, a defect that was found, and one that was missed."""
    good, dent, missed = keep(
        judged(101, score=0.9), judged(102, score=0.9, defect=True), judged(103, score=0.2)
    )  # fmt: skip
    with opened("plates") as base:
        decide(base, good, "Ana", "good", "", 1_800_000_000)
        decide(base, dent, "Ana", "defect", "dent", 1_800_000_000)
        decide(base, missed, "Ben", "defect", "square", 1_800_000_100)
    return good, dent, missed


@pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
def test_the_next_training_has_them_and_says_so(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good, dent, missed = reviewed()
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    for stage in ("prepare", "train", "evaluate"):
        assert run(stage, monkeypatch) == 0
    index = pd.read_csv("data/prepared/plates.csv").set_index("sha256")
    assert index.loc[[good, dent, missed], "split"].tolist() == ["train", "test", "test"]
    assert index.loc[[dent, missed], "defect_type"].tolist() == ["dent", "square"]
    metrics = json.loads(Path("reports/plates/metrics.json").read_text())
    assert (metrics["num_train"], metrics["num_defective"]) == (9, 6)
    assert metrics["undefined"] == {}  # the pixel metrics are those of the masks that persons drew
    card = json.loads(Path("reports/plates/dataset.json").read_text())["review"]
    assert (card["good"], card["defects"], card["proposed_masks"]) == (1, {"dent": 1, "square": 1}, 2)
    assert card["inspectors"] == ["Ana", "Ben"]
    assert card["last"] == "2027-01-15T08:01:40.000+00:00"
    assert f"test/dent/line-{dent[:16]}.png" in card["files"]
    text = "From the review of the line, until 2027-01-15: 1 good training image and 2 defective test images"
    assert text in Path("reports/plates/model_card.md").read_text()
    sync()
    (finished,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    tags = finished.data.tags
    assert (tags["review.good"], tags["review.defects"]) == ("1", "2")
    assert tags["review.last"] == card["last"]
    assert text in tags["mlflow.note.content"]


def test_dvc_tracks_it_and_the_training_is_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("dvc.yaml", ".gitignore", ".dvcignore"):
        shutil.copy(ROOT / name, tmp_path)
    write_tiny_params(tmp_path, epochs=1)
    change_params(tmp_path, data={"root": "data/own", "categories": ["plates"]}, demo_categories=[])
    write_plates(tmp_path / "data/own/plates", num_train=3, num_test=2)
    with (tmp_path / ".gitignore").open("a") as file:
        file.write("/.dvc/site-cache/\n")
    run_command(tmp_path, "git", "init", "-q")
    dvc(tmp_path, "init", "-q")
    dvc(tmp_path, "config", "cache.type", "symlink")  # what is tracked are links, which must not be written through
    dvc(tmp_path, "add", "data/own/plates")
    dvc(tmp_path, "repro", "prepare@plates")
    run_command(tmp_path, "git", "add", "-A")
    run_command(tmp_path, "git", "commit", "-qm", "data")
    assert "prepare@plates" not in status(tmp_path)
    monkeypatch.chdir(tmp_path)
    good, dent, _ = reviewed()
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    said = capsys.readouterr().out
    assert "git add data/own/plates.dvc data/own/.gitignore" in said
    assert "git commit -m 'plates: 1 good picture and 2 defective pictures that inspectors decided on'" in said
    changed = run_command(tmp_path, "git", "status", "--porcelain").split("\nexit code")[0]
    assert changed.split() == ["M", "data/own/plates.dvc"]
    assert "prepare@plates" in status(tmp_path)
    dvc(tmp_path, "repro", "prepare@plates")
    text = Path("data/prepared/plates.csv").read_text()
    assert good in text
    assert dent in text
    tracked = Path("data/own/plates.dvc").read_text()
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    assert Path("data/own/plates.dvc").read_text() == tracked
    run_command(tmp_path, "git", "stash", "-q")  # taken back, and applied again
    dvc(tmp_path, "checkout", "--force", "data/own/plates.dvc")
    assert not list(Path("data/own/plates").rglob("line-*"))
    assert fastflow("review", "plates", "--apply", "--yes") == 0
    assert len(list(Path("data/own/plates").rglob("line-*.png"))) == 5
