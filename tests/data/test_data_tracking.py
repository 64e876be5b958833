"""Data under DVC, in a repository of its own: push, pull, and only what was asked for or changed."""

import hashlib
import io
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

from pipelines.data.add_category import add_category
from pipelines.data.data_sets import DATA_SETS
from pipelines.reporting.decision import write_decision
from tests.conftest import ROOT, draw_square, write_plates
from tests.test_pipeline import dvc, ran, run, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OWN = ["plates", "tiles"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with two own categories added and tracked, prepared, and a remote beside it."""
    folder = tmp_path / "project"
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, folder / name)  # with what is compiled: to compile it again costs a minute
    for name in ("dvc.yaml", ".gitignore", ".dvcignore", "params.yaml"):
        shutil.copy(ROOT / name, folder)
    change(folder, "data", root="data/own", categories=OWN)
    change(folder, "demo", categories=[])
    monkeypatch.chdir(folder)
    run(folder, "git", "init", "-q")
    dvc(folder, "init", "-q")
    for number, category in enumerate(OWN):
        source = write_plates(tmp_path / category, num_train=4 + number, num_test=2)
        add_category(source, category, root=Path("data/own"))
    dvc(folder, "add", *(f"data/own/{category}" for category in OWN))
    dvc(folder, "remote", "add", "--default", "store", str(tmp_path / "store"))
    dvc(folder, "repro", *(f"prepare@{category}" for category in OWN))
    run(folder, "git", "add", "-A")
    run(folder, "git", "commit", "-qm", "data")
    return folder


def change(folder: Path, section: str, **values: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params[section] |= values
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def tree(folder: Path) -> dict[str, str]:
    files = (p for p in folder.rglob("*") if p.is_file() and p.suffix in (".png", ".csv"))
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_clone_pulls_what_was_pushed_all_or_one_category(project: Path, tmp_path: Path) -> None:
    assert "data/own/plates.dvc" in run(project, "git", "ls-files")
    assert ".png" not in run(project, "git", "ls-files")
    dvc(project, "push")
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    clone = tmp_path / "clone"
    dvc(clone, "pull", "data/own/plates.dvc")
    assert not (clone / "data/own/tiles").exists()
    dvc(clone, "pull", *(f"data/own/{category}" for category in OWN), *(f"prepare@{category}" for category in OWN))
    assert tree(clone / "data") == tree(project / "data")
    assert ran(dvc(clone, "repro", *(f"prepare@{category}" for category in OWN))) == set()


def test_a_decision_of_the_gate_goes_with_git_and_leaves_a_clone_up_to_date(project: Path, tmp_path: Path) -> None:
    folder = project / "reports/plates"
    folder.mkdir(parents=True)
    write_decision(folder, {"verdict": "forced", "reason": "new camera", "challenger": "1", "champion": None})
    dvc(project, "repro", "--single-item", "report")
    (folder / "scores.csv").write_text("")  # as all that stages make, DVC's alone
    run(project, "git", "add", ".")
    run(project, "git", "commit", "-qm", "report")
    assert "reports/plates/gate.json" in run(project, "git", "ls-files").split()
    assert "scores.csv" not in run(project, "git", "ls-files")
    (folder / "scores.csv").unlink()
    dvc(project, "push", "report")
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    dvc(tmp_path / "clone", "pull", "report")
    assert "up to date" in dvc(tmp_path / "clone", "status", "report")
    assert (tmp_path / "clone/report.html").read_bytes() == (project / "report.html").read_bytes()
    assert (tmp_path / "clone/reports/plates/gate.json").read_bytes() == (folder / "gate.json").read_bytes()


def test_an_image_added_to_one_category_changes_its_stages_alone(project: Path) -> None:
    before = status_of_prepare(project)
    Image.fromarray(draw_square(seed=99, defect=False)[0]).save(project / "data/own/tiles/train/good/new.png")
    dvc(project, "add", "data/own/tiles")
    assert status_of_prepare(project) - before == {"prepare@tiles"}
    assert ran(dvc(project, "repro", *(f"prepare@{category}" for category in OWN))) == {"prepare@tiles"}
    assert len((project / "data/prepared/tiles.csv").read_text().splitlines()) == 1 + 5 + 1 + 4


def status_of_prepare(project: Path) -> set[str]:
    return {stage for stage in status(project) if stage.startswith("prepare")}


def test_repro_downloads_the_asked_category_and_no_other(project: Path, tmp_path: Path) -> None:
    """The real stage on an archive with bottle's official counts, of tiny images."""
    counts, archive = DATA_SETS["mvtec_ad"].counts["bottle"], tmp_path / "archive.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        for category in ("bottle", "cable"):
            names = [f"train/good/{i:03}" for i in range(counts.train)] + [
                f"test/good/{i:03}" for i in range(counts.good)
            ]
            for i in range(counts.defective):
                kind = ("large", "small", "dirty")[i % 3]
                names += [f"test/{kind}/{i:03}", f"ground_truth/{kind}/{i:03}_mask"]
            for number, name in enumerate(names):
                buffer = io.BytesIO()
                pixels = draw_square(seed=number, defect="mask" in name, size=64)
                Image.fromarray(pixels[1] if "mask" in name else pixels[0]).save(buffer, "PNG")
                member = tarfile.TarInfo(f"{category}/{name}.png")
                member.size = buffer.tell()
                buffer.seek(0)
                tar.addfile(member, buffer)
    values = yaml.safe_load((project / "params.yaml").read_text())["download"]
    values["mvtec_ad"]["sha256"] = hashlib.sha256(archive.read_bytes()).hexdigest()
    change(project, "download", categories=["bottle"], archive=str(archive), mvtec_ad=values["mvtec_ad"])
    change(project, "data", root="data/mvtec_ad", categories=["bottle"])
    assert ran(dvc(project, "repro", "prepare")) == {"download@bottle", "prepare@bottle"}
    assert [p.name for p in (project / "data/mvtec_ad").iterdir() if p.is_dir()] == ["bottle"]
    assert json.loads((project / "data/prepared/bottle.findings.json").read_text()) == []
    archive.unlink()
    library = project / "fastflow/decode.py"
    library.write_text(library.read_text() + "# changed\n")
    assert "download@bottle" in ran(dvc(project, "repro", "prepare"))
    stages = [
        sys.executable,
        "-c",
        "from pipelines.orchestration.stage_tasks import stages_of; print(stages_of('bottle'))",
    ]
    assert "['download@bottle', 'prepare@bottle'" in subprocess.run(stages, capture_output=True, text=True).stdout
