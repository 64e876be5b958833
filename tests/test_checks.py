"""Planted faults, each found by its name, and nothing else found; policies; the real category without a finding."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from pipelines.checks.category import leave_out
from pipelines.checks.compare import rms
from pipelines.checks.finding import REMEDIES
from pipelines.checks.policy import check_and_decide, decide
from pipelines.params import Findings, read_params
from tests.conftest import ROOT, draw_square, write_plates

BOTTLE = ROOT / "../shared/real/mvtec_ad/bottle"
POLICY = read_params(ROOT / "params.yaml").findings


def found(folder: Path, policy: Findings = POLICY) -> set[tuple[str, str]]:
    _, decided = check_and_decide(folder, policy)
    return {(f.kind, f.path) for findings in decided.values() for f in findings}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """A category large enough that one odd image is odd."""
    return write_plates(tmp_path / "plates", num_train=12, num_test=12)


def truncate(folder: Path) -> None:
    path = folder / "train/good/001.png"
    path.write_bytes(path.read_bytes()[:-20])


def empty_file(folder: Path) -> None:
    (folder / "test/good/001.png").write_bytes(b"")


def other_format(folder: Path) -> None:
    Image.open(folder / "test/good/002.png").save(folder / "test/good/002.png", format="GIF")


def grey_image(folder: Path) -> None:
    Image.open(folder / "train/good/002.png").convert("L").save(folder / "train/good/002.png")


def deep_image(folder: Path) -> None:
    grey = np.asarray(Image.open(folder / "train/good/003.png").convert("L")).astype(np.uint16) * 257
    Image.fromarray(grey).save(folder / "train/good/003.png")


def large_image(folder: Path) -> None:
    Image.open(folder / "test/good/003.png").resize((96, 64)).save(folder / "test/good/003.png")


def no_mask(folder: Path) -> None:
    (folder / "ground_truth/square/001_mask.png").unlink()


def misnamed_mask(folder: Path) -> None:
    mask = folder / "ground_truth/square/002_mask.png"
    mask.rename(mask.with_name("2_mask.png"))


def small_mask(folder: Path) -> None:
    Image.new("L", (9, 9), 255).save(folder / "ground_truth/square/003_mask.png")


def blank_mask(folder: Path) -> None:
    Image.new("L", (64, 64)).save(folder / "ground_truth/square/004_mask.png")


def soft_mask(folder: Path) -> None:
    Image.linear_gradient("L").resize((64, 64)).save(folder / "ground_truth/square/005_mask.png")


def leak(folder: Path) -> None:
    shutil.copy(folder / "test/good/006.png", folder / "train/good/leak.png")


def near_leak(folder: Path) -> None:
    Image.open(folder / "test/good/007.png").save(folder / "train/good/near.jpg", quality=95)


def twice(folder: Path) -> None:
    shutil.copy(folder / "train/good/005.png", folder / "train/good/again.png")


def not_the_part(folder: Path) -> None:
    Image.fromarray(255 - draw_square(seed=1, defect=False)[0]).save(folder / "train/good/odd.png")


def bad_in_train(folder: Path) -> None:
    shutil.copytree(folder / "test/square", folder / "train/square")


def no_images(folder: Path) -> None:
    (folder / "test/scratch").mkdir()


def strangers(folder: Path) -> None:
    (folder / "test/good/notes.txt").write_text("x")
    (folder / "test/good/gone.png").symlink_to("nowhere.png")


def same_name(folder: Path) -> None:
    Image.fromarray(draw_square(seed=77, defect=False)[0]).save(folder / "test/good/008.PNG")


def same_stem(folder: Path) -> None:
    Image.fromarray(draw_square(seed=78, defect=False)[0]).save(folder / "test/good/009.bmp")


def decomposed(folder: Path) -> None:
    Image.fromarray(draw_square(seed=79, defect=False)[0]).save(folder / "test/good/u\u0308ber.png")


FAULTS: list[tuple[Callable[[Path], None], set[tuple[str, str]]]] = [
    (truncate, {("unreadable", "train/good/001.png")}),
    (empty_file, {("unreadable", "test/good/001.png")}),
    (other_format, {("unreadable", "test/good/002.png")}),
    (grey_image, {("odd_mode", "train/good/002.png")}),
    (deep_image, {("odd_mode", "train/good/003.png")}),
    (large_image, {("odd_size", "test/good/003.png")}),
    (no_mask, {("missing_mask", "test/square/001.png")}),
    (misnamed_mask, {("missing_mask", "test/square/002.png"), ("extra_mask", "ground_truth/square/2_mask.png")}),
    (small_mask, {("mask_size", "ground_truth/square/003_mask.png")}),
    (blank_mask, {("empty_mask", "ground_truth/square/004_mask.png")}),
    (soft_mask, {("non_binary_mask", "ground_truth/square/005_mask.png")}),
    (leak, {("leakage", "train/good/leak.png")}),
    (near_leak, {("near_identical", "train/good/near.jpg")}),
    (twice, {("duplicate", "train/good/again.png")}),
    (not_the_part, {("suspicious", "train/good/odd.png")}),
    (bad_in_train, {("layout", "train/square")}),
    (no_images, {("empty_class", "test/scratch")}),
    (strangers, {("foreign_file", "test/good/notes.txt"), ("foreign_file", "test/good/gone.png")}),
    (same_name, {("name_clash", "test/good/008.png")}),
    (same_stem, {("name_clash", "test/good/009.png")}),
    (decomposed, {("name_form", "test/good/u\u0308ber.png")}),
]


@pytest.mark.parametrize(("plant", "expected"), FAULTS, ids=lambda x: getattr(x, "__name__", ""))
def test_each_fault_alone_is_that_finding(
    many: Path, plant: Callable[[Path], None], expected: set[tuple[str, str]]
) -> None:
    assert found(many) == set()
    plant(many)
    assert found(many) == expected


def test_all_faults_at_once_are_exactly_those_findings_and_exit_code_3(many: Path, tmp_path: Path) -> None:
    for plant, _ in FAULTS:
        plant(many)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    command = [sys.executable, "-m", "pipelines.validate", "--folder", str(many)]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    rows = json.loads(done.stdout)
    assert {(row["kind"], row["path"]) for row in rows} == set.union(*(expected for _, expected in FAULTS))
    assert len(rows) == sum(len(expected) for _, expected in FAULTS)
    assert all(row["remedy"] and row["message"] for row in rows)
    assert "are refused" in done.stderr
    assert "Traceback" not in done.stderr
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert all(row["path"] in text and row["remedy"] in text for row in rows)


def test_every_kind_has_a_policy_a_remedy_and_a_planted_fault() -> None:
    kinds = set(Findings.model_fields) | {"layout"}
    assert kinds == set(REMEDIES) == {kind for _, expected in FAULTS for kind, _ in expected}


def test_quarantine_leaves_out_exactly_the_images_at_fault(many: Path) -> None:
    truncate(many)
    blank_mask(many)
    leak(many)
    changes = {"unreadable": "quarantine", "empty_mask": "quarantine", "leakage": "quarantine"}
    index, decided = check_and_decide(many, POLICY.model_copy(update=changes))
    assert not decided["refuse"]
    kept = leave_out(index, decided["quarantine"])
    gone = set(index["image_path"]) - set(kept["image_path"])
    assert gone == {"train/good/001.png", "test/square/004.png", "train/good/leak.png"}


def test_layout_is_refused_whatever_the_policy(many: Path) -> None:
    shutil.rmtree(many / "train/good")
    _, decided = check_and_decide(many, Findings(**dict.fromkeys(Findings.model_fields, "report")))  # type: ignore[arg-type]
    assert [f.path for f in decided["refuse"]] == ["train/good"]
    assert decide([], POLICY)["refuse"] == []


def test_rms_is_the_definition() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.uniform(0, 255, (3, 50)).astype(np.float32), rng.uniform(0, 255, (4, 50)).astype(np.float32)
    assert rms(a, b) == pytest.approx(np.array([[np.sqrt(((x - y) ** 2).mean()) for y in b] for x in a]), rel=1e-4)


@pytest.mark.skipif(not BOTTLE.is_dir(), reason="no real images here")
def test_real_bottle_has_no_finding() -> None:
    assert found(BOTTLE) == set()


@pytest.mark.parametrize("gone", ["ground_truth", "test"])
def test_a_category_without_masks_or_test_images_is_no_fault(many: Path, gone: str) -> None:
    shutil.rmtree(many / "ground_truth")
    shutil.rmtree(many / gone, ignore_errors=True)
    assert found(many) == set()


def test_prepare_records_what_it_left_out(many: Path, tmp_path: Path) -> None:
    leak(many)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["data"] = {"root": str(tmp_path), "categories": ["plates"]}
    values["findings"]["leakage"] = "quarantine"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "pipelines.prepare", "--category", "plates"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    index = pd.read_csv(tmp_path / "data/prepared/plates.csv")
    assert "train/good/leak.png" not in set(index["image_path"])
    assert len(index) == 36
    (row,) = json.loads((tmp_path / "data/prepared/plates.findings.json").read_text())
    assert (row["policy"], row["kind"], row["image"]) == ("quarantine", "leakage", "train/good/leak.png")
    assert "left out" in done.stdout
