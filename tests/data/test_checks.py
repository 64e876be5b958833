"""Planted faults, each found by its name, and nothing else found; policies; the real category without a finding."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.index import list_category
from pipelines.core.params import Findings
from pipelines.data.checks.compare import rms
from pipelines.data.checks.finding import REMEDIES
from pipelines.demo.generate import write_category
from tests.conftest import ROOT, draw_square
from tests.data.faults import FAULTS, blank_mask, found

BOTTLE = ROOT / "../shared/real/mvtec_ad/bottle"


def good_by_another_name(folder: Path) -> None:
    shutil.copytree(folder / "test/good", folder / "test/OK")
    for number, path in enumerate((folder / "test/OK").iterdir()):
        Image.fromarray(draw_square(seed=300 + number, defect=False)[0]).save(path)
    shutil.rmtree(folder / "ground_truth")


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
    command = [sys.executable, "-m", "pipelines.cli.app", "validate", "--folder", str(many)]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    rows = json.loads(done.stdout)
    expected = set.union(*(expected for _, expected in FAULTS))
    expected |= {("suspicious", "train/good/004.png")}  # of 12 bits: beside the image of 16 it is nearly black
    assert {(row["kind"], row["path"]) for row in rows} == expected
    assert len(rows) == 1 + sum(len(expected) for _, expected in FAULTS)
    assert all(row["remedy"] and row["message"] for row in rows)
    assert f"refused for {len([row for row in rows if row['policy'] == 'refuse'])} findings" in done.stderr
    assert "Traceback" not in done.stderr
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    counted = Counter((row["policy"], row["kind"]) for row in rows)
    few = [row for row in rows if counted[row["policy"], row["kind"]] <= 3]
    assert all(row["path"] in text and row["remedy"] in text for row in few)
    assert all(f"and {n - 3} more [{kind}]; all of them: --json" in text for (_, kind), n in counted.items() if n > 3)


def test_every_kind_has_a_policy_a_remedy_and_a_planted_fault() -> None:
    kinds = set(Findings.model_fields) | {"layout"}
    planted = {kind for _, expected in FAULTS for kind, _ in expected}
    assert kinds == set(REMEDIES) == planted | {"out_of_range", "roi_shape", "outside_roi"}
    # the first needs a range: test_pixel_findings.py; the others need a region of interest: test_roi_command.py


def test_a_test_folder_that_means_good_is_no_defect_type(many: Path) -> None:
    good_by_another_name(many)
    assert found(many) == {("layout", "test/OK")}


def test_files_may_be_links_as_dvc_checks_out(many: Path, tmp_path: Path) -> None:
    for number, path in enumerate(p for p in sorted(many.rglob("*")) if p.is_file()):
        path.rename(tmp_path / f"cache{number}")
        path.symlink_to(tmp_path / f"cache{number}")
    assert found(many) == set()
    assert len(list_category(many)) == 36


def test_one_pass_names_the_faults_of_an_image_and_of_its_mask(many: Path) -> None:
    (many / "test/square/000.png").write_bytes(b"x")
    blank_mask(many)
    blank = Image.new("L", (9, 9))
    for number in (0, 1):
        blank.save(many / f"ground_truth/square/00{number}_mask.png")
    masks = [("empty_mask", f"ground_truth/square/00{number}_mask.png") for number in (0, 1, 4)]
    assert found(many) == {
        ("unreadable", "test/square/000.png"), ("mask_size", "ground_truth/square/001_mask.png"), *masks
    }  # fmt: skip


def test_a_leak_is_found_though_training_images_have_twins(many: Path) -> None:
    for path in sorted((many / "train/good").iterdir()):
        pixels = np.asarray(Image.open(path)).copy()
        pixels[::7] += 1
        Image.fromarray(pixels).save(path.with_name(f"{path.stem}b.png"))
    assert found(many) == set()
    Image.open(many / "train/good/003.png").save(many / "test/good/near.jpg", quality=95)
    leaks = {("near_identical", "train/good/003.png"), ("near_identical", "train/good/003b.png")}
    assert found(many) == leaks


@pytest.mark.parametrize("category", ["weave", "label", "gear", "pinion"])
def test_drawn_categories_have_no_finding(tmp_path: Path, category: str) -> None:
    write_category(category, tmp_path, seed=0, image_size=128, num_train=24, num_good=8, num_per_defect=2)
    assert found(tmp_path / category) == set()


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
