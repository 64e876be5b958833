"""Folders that would be misread by rules of thumb, drawn small, with what each of them holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from tests.data.folders import SIDE, bad, good, mask_image, names, save, truth
from tests.data.laid_out_folders import Built


def kinds_below_ng(f: Path) -> Built:
    good(f / "train/OK")
    good(f / "test/OK", 2)
    bad(f / "test/NG/scratch")
    bad(f / "test/NG/dent")
    goods = names("train/OK/", 6) | names("test/OK/", 2)
    return (
        "MVTec AD",
        {"good": goods, "scratch": names("test/NG/scratch/", 3), "dent": names("test/NG/dent/", 3)},
        False,
    )


def masks_are_the_product(f: Path) -> Built:
    good(f / "mask_ok")
    bad(f / "mask_ripped")
    return "by class", {"good": names("mask_ok/", 6), "mask_ripped": names("mask_ripped/", 3)}, False


def class_then_split(f: Path) -> Built:
    good(f / "good/train")
    good(f / "good/test", 2)
    bad(f / "scratch/test", masks="../../masks/scratch/{:03}.png")
    goods = names("good/train/", 6) | names("good/test/", 2)
    return "MVTec AD", {"good": goods, "scratch": names("scratch/test/", 3)}, True


def below_a_word_of_its_own(f: Path) -> Built:
    good(f / "Defects dataset v2/good")
    bad(f / "Defects dataset v2/crack", masks="../../masks/crack/{:03}.png")
    folder = "Defects dataset v2"
    return "by class", {"good": names(f"{folder}/good/", 6), "crack": names(f"{folder}/crack/", 3)}, True


def black_and_white_photographs(f: Path) -> Built:
    for kind, count in (("good", 6), ("dent", 3)):
        for number in range(count):
            save(mask_image(f"{kind}{number}"), f / kind / f"{number:03}.png")
    return "by class", {"good": names("good/", 6), "dent": names("dent/", 3)}, False


def classes_and_objects(f: Path) -> Built:
    """As CVAT exports Pascal VOC's masks: colours by class, and again by object."""
    good(f / "JPEGImages", name="g{:03}.jpg")
    bad(f / "JPEGImages", name="d{:03}.jpg")
    for stem in [*(f"d{number:03}" for number in range(3)), *(f"g{number:03}" for number in range(6))]:
        pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
        pixels[truth(stem)] = (128, 0, 0) if stem.startswith("d") else 0
        for folder in ("SegmentationClass", "SegmentationObject"):
            save(Image.fromarray(pixels), f / folder / f"{stem}.png")
    goods, defects = (names("JPEGImages/", count, name=f"{word}{{:03}}.jpg") for word, count in (("g", 6), ("d", 3)))
    return "CVAT or Pascal VOC, label masks", {"good": goods, "defect": defects}, True


def masks_for_all(f: Path) -> Built:
    for path in good(f / "images", name="{:03}.jpg"):
        save(Image.new("L", (SIDE, SIDE)), f / "masks" / f"{path.stem}.png")
    bad(f / "images", name="d{:03}.jpg", masks="../masks/d{:03}.png")
    goods, defects = names("images/", 6, name="{:03}.jpg"), names("images/", 3, name="d{:03}.jpg")
    return "masks in a folder", {"good": goods, "defect": defects}, True


def named_and_masked(f: Path) -> Built:
    good(f, name="img_{:03}_ok.png")
    bad(f, name="img_{:03}_ng.png", masks="img_{:03}_ng_mask.png")
    goods, defects = names("", 6, name="img_{:03}_ok.png"), names("", 3, name="img_{:03}_ng.png")
    return "masks beside images", {"good": goods, "defect": defects}, True


def scores_are_no_table(f: Path) -> Built:
    good(f / "ok")
    bad(f / "ko")
    (f / "scores.csv").write_text("image_path,pred_score,pred_label\nok/000.png,1.0,0\n")
    return "by class", {"good": names("ok/", 6), "ko": names("ko/", 3)}, False


def names_of_a_table(f: Path) -> Built:
    good(f / "img")
    bad(f / "img", name="d{}.png")
    lines = [*(f"{number:03}.png;OK" for number in range(6)), *(f"d{number}.png;dent" for number in range(3))]
    (f / "labels.csv").write_text("\n".join(["filename;label", *lines]))
    return "table labels.csv", {"good": names("img/", 6), "dent": names("img/", 3, name="d{}.png")}, False


def numbers_beside_good(f: Path) -> Built:
    good(f / "good")
    bad(f / "1")
    bad(f / "2", name="2{}.png")
    return "by class", {"good": names("good/", 6), "1": names("1/", 3), "2": names("2/", 3, name="2{}.png")}, False


ODD: dict[str, Callable[[Path], Built]] = {
    case.__name__: case
    for case in (
        kinds_below_ng, masks_are_the_product, class_then_split, below_a_word_of_its_own, black_and_white_photographs,
        classes_and_objects, masks_for_all, named_and_masked, scores_are_no_table, names_of_a_table,
        numbers_beside_good,
    )
}  # fmt: skip
