"""Outlines of annotation tools become masks: those of COCO's JSON, of labelme's, and tables of one's own."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from fastflow.arrange import marks_of
from fastflow.errors import BadData
from fastflow.marks import MaskRule
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, Reading
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import SIDE, bad, classes, good, mask_image, names, photograph, save, square, stops, truth


def box(stem: str) -> tuple[list[float], list[float]]:
    """The polygon and COCO's box of the defect of an image."""
    row, column, side = square(stem)
    ends = (column, row, column + side, row, column + side, row + side, column, row + side)
    return list(map(float, ends)), [float(column), float(row), float(side), float(side)]


def runs(mask: NDArray[np.bool_]) -> list[int]:
    """COCO's uncompressed run lengths: down the columns, beginning with zeros."""
    flat = np.concatenate([[False], mask.ravel(order="F"), [False]])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    edges = np.concatenate([[0], changes[: changes.size], [mask.size]])
    return [int(length) for length in np.diff(edges)]


def coco(images: dict[str, list[dict[str, Any]]]) -> str:
    """The JSON of images by name, each with its annotations."""
    entries = [{"id": n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(images)]
    found = [a | {"id": 0, "image_id": n} for n, several in enumerate(images.values()) for a in several]
    kinds = [
        {"id": 0, "name": "parts"},
        {"id": 1, "name": "scratch"},
        {"id": 2, "name": "dent"},
        {"id": 3, "name": "ok"},
    ]
    return json.dumps({"images": entries, "annotations": found, "categories": kinds})


def marks(reading: Reading) -> dict[str, NDArray[np.bool_]]:
    return {i.image.name: marks_of(i, MaskRule()) == 255 for i in reading.items if i.defect_type != "good"}


def test_an_export_of_roboflow_is_read_with_its_splits_kinds_and_outlines(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        folder = tmp_path / split
        listed: dict[str, list[dict[str, Any]]] = {path.name: [] for path in good(folder, 3, name="g{:03}.jpg")}
        listed["g000.jpg"] = [{"category_id": 3, "segmentation": [box("g000")[0]]}]  # an outline of what is good
        for number, path in enumerate(bad(folder, 2, name="b{:03}.jpg")):
            polygon, rectangle = box(path.stem)
            listed[path.name] = [{"category_id": number + 1, "segmentation": [polygon], "bbox": rectangle}]
        (folder / "_annotations.coco.json").write_text(coco(listed))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert reading.layout.startswith("Roboflow, ")
    splits = ("train", "valid", "test")
    assert classes(reading, tmp_path) == {
        "good": {path for split in splits for path in names(f"{split}/", 3, name="g{:03}.jpg")},
        "scratch": {f"{split}/b000.jpg" for split in splits},
        "dent": {f"{split}/b001.jpg" for split in splits},
    }
    assert not stops(reading)
    for name, marked in marks(reading).items():
        assert np.array_equal(marked, truth(name[:4])), name
    trained = {item.image.parent.name for item in reading.items if item.split == "train"}
    assert trained == {"train", "valid"}


@pytest.mark.parametrize("form", ["polygon", "runs", "box"])
def test_coco_of_cvat_in_a_folder_beside(tmp_path: Path, form: str) -> None:
    listed: dict[str, list[dict[str, Any]]] = {path.name: [] for path in good(tmp_path / "images", 4)}
    for path in bad(tmp_path / "images", 2, name="d{}.png"):
        polygon, rectangle = box(path.stem)
        shape: Any = {
            "polygon": [polygon], "runs": {"size": [SIDE, SIDE], "counts": runs(truth(path.stem))}, "box": [],
        }[form]  # fmt: skip
        first = {"category_id": 1, "segmentation": shape, "bbox": rectangle}
        listed[f"images/{path.name}"] = [first, first | {"category_id": 2}]
    listed["gone.png"] = []
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/instances_default.json").write_text(coco(listed))
    save(photograph("new"), tmp_path / "images/new.png")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {
        "good": names("images/", 4) | {"images/new.png"}, "dent+scratch": {"images/d0.png", "images/d1.png"},
    }  # fmt: skip
    for name, marked in marks(reading).items():
        assert np.array_equal(marked, truth(name[:2]))
    (doubt,) = stops(reading)  # an image that nobody annotated need not be good
    assert doubt.startswith("1 image without a mask, where others have one, taken as good: images/new.png")
    text = " ".join(map(str, reading.doubts))
    assert "instances_default.json lists 1 image that are not in the folder" in text


def shape(kind: str, points: list[list[float]], **more: Any) -> dict[str, Any]:
    return {"label": "dent", "shape_type": kind, "points": points, **more}


def test_labelme_outlines_become_masks(tmp_path: Path) -> None:
    goods = good(tmp_path, 5)
    polygon, (x, y, width, height) = box("d0")
    corners = [[x, y], [x + width, y + height]]
    png = io.BytesIO()
    mask_image("d2").crop((3, 3, 20, 20)).save(png, "PNG")
    shapes = [
        shape("polygon", np.array(polygon).reshape(-1, 2).tolist()),
        shape("rectangle", corners),
        shape("mask", [[3, 3], [19, 19]], mask=base64.b64encode(png.getvalue()).decode()),
        shape("circle", [[12, 12], [12, 17]]),
    ]
    paths = bad(tmp_path, 4, name="d{}.png")
    for path, one in zip(paths, shapes, strict=True):
        content = {"imagePath": path.name, "imageWidth": SIDE, "imageHeight": SIDE, "shapes": [one]}
        path.with_suffix(".json").write_text(json.dumps(content))
    for path in goods:
        path.with_suffix(".json").write_text(json.dumps({"imagePath": path.name, "shapes": []}))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("", 5), "dent": names("", 4, name="d{}.png")}
    assert not stops(reading)
    found = marks(reading)
    expected = {"d0.png": truth("d0"), "d1.png": truth("d0"), "d2.png": np.zeros((SIDE, SIDE), bool)}
    expected["d2.png"][3:20, 3:20] = truth("d2")[3:20, 3:20]
    for name, marked in expected.items():
        assert np.array_equal(found[name], marked), name
    rows, columns = np.mgrid[:SIDE, :SIDE] + 0.5
    disc = (rows - 12) ** 2 + (columns - 12) ** 2 <= 25
    assert (found["d3.png"] ^ disc).sum() < 12  # rim


def test_json_without_outlines_is_reported(tmp_path: Path) -> None:
    good(tmp_path / "good")
    for path in bad(tmp_path / "scratch"):
        path.with_suffix(".json").write_text("{}")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert not stops(reading)  # the folders say what is good
    (note,) = reading.doubts
    assert note.text.startswith("3 files of JSON without outlines called as images, not read: scratch/000.json")
    good(tmp_path / "flat")
    for path in (tmp_path / "flat").iterdir():
        path.with_suffix(".xml").write_text("<annotation/>")
    (doubt,) = stops(read_folder(tmp_path / "flat", DEFAULT_OPTIONS))
    assert doubt.startswith("6 files of XML (Pascal VOC) called as images, not read")


def test_damaged_annotations_are_refused(tmp_path: Path) -> None:
    good(tmp_path / "good")
    (tmp_path / "no.json").write_text("[1,2")  # no JSON is no annotation
    assert not read_folder(tmp_path, DEFAULT_OPTIONS).doubts
    (tmp_path / "a.json").write_text('{"images": [1], "annotations": ["x"]}')
    with pytest.raises(BadData, match=r"a\.json cannot be read as annotations .*--ignore 'a\.json'"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def rows(folder: Path) -> pd.DataFrame:
    """A table of six good images, two of them for the test, and two defective ones, one with its mask."""
    good(folder / "a")
    bad(folder / "b", 2, masks="m{:03}.png")
    images = [*sorted(names("a/", 6)), "b/000.png", "b/001.png"]
    return pd.DataFrame(
        {
            "image_path": images,
            "gt_label": [0] * 6 + [1, 1],
            "defect_type": [""] * 6 + ["dent", "scratch"],
            "split": ["train"] * 4 + ["test"] * 4,
            "mask_path": [""] * 6 + ["b/m000.png", ""],
        }
    )


@pytest.mark.parametrize("form", ["csv", "semicolons", "utf-16", "parquet", "file"])
def test_a_table_of_ones_own(tmp_path: Path, form: str) -> None:
    table = rows(tmp_path)
    file = tmp_path / ("list.parquet" if form == "parquet" else "list.csv")
    match form:
        case "parquet":
            table.to_parquet(file)
        case "semicolons":
            table.to_csv(file, index=False, sep=";", lineterminator="\r\n")
        case "utf-16":
            table.to_csv(file, index=False, encoding="utf-16")
        case _:
            table.to_csv(file, index=False)
    reading = read_folder(file if form == "file" else tmp_path, DEFAULT_OPTIONS)
    assert reading.layout == f"table {file.name}"
    assert classes(reading, tmp_path) == {"good": names("a/", 6), "dent": {"b/000.png"}, "scratch": {"b/001.png"}}
    held = {item.image.name for item in reading.items if item.split == "test" and item.defect_type == "good"}
    assert held == {"004.png", "005.png"}
    masks = {item.image.name: item.masks for item in reading.items if item.masks}
    assert masks == {"000.png": (tmp_path / "b/m000.png",)}
    assert reading.left_out["not in the table"] == [tmp_path / "b/m001.png"]


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("image_path", "a/gone.png", "names 1 file that are not there: .*a/gone.png"),
        ("gt_label", "", "line 2: gt_label is empty"),
        ("defect_type", "dent", "line 2: gt_label says good and defect_type says 'dent'"),
        ("split", "third", "line 2: split is 'third'; allowed: train, test"),
        ("image_path", "b/000.png", "names .*b/000.png twice, and differently"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(tmp_path: Path, column: str, value: str, message: str) -> None:
    table = rows(tmp_path).astype(str)
    table.loc[0, column] = value
    table.to_csv(tmp_path / "list.csv", index=False)
    with pytest.raises(BadData, match=message):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_labels_of_a_table_may_be_words(tmp_path: Path) -> None:
    table = rows(tmp_path)[["image_path"]].assign(label=["good"] * 6 + ["dent", "NG"])
    table.to_csv(tmp_path / "list.csv", index=False)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("a/", 6), "dent": {"b/000.png"}, "defect": {"b/001.png"}}
    assert len(reading.set_apart) == 1


def test_visa_as_distributed_has_its_split(tmp_path: Path) -> None:
    candle = tmp_path / "candle"
    good(candle / "Data/Images/Normal", name="{:04}.JPG")
    bad(candle / "Data/Images/Anomaly", 2, name="{:03}.JPG", masks="../../Masks/Anomaly/{:03}.png")
    lines = ["object,split,label,image,mask"]
    lines += [f"candle,{'train' if n < 4 else 'test'},normal,candle/Data/Images/Normal/{n:04}.JPG," for n in range(6)]
    place = "candle/Data"
    lines += [
        f"candle,test,anomaly,{place}/Images/Anomaly/{n:03}.JPG,{place}/Masks/Anomaly/{n:03}.png" for n in range(2)
    ]
    (tmp_path / "split_csv").mkdir()
    (tmp_path / "split_csv/1cls.csv").write_text("\n".join(lines))
    reading = read_folder(candle, DEFAULT_OPTIONS)
    assert reading.layout == "VisA, split of 1cls.csv"
    held = {item.image.name for item in reading.items if item.split == "test" and item.defect_type == "good"}
    assert held == {"0004.JPG", "0005.JPG"}
    assert {name: marked.sum() for name, marked in marks(reading).items()} == {
        f"{n:03}.JPG": truth(f"{n:03}").sum() for n in range(2)
    }
    with pytest.raises(BadData, match=r"all of VisA; read one category: fastflow init .*candle --name candle"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
