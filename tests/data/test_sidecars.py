"""Files called as the images, in forms that are not read, are a doubt wherever they may say what is good."""

import json
from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, names, stops

SUPERVISELY = json.dumps({"objects": [{"classTitle": "scratch", "geometryType": "rectangle"}]})
FORMS: dict[str, tuple[str, str, str, str, str]] = {  # name and text of each, how it is named, the glob
    "Supervisely": ("../ann/{}.json", SUPERVISELY, "JSON without outlines", "ann/100.png.json", "*.png.json"),
    "YOLO, doubled": ("{}.txt", "0 0.5 0.5 0.1 0.1\n", "text (YOLO)", "img/100.png.txt", "*.png.txt"),
    "KITTI": ("../labels/{stem}.txt", "scratch 0.00 0 0.00 10.0 10.0 30.0\n", "text", "labels/100.txt", "*.txt"),
    "a machine's": ("{stem}.txt", "Part 7\r\nResult: NG\r\n", "text", "img/100.txt", "*.txt"),
    "XMP": ("{stem}.xmp", "<xmp:Label>NG</xmp:Label>", "XMP", "img/100.xmp", "*.xmp"),
    "YAML": ("{stem}.yml", "result: NG\n", "YAML", "img/100.yml", "*.yml"),
    "CSV": ("{stem}.csv", "result;NG\n", "CSV", "img/100.csv", "*.csv"),
}  # fmt: skip


def beside(paths: list[Path], name: str, text: str) -> None:
    for path in paths:
        file = path.parent / name.format(path.name, stem=path.stem)
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


@pytest.mark.parametrize("form", FORMS)
def test_sidecars_are_a_doubt_that_ignore_settles(tmp_path: Path, form: str) -> None:
    name, text, called, first, glob = FORMS[form]
    good(tmp_path / "img")
    beside(bad(tmp_path / "img", 2, name="1{:02}.png"), name, text)
    reading = [DEFAULT_OPTIONS, ReadingOptions(Sources(good=("img/**",))), ReadingOptions(Sources(good=("**",)))]
    for how in reading:
        (doubt,) = stops(read_folder(tmp_path, how))
        assert doubt.startswith(f"2 files of {called} called as images, not read: {first}")
        assert f"--ignore '{glob}', with --good GLOB and --defects GLOB" in doubt
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=(glob,), defects=("1*.png",))))
    assert not stops(settled)
    assert classes(settled, tmp_path) == {"good": names("img/", 6), "defect": names("img/", 2, name="1{:02}.png")}


@pytest.mark.parametrize("form", FORMS)
def test_they_are_none_where_folders_say_what_the_images_are(tmp_path: Path, form: str) -> None:
    name, text, *_ = FORMS[form]
    good(tmp_path / "good")
    beside(bad(tmp_path / "scratch", name="d{}.png"), name, text)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("good/", 6), "scratch": names("scratch/", 3, name="d{}.png")}
    assert not stops(reading)


@pytest.mark.parametrize(("place", "glob"), [("meta", "meta/*.json"), ("img", "img/000.json")])
def test_the_glob_leaves_no_annotation_out_that_is_read(tmp_path: Path, place: str, glob: str) -> None:
    paths = good(tmp_path / "img")
    (tmp_path / "meta").mkdir()
    beside(paths[:1], f"../{place}/{{stem}}.json", json.dumps({"result": "NG"}))
    shapes = [{"label": "dent", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}]
    for number, path in enumerate(paths[1:]):
        content = {"imagePath": path.name, "imageWidth": 24, "imageHeight": 24, "shapes": shapes * (number < 1)}
        path.with_suffix(".json").write_text(json.dumps(content))
    found = [doubt for doubt in stops(read_folder(tmp_path, DEFAULT_OPTIONS)) if "not read" in doubt]
    assert len(found) == 1
    assert f"--ignore '{glob}', with" in found[0]


def test_what_a_camera_writes_beside_sorted_images_is_none(tmp_path: Path) -> None:
    beside(good(tmp_path / "good"), "{stem}.json", json.dumps({"exposure": 10}))
    beside(bad(tmp_path / "scratch"), "{stem}.txt", "exposure 10\n")
    (tmp_path / "readme.txt").write_text("Line 4")
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize("text", ["0 0.5 0.5 0.1 0.1\n", "<annotation><object><name>x</name></object></annotation>"])
def test_a_place_marked_in_a_good_image_is_a_doubt(tmp_path: Path, text: str) -> None:
    suffix = ".xml" if text.startswith("<") else ".txt"
    beside(good(tmp_path / "good")[:2], "{stem}" + suffix, text)
    beside(bad(tmp_path / "bad"), "{stem}" + suffix, text)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("5 files of ")
    for path in (tmp_path / "good").glob(f"*{suffix}"):
        path.unlink()
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize(
    ("name", "text", "stop"),
    [
        ("ng.csv", "datei;befund\n100.png;Kratzer\n", True),
        ("findings.csv", "datei;befund\n100.png;Kratzer\n", True),
        ("ng.txt", "100.png\n", True),
        ("ng.txt", "100\n", True),
        ("readme.txt", "An image such as 100.png\n", False),
        ("settings.csv", "exposure;gain\n10;2\n", False),
    ],
)
def test_a_table_may_name_a_single_image(tmp_path: Path, name: str, text: str, stop: bool) -> None:
    good(tmp_path)
    bad(tmp_path, 1, name="100.png")
    (tmp_path / name).write_text(text)
    found = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert [doubt.partition(", as")[0] for doubt in found] == [f"{name} names 1 image and is not read"] * stop


def test_a_folder_without_a_good_image_says_what_may_tell(tmp_path: Path) -> None:
    good(tmp_path / "ds/images")
    with pytest.raises(BadData, match=r"say which are good: --good 'ds/images/\*\*', or all: --good '\*\*'$"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    beside(bad(tmp_path / "ds/images", 2, name="1{:02}.png"), "../labels/{stem}.txt", "0 0.5 0.5 0.1 0.1\n")
    told = r"--good 'ds/images/\*\*'; what they are may stand in 2 files of text \(YOLO\) .*: ds/labels/100\.txt"
    with pytest.raises(BadData, match=told):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_a_table_is_asked_about_where_a_glob_says_good(tmp_path: Path) -> None:
    paths = [*good(tmp_path / "img"), *bad(tmp_path / "img", 2, name="1{:02}.png")]
    lines = [f"img/{path.name},{'dent' if path.name.startswith('1') else 'good'}" for path in paths]
    (tmp_path / "labels.csv").write_text("\n".join(["image_path,gt_label", *lines]))
    (doubt,) = stops(read_folder(tmp_path, ReadingOptions(Sources(good=("img/**",)))))
    assert doubt.startswith("labels.csv names 8 images and is not read, as options say what the files are")
    assert not stops(read_folder(tmp_path, ReadingOptions(Sources(good=("img/**",), ignore=("labels.csv",)))))
