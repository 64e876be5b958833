"""Faults of a category, each planted by a function, and the finding that each must be."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core.params import Findings, read_params
from pipelines.data.checks.policy import check_and_decide
from tests.conftest import ROOT, draw_square

POLICY = read_params(ROOT / "params.yaml").findings


def found(folder: Path, policy: Findings = POLICY) -> set[tuple[str, str]]:
    _, decided, _ = check_and_decide(folder, policy)
    return {(f.kind, f.path) for findings in decided.values() for f in findings}


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


def unset_alpha(folder: Path) -> None:
    path = folder / "test/good/010.png"
    colours = Image.open(path).convert("RGB")
    colours.putalpha(0)
    colours.save(path)


def twelve_bits(folder: Path) -> None:
    """As a camera's 12 bits lie in a file of 16."""
    path = folder / "train/good/004.png"
    grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 16
    Image.fromarray(grey).save(path)


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
    (unset_alpha, {("unset_alpha", "test/good/010.png"), ("odd_mode", "test/good/010.png")}),
    (twelve_bits, {("bit_depth", "train/good/004.png"), ("odd_mode", "train/good/004.png")}),
    (large_image, {("odd_size", "test/good/003.png"), ("odd_shape", "test/good/003.png")}),
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
