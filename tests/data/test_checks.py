"""Planted faults, each found by its name, and nothing else found; policies; the real category without a finding."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.index import list_category
from pipelines.core.params import Findings, read_params
from pipelines.data.checks.compare import rms
from pipelines.data.checks.finding import REMEDIES
from pipelines.data.checks.policy import check_and_decide
from pipelines.demo.generate import write_category
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
    Image.fromarray(np.eye(9) > 0).save(folder / "ground_truth/square/003_mask.png")


def blank_mask(folder: Path) -> None:
    Image.new("L", (64, 64)).save(folder / "ground_truth/square/004_mask.png")


def white_mask(folder: Path) -> None:
    Image.new("L", (64, 64), 255).save(folder / "ground_truth/square/000_mask.png")


def cut_mask(folder: Path) -> None:
    path = folder / "ground_truth/square/008_mask.png"
    path.write_bytes(path.read_bytes()[:-9])


def glass_mask(folder: Path) -> None:
    """White drawn on transparent white: it marks what is drawn."""
    mask = Image.open(folder / "ground_truth/square/009_mask.png").convert("L")
    white = Image.new("L", mask.size, 255)
    Image.merge("LA", (white, mask)).save(folder / "ground_truth/square/009_mask.png")


def soft_mask(folder: Path) -> None:
    Image.linear_gradient("L").crop((0, 0, 64, 64)).save(folder / "ground_truth/square/005_mask.png")


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
    os.mkfifo(folder / "test/good/pipe.png")


def lost_links(folder: Path) -> None:
    (folder / "test/good/gone.png").symlink_to("nowhere.png")
    (folder / "train/good/loop.png").symlink_to("loop.png")
    mask = folder / "ground_truth/square/010_mask.png"
    mask.unlink()
    mask.symlink_to("nowhere.png")


def linked_folder(folder: Path) -> None:
    (folder / "test/linked").symlink_to("square")


def good_by_another_name(folder: Path) -> None:
    shutil.copytree(folder / "test/good", folder / "test/OK")
    for number, path in enumerate((folder / "test/OK").iterdir()):
        Image.fromarray(draw_square(seed=300 + number, defect=False)[0]).save(path)
    shutil.rmtree(folder / "ground_truth")


def no_utf8(folder: Path) -> None:
    path = os.fsencode(folder / "train/good") + b"/\xff.png"
    shutil.copy(folder / "train/good/006.png", os.fsdecode(path))
    os.truncate(path, 100)


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
    (white_mask, {("full_mask", "ground_truth/square/000_mask.png")}),
    (cut_mask, {("unreadable", "ground_truth/square/008_mask.png")}),
    (glass_mask, set()),
    (strangers, {("foreign_file", "test/good/notes.txt"), ("foreign_file", "test/good/pipe.png")}),
    (
        lost_links,
        {
            ("unreadable", "test/good/gone.png"),
            ("unreadable", "train/good/loop.png"),
            ("unreadable", "ground_truth/square/010_mask.png"),
        },
    ),
    (linked_folder, {("layout", "test/linked")}),
    (no_utf8, {("unreadable", "train/good/\\udcff.png"), ("name_form", "train/good/\\udcff.png")}),
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
    command = [sys.executable, "-m", "pipelines.data.validate", "--folder", str(many)]
    done = subprocess.run([*command, "--json"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 3, done.stderr
    rows = json.loads(done.stdout)
    assert {(row["kind"], row["path"]) for row in rows} == set.union(*(expected for _, expected in FAULTS))
    assert len(rows) == sum(len(expected) for _, expected in FAULTS)
    assert all(row["remedy"] and row["message"] for row in rows)
    assert f"refused for {len([row for row in rows if row['policy'] == 'refuse'])} findings" in done.stderr
    assert "Traceback" not in done.stderr
    text = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    assert all(row["path"] in text and row["remedy"] in text for row in rows)


def test_every_kind_has_a_policy_a_remedy_and_a_planted_fault() -> None:
    kinds = set(Findings.model_fields) | {"layout"}
    assert kinds == set(REMEDIES) == {kind for _, expected in FAULTS for kind, _ in expected}


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
