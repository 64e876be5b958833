"""Which stages a region of interest makes stale, by the real DVC."""

import shutil
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT, fastflow, write_plates
from tests.stages import write_tiny_params
from tests.test_pipeline import change_params, dvc, ran, status

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_a_region_makes_the_training_of_its_category_stale_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The prepared files stand for the trainings, which DVC compares with them."""
    for name in ("fastflow", "pipelines"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "dvc.yaml", tmp_path)
    write_tiny_params(tmp_path, epochs=1)
    change_params(tmp_path, data={"root": "images", "categories": ["plates", "tiles"]}, demo_categories=[])
    for name in ("plates", "tiles"):
        write_plates(tmp_path / "images" / name, num_train=3, num_test=2)
    dvc(tmp_path, "init", "-q", "--no-scm")
    prepared = {"prepare@plates", "prepare@tiles"}
    assert ran(dvc(tmp_path, "repro", "prepare")) == prepared
    assert not prepared & set(status(tmp_path))
    before = inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert fastflow("roi", "plates", "--box", "5,5,40,40") == 0
    assert "prepare@plates" in status(tmp_path)
    dvc(tmp_path, "repro", "prepare")
    now = inputs(tmp_path)
    assert {name for name in now if now[name] != before[name]} == {"plates"}
    assert fastflow("roi", "plates", "--remove") == 0
    dvc(tmp_path, "repro", "prepare")
    assert inputs(tmp_path) == before, "and without it all is as it was"


def inputs(project: Path) -> dict[str, dict[str, str]]:
    """Of each category's `train`: the md5 of the prepared files that it depends on, as DVC has recorded them."""
    deps = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["train"]["deps"]
    wanted = [str(dep) for dep in deps if "prepared" in str(dep)]
    stages = yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    found = {}
    for name in ("plates", "tiles"):
        outs = {out["path"]: str(out["md5"]) for out in stages[f"prepare@{name}"]["outs"]}
        found[name] = {path: outs[path] for path in (one.replace("${item.category}", name) for one in wanted)}
    return found
