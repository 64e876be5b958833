"""Regions of drawn photographs, in score files, region files, COCO's JSON and overlays."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from pipelines.reporting.pictures import PREDICTED_COLOUR
from tests.conftest import ROOT
from tests.scoring.region_kit import SHAPES, SIDE, Run, draw, read


def by_path(name: str) -> dict[str, dict[str, str]]:
    return {row["path"]: row for row in read(name)}


def test_scores_count_regions_and_name_the_largest(run: Run) -> None:
    assert run("--to", "s.csv") == 0
    found = by_path("s.csv")
    assert {path: (row["regions"], row["largest_area"], row["min_area"]) for path, row in found.items()} == {
        "a_two.png": ("2", "40", "0"),
        "b_good.png": ("0", "0", "0"),
        "c_small.png": ("1", "4", "0"),
        "'=d_formula.png": ("1", "35", "0"),
    }
    assert run("--to", "t.jsonl", "--min-area", 5) == 0
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [(line["regions"], line["largest_area"], line["min_area"]) for line in lines] == [
        (2, 40, 5), (0, 0, 5), (0, 0, 5), (1, 35, 5),
    ]  # fmt: skip


def test_a_line_a_region_in_pixels_and_millimetres(run: Run) -> None:
    assert run("--to", "s.csv", "--regions", "r.csv", "--mm-per-pixel", 0.5) == 0
    rows = read("r.csv")
    assert [(row["path"], row["region"]) for row in rows] == [
        ("a_two.png", "1"), ("a_two.png", "2"), ("c_small.png", "1"), ("'=d_formula.png", "1"),
    ]  # fmt: skip
    first = rows[0]
    numbers = {name: float(first[name]) for name in first if name not in ("path", "sha256", "polygon", "model")}
    assert numbers == {
        "region": 1, "x": 3, "y": 5, "width": 10, "height": 4, "area": 40, "centroid_x": 8, "centroid_y": 7,
        "peak": 1, "mean": 1, "x_mm": 1.5, "y_mm": 2.5, "width_mm": 5, "height_mm": 2, "centroid_x_mm": 4,
        "centroid_y_mm": 3.5, "area_mm2": 10, "threshold": 0.5, "min_area": 0, "mm_per_pixel": 0.5,
    }  # fmt: skip
    assert first["polygon"] == "3 5 13 5 13 9 3 9"
    assert float(rows[1]["peak"]) == pytest.approx(204 / 255)
    assert run("--to", "t.csv", "--regions", "u.csv") == 0
    assert {row[name] for row in read("u.csv") for name in row if "_mm" in name or name == "mm_per_pixel"} == {""}


def test_cocos_own_library_opens_it_and_gives_the_drawn_pixels(run: Run) -> None:
    assert run("--to", "s.csv", "--coco", "c.json") == 0
    found = COCO("c.json")
    images = {one["file_name"]: one for one in found.loadImgs(found.getImgIds())}
    assert {name.removesuffix(".png") for name in images} == set(SHAPES)
    assert [category["name"] for category in found.loadCats(found.getCatIds())] == ["anomaly"]
    for name, shapes in SHAPES.items():
        image = images[f"{name}.png"]
        assert (image["width"], image["height"]) == (SIDE, SIDE)
        annotations: Any = found.loadAnns(found.getAnnIds(imgIds=[image["id"]]))
        assert [one["bbox"] for one in annotations] == [[*shape[:4]] for shape in shapes]
        for one, shape in zip(annotations, shapes, strict=True):
            mask = draw([shape])[..., 0] > 128
            np.testing.assert_array_equal(found.annToMask(one), mask)
            assert (one["area"], one["iscrowd"], one["category_id"]) == (mask.sum(), 0, 1)
            assert one["score"] == pytest.approx(shape[4] / 255)
    assert len(found.getAnnIds()) == 4


def test_photographs_larger_than_the_model_sees_have_regions_of_their_own_pixels(run: Run) -> None:
    Image.fromarray(draw(SHAPES["a_two"], times=8)).save("large.png")
    assert run("--to", "s.csv", "--regions", "r.csv", images=["large.png"]) == 0
    for row, (x, y, width, height, _) in zip(read("r.csv"), SHAPES["a_two"], strict=True):
        box = [float(row[name]) for name in ("x", "y", "width", "height")]
        np.testing.assert_allclose(box, [8 * x, 8 * y, 8 * width, 8 * height], atol=8)  # a pixel of the model
        assert float(row["centroid_x"]) == pytest.approx(8 * (x + width / 2), abs=0.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--min-area", "-1"), "min_area is -1; allowed: a whole number of pixels, 0 or more"),
        (("--mm-per-pixel", "0"), "mm_per_pixel is 0.0; allowed: a number above 0, such as 0.05, or none"),
        (("--mm-per-pixel", "nan"), "mm_per_pixel is nan; allowed: a number above 0"),
        (("--mm-per-pixel", "inf"), "mm_per_pixel is inf; allowed: a number above 0"),
        (("--regions", "s.csv"), "--to, --regions and --coco name one file; give each a file of its own"),
    ],
)
def test_wrong_settings_end_in_one_sentence(
    run: Run, words: tuple[str, ...], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--to", "s.csv", *words) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert not Path("s.csv").exists()


OWN = '{"info": {"year": 2026}, "images": [], "annotations": []}'


@pytest.mark.parametrize("text", ["[]", "{}", "no json", OWN, '{"info": {"model": "v1"}, "images": [{"id": 1}]}'])
def test_what_another_program_wrote_is_left_as_it_is(run: Run, text: str, capfd: pytest.CaptureFixture[str]) -> None:
    Path("c.json").write_text(text)
    assert run("--to", "s.csv", "--coco", "c.json") == 3
    assert "c.json is no file of regions that fastflow score wrote; it is left as it is" in capfd.readouterr().err
    assert Path("c.json").read_text() == text


def test_params_yaml_says_what_is_a_region_and_an_option_wins(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "params.yaml").read_text()
    line = next(one for one in text.splitlines() if one.startswith("regions:"))

    def stated(value: str) -> None:
        Path("params.yaml").write_text(text.replace(line, f"regions: {value}"))

    stated("{plates: {min_area: 5, mm_per_pixel: 0.1}}")
    assert run("--to", "s.csv", "--regions", "r.csv", "--no-record") == 0
    assert [row["area"] for row in read("r.csv")] == ["40", "36", "35"]
    assert {row["mm_per_pixel"] for row in read("r.csv")} == {"0.1"}
    assert run("--to", "t.csv", "--no-record", "--min-area", 0) == 0
    assert by_path("t.csv")["c_small.png"]["regions"] == "1"
    Path("params.yaml").write_text(text.replace(f"{line}\n", ""))  # as it was before there were regions
    assert run("--to", "u.csv", "--no-record") == 0
    capfd.readouterr()
    for value, said in {
        "{plates: {min_area: -1}}": "regions.plates.min_area is -1 (int)",
        "{plates: {mm_per_pixel: 0}}": "regions.plates.mm_per_pixel is 0 (int)",
        "{plates: {mm_per_pixel: .nan}}": "regions.plates.mm_per_pixel is nan (float)",
        "{plates: {area: 3}}": "unknown key 'regions.plates.area'; allowed here: min_area, mm_per_pixel",
    }.items():
        stated(value)
        assert run("--to", "v.csv", "--no-record") == 2
        assert said in capfd.readouterr().err


def test_overlays_outline_what_is_a_region(run: Run) -> None:
    names = ["a_two", "b_good", "c_small"]
    for name in names:
        Image.fromarray(draw(SHAPES[name], times=8)).save(f"{name}.png")
    words = ("--to", "s.csv", "--overlays", "seen", "--min-area", 400)
    assert run(*words, images=[f"{name}.png" for name in names]) == 0

    def amber(name: str) -> Any:
        (path,) = Path("seen").glob(f"{name}-*.jpg")
        with Image.open(path) as picture:
            away = np.abs(np.asarray(picture.convert("RGB")).astype(int) - PREDICTED_COLOUR)
        return np.argwhere(away.max(axis=2) < 40)

    rows, columns = amber("a_two").T
    first, second = ([8 * value for value in shape[:4]] for shape in SHAPES["a_two"])
    assert (rows.min(), columns.min()) == (pytest.approx(first[1], abs=8), pytest.approx(first[0], abs=8))
    assert rows.max() == pytest.approx(second[1] + second[3], abs=8)
    assert columns.max() == pytest.approx(second[0] + second[2], abs=8)
    inside = (abs(rows - first[1] - first[3] / 2) < 6) & (abs(columns - first[0] - first[2] / 2) < 30)
    assert not inside.any()  # a line, not a surface
    assert not len(amber("c_small"))  # smaller than min_area
    assert not len(amber("b_good"))
