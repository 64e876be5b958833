"""Annotations that say more than outlines: flags, lines and points, labels of parts, files that contradict."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastflow.arrange import marks_of
from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, Reading, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import SIDE, bad, classes, good, names, stops, truth
from tests.data.test_annotations import box, coco, shape

DEFECTS = names("", 2, name="d{}.png")
Shapes = list[dict[str, Any]]
LINE = [[4.0, 4.0], [12.0, 12.0]]


def labelme(folder: Path, *, of_good: tuple[Any, Shapes], of_bad: tuple[Any, Shapes]) -> Reading:
    """Six good images and two with a scratch, each with its flags and shapes."""
    paths = [(path, of_good) for path in good(folder)] + [(path, of_bad) for path in bad(folder, 2, name="d{}.png")]
    for path, (flags, shapes) in paths:
        content = {"imagePath": path.name, "imageWidth": SIDE, "imageHeight": SIDE, "flags": flags, "shapes": shapes}
        path.with_suffix(".json").write_text(json.dumps(content))
    return read_folder(folder, DEFAULT_OPTIONS)


def masks(reading: Reading) -> dict[str, int]:
    return {item.image.name: len(item.masks) for item in reading.items if item.defect_type != "good"}


@pytest.mark.parametrize(
    ("ok", "ng", "kind"),
    [
        ({"OK": True, "NG": False}, {"OK": False, "NG": True}, "NG"),
        ({}, {"scratch": True}, "scratch"),
        ({"defect": False}, {"defect": True}, "defect"),
        (None, {"i.O.": False, "Kratzer": True}, "Kratzer"),
    ],
)
def test_a_flag_says_what_an_image_is(tmp_path: Path, ok: Any, ng: Any, kind: str) -> None:
    reading = labelme(tmp_path, of_good=(ok, []), of_bad=(ng, []))
    assert classes(reading, tmp_path) == {"good": names("", 6), kind: DEFECTS}
    assert not stops(reading)
    assert "2 images with a flag, which marks no area" in " ".join(map(str, reading.doubts))


def test_a_shape_names_the_defect_that_a_flag_speaks_of(tmp_path: Path) -> None:
    corners = shape("rectangle", [[4, 4], [9, 9]])
    reading = labelme(tmp_path, of_good=({"OK": True}, []), of_bad=({"OK": False, "NG": True}, [corners]))
    assert classes(reading, tmp_path) == {"good": names("", 6), "dent": DEFECTS}
    assert masks(reading) == dict.fromkeys(DEFECTS, 1)
    assert not stops(reading)


@pytest.mark.parametrize(
    ("flags", "shapes", "why"),
    [
        ({"OK": True, "NG": True}, [], "2 images flagged OK, and flagged NG, taken as a defect"),
        ({"OK": True}, [shape("rectangle", [[4, 4], [9, 9]])], "2 images flagged OK, and marked with dent, taken as"),
        ({"blurry": True}, [], "2 images flagged blurry, which says neither good nor defective, and without a shape,"),
        ({"OK": False, "NG": False}, [], "2 images without a shape, and not flagged as good, where a flag says so"),
    ],
)
def test_flags_that_do_not_decide_are_a_doubt(tmp_path: Path, flags: Any, shapes: Shapes, why: str) -> None:
    (doubt,) = stops(labelme(tmp_path, of_good=({"OK": True}, []), of_bad=(flags, shapes)))
    assert doubt.startswith(why)
    settled = read_folder(tmp_path, ReadingOptions(Sources(defects=("d*.png",))))
    assert not stops(settled)
    assert {path for path, kind in classes(settled, tmp_path).items()} == {"good", "defect"}


def test_flags_of_sorted_images_are_no_doubt(tmp_path: Path) -> None:
    for path in [*good(tmp_path / "good"), *bad(tmp_path / "scratch", 2, name="d{}.png")]:
        content = {
            "imagePath": path.name,
            "imageWidth": SIDE,
            "imageHeight": SIDE,
            "flags": {"seen": True},
            "shapes": [],
        }
        path.with_suffix(".json").write_text(json.dumps(content))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("good/", 6), "scratch": names("scratch/", 2, name="d{}.png")}
    assert not stops(reading)


@pytest.mark.parametrize("kind", ["linestrip", "line", "point"])
def test_a_defect_marked_without_an_area_is_a_defect_without_a_mask(tmp_path: Path, kind: str) -> None:
    points = LINE[:1] if kind == "point" else LINE
    reading = labelme(tmp_path, of_good=({}, []), of_bad=({}, [shape(kind, points)]))
    assert classes(reading, tmp_path) == {"good": names("", 6), "dent": DEFECTS}
    assert masks(reading) == dict.fromkeys(DEFECTS, 0)
    assert not stops(reading)
    (note,) = map(str, reading.doubts)
    assert note == f"2 images with a {kind}, which marks no area: defects, their mask without it: d0.png, d1.png"


def test_a_good_folder_with_a_defect_marked_by_a_line_is_a_doubt(tmp_path: Path) -> None:
    path = good(tmp_path / "good")[3]
    bad(tmp_path / "bad")
    content = {"imagePath": path.name, "imageWidth": SIDE, "imageHeight": SIDE, "shapes": [shape("line", LINE)]}
    path.with_suffix(".json").write_text(json.dumps(content))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("1 image good by a folder or an option, and annotated as a defect without an area")
    assert not stops(read_folder(tmp_path, ReadingOptions(Sources(defects=("good/003.png",)))))


def test_a_region_to_be_ignored_is_left_out_of_the_evaluation(tmp_path: Path) -> None:
    ignored = shape("rectangle", [[0, 0], [24, 3]]) | {"label": "ignore"}
    corners = shape("rectangle", [[4, 4], [9, 9]])
    reading = labelme(tmp_path, of_good=({}, [ignored]), of_bad=({}, [ignored, corners]))
    assert classes(reading, tmp_path) == {"good": names("", 6), "dent": DEFECTS}
    assert not stops(reading)
    expected = np.zeros((SIDE, SIDE), np.uint8)
    expected[:3], expected[4:9, 4:9] = 128, 255
    for item in reading.items:
        if item.defect_type == "dent":
            assert np.array_equal(marks_of(item, MaskRule()), expected)


def exported(folder: Path, images: dict[str, list[dict[str, Any]]], file: str = "instances.json") -> Path:
    path = folder / file
    path.write_text(coco(images))
    return path


def annotated(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Six good images, and two with the outline of a scratch."""
    listed: dict[str, list[dict[str, Any]]] = {path.name: [] for path in good(folder)}
    for path in bad(folder, 2, name="d{}.png"):
        listed[path.name] = [{"category_id": 1, "segmentation": [box(path.stem)[0]]}]
    return listed


def test_coco_without_outline_and_box_is_a_defect_without_a_mask(tmp_path: Path) -> None:
    listed = annotated(tmp_path)
    listed["d1.png"] = [{"category_id": 1, "segmentation": [], "keypoints": [5, 5, 2], "num_keypoints": 1}]
    exported(tmp_path, listed)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("", 6), "scratch": DEFECTS}
    assert masks(reading) == {"d0.png": 1, "d1.png": 0}
    assert "1 image with neither an outline nor a box" in " ".join(map(str, reading.doubts))


def test_a_label_of_the_part_is_a_doubt(tmp_path: Path) -> None:
    listed = annotated(tmp_path)
    outline = {"category_id": 0, "segmentation": [[0, 0, 9, 0, 9, 9, 0, 9]]}
    for name in ("000.png", "001.png", "d0.png", "d1.png"):
        listed[name] = [*listed[name], outline]
    file = exported(tmp_path, listed)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("4 images with the label parts, which may be no defect, taken as defects: 000.png")
    file.write_text(file.read_text().replace('"parts"', '"screw"'))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("4 images with the label screw, which every image with scratch has, and others too")
    file.write_text(file.read_text().replace('"screw"', '"fold"'))  # a known kind of defect
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


def test_an_unknown_kind_of_defect_beside_others_is_none(tmp_path: Path) -> None:
    listed = annotated(tmp_path)
    for path in bad(tmp_path, 3, name="e{}.png"):
        listed[path.name] = [{"category_id": 0, "segmentation": [box(path.stem)[0]]}]
    file = exported(tmp_path, listed)
    file.write_text(file.read_text().replace('"parts"', '"Lunker"'))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert not stops(reading)
    assert classes(reading, tmp_path)["Lunker"] == names("", 3, name="e{}.png")


def test_two_exports_about_the_same_images_are_a_doubt(tmp_path: Path) -> None:
    listed = annotated(tmp_path)
    exported(tmp_path, listed)
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    wrong = [{"category_id": 1, "segmentation": [box("d0")[0]]}]
    exported(tmp_path, listed | {"003.png": wrong}, "instances_old.json")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("instances.json, instances_old.json annotate the same 8 images, united: --ignore 'inst")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("instances_old.json",))))
    assert not stops(settled)
    assert classes(settled, tmp_path) == {"good": names("", 6), "scratch": DEFECTS}
    found = {i.image.name: marks_of(i, MaskRule()) == 255 for i in settled.items if i.defect_type != "good"}
    assert all(np.array_equal(marked, truth(name[:2])) for name, marked in found.items())


def test_an_export_without_any_annotation_makes_nothing_good_in_silence(tmp_path: Path) -> None:
    listed = annotated(tmp_path)
    file = exported(tmp_path, {name: [] for name in listed})
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("no image is annotated in instances.json, and 8 taken as good so: export them again")
    settled = Sources(ignore=("instances.json",), defects=("d*.png",))
    assert classes(read_folder(tmp_path, ReadingOptions(settled)), tmp_path)["defect"] == DEFECTS
    file.write_text(coco({name: [{"category_id": 3, "segmentation": [box("d0")[0]]}] for name in listed}))
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))  # each is said to be ok


def test_a_name_that_says_defective_and_no_annotation_is_a_doubt(tmp_path: Path) -> None:
    listed = annotated(tmp_path) | {path.name: [] for path in bad(tmp_path, 2, name="NG_{}.png")}
    exported(tmp_path, listed)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("2 images called after a defect, and without an annotation, taken as good: NG_0.png")
    settled = read_folder(tmp_path, ReadingOptions(Sources(defects=("NG_*.png",))))
    assert not stops(settled)
