"""COCO's and labelme's JSON, read and drawn."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco_mask

from fastflow.errors import BadData
from pipelines.data.annotations.find import not_read, read_annotations
from pipelines.data.annotations.outline import Annotated, runs_of, unpacked
from pipelines.data.annotations.outline import outline as outline_of
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import json_files

SIDE = 16
SQUARE = [2.0, 2.0, 8.0, 2.0, 8.0, 8.0, 2.0, 8.0]


def coco(segmentation: object) -> dict[str, Any]:
    return {
        "images": [{"id": 0, "file_name": "0.png", "width": SIDE, "height": SIDE}, {"id": 1, "file_name": "1.png"}],
        "annotations": [
            {"id": 0, "image_id": 0, "category_id": 1, "segmentation": segmentation, "bbox": [2.0, 2.0, 6.0, 6.0]},
            {"id": 1, "image_id": 0, "category_id": 2, "segmentation": [], "bbox": [1, 1, 4, 4]},
        ],
        "categories": [{"id": 1, "name": "dent"}, {"id": 2, "name": "ok"}],
    }


def painted() -> str:
    file = io.BytesIO()
    Image.new("L", (4, 4), 255).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


LABELME = {
    "version": "5.0",
    "imagePath": "0.png",
    "imageWidth": SIDE,
    "imageHeight": SIDE,
    "shapes": [
        {"label": "dent", "shape_type": "polygon", "points": [[2, 2], [8, 2], [8, 8]]},
        {"label": "dent", "shape_type": "rectangle", "points": [[2, 2], [8.5, 8]]},
        {"label": "dent", "shape_type": "circle", "points": [[5, 5], [5, 8]]},
        {"label": "dent", "shape_type": "mask", "points": [[3, 3], [6, 6]], "mask": painted()},
        {"label": "ok", "shape_type": "polygon", "points": [[2, 2], [8, 2], [8, 8]]},
    ],
}
VALID = {
    "coco": [
        coco([SQUARE]),
        coco({"size": [SIDE, SIDE], "counts": [34, 6, 10, 6, 200]}),
        coco({"size": [SIDE, SIDE], "counts": "R16O10001N10O11N10Nj4"}),
    ],
    "labelme": [LABELME],
}


@pytest.fixture
def images(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "0.png", tmp_path / "1.png"]
    for path in paths:
        Image.new("RGB", (SIDE, SIDE)).save(path)
    return paths


def check_drawn(found: Annotated | None) -> None:
    for several in found.outlines.values() if found else ():
        for outline in several:
            for width, height in ((SIDE, SIDE), (7, 33)):
                drawn = outline.drawn(width, height)
                assert drawn.shape == (height, width)
                assert drawn.dtype == np.bool_


@pytest.mark.parametrize("tool", VALID)
def test_annotations(tmp_path: Path, images: list[Path], tool: str) -> None:
    file = tmp_path / "0.json"

    def check(content: bytes) -> None:
        file.write_bytes(content)
        found = read_or_refused(lambda: read_annotations(images, [file]), file)
        check_drawn(found)
        not_read(images, [file], found.read if found else set())

    fuzz(f"annotations, {tool}", json_files(*VALID[tool]), check)


NUMBERS = st.one_of(
    st.sampled_from((-1e300, -1e9, -5, 0, 0.5, 15.5, 16, 17, 1e5, 1e9, 2**31, 1e18, 1e300)), st.floats()
)


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "circle", "mask"])
def test_points_of_any_size(tmp_path: Path, images: list[Path], kind: str) -> None:
    """They are cut off at the image's edge, or refused; no memory is taken for what lies outside."""
    file = tmp_path / "0.json"
    several = {"polygon": 4, "rectangle": 2, "circle": 2, "mask": 2}[kind]

    def check(drawn: tuple[list[tuple[float, float]], float, float]) -> None:
        points, width, height = drawn
        shape = {"label": "dent", "shape_type": kind, "points": [list(point) for point in points], "mask": painted()}
        about = {"imagePath": "0.png", "imageWidth": width, "imageHeight": height, "shapes": [shape]}
        file.write_text(json.dumps(about))
        check_drawn(read_or_refused(lambda: read_annotations(images, [file]), file))

    points = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=several, max_size=several)
    sides = st.one_of(st.just(SIDE), NUMBERS)
    fuzz(f"points of a {kind}", st.tuples(points, sides, sides), check)


RUNS = st.lists(st.sampled_from((-1, 0, 1, 6, 34, 200, 255, 256, 257, 2**31, 2**32, 2**40)), max_size=8)
SIZES = st.lists(st.sampled_from((-1, 0, 1, SIDE, 17, 10**5, 2**31)), min_size=2, max_size=2)


def test_run_lengths_of_any_size(tmp_path: Path, images: list[Path]) -> None:
    """They fill their image exactly, or are refused: the library that decodes them trusts them."""
    file = tmp_path / "0.json"
    counts = st.one_of(RUNS, st.text("0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmno", max_size=12))

    def check(rle: tuple[object, object]) -> None:
        size, runs = rle
        file.write_text(json.dumps(coco({"size": size, "counts": runs})))
        check_drawn(read_or_refused(lambda: read_annotations(images, [file]), file))

    fuzz("run lengths", st.tuples(st.one_of(st.just([SIDE, SIDE]), SIZES), counts), check)


FAR = LABELME | {"shapes": [{"label": "dent", "shape_type": "polygon", "points": [[0, 0], [1e9, 0], [1e9, 1e9]]}]}
WOUND = LABELME | {"shapes": [{"label": "dent", "shape_type": "polygon", "points": [[0, 0], [16, 16]] * 200}]}
FOUND: dict[str, tuple[object, str]] = {
    "a point far outside, whose way to it took gigabytes to draw": (FAR, "a point farther than 10 times"),
    "a way as long as that, within the image": (WOUND, "an outline longer than 200 times"),
    "an infinite width": (LABELME | {"imageWidth": float("inf")}, "OverflowError"),
    "a width below 0": (LABELME | {"imageWidth": -5}, "an image of -5 x 16 pixels"),
    "more pixels than are read": (LABELME | {"imageWidth": 10**9}, "an image of 1000000000 x 16 pixels"),
    "run lengths of another image": (coco({"size": [SIDE, SIDE], "counts": [255]}), "run lengths that do not fill"),
    "run lengths below 0": (coco({"size": [SIDE, SIDE], "counts": [300, -44]}), "run lengths that do not fill"),
    "run lengths that are cut off": (coco({"size": [SIDE, SIDE], "counts": "R1o"}), "that are cut off"),
    "run lengths of other characters": (coco({"size": [SIDE, SIDE], "counts": "é"}), "that are none"),
}


@pytest.mark.parametrize("case", FOUND)
def test_what_cannot_be_drawn_is_refused_with_the_file(tmp_path: Path, images: list[Path], case: str) -> None:
    content, message = FOUND[case]
    file = tmp_path / "0.json"
    file.write_text(json.dumps(content))
    with pytest.raises(BadData, match=rf"0\.json cannot be read as annotations .*{message}"):
        read_annotations(images, [file])


def test_json_that_is_nested_too_deep_is_no_annotation(tmp_path: Path, images: list[Path]) -> None:
    file = tmp_path / "0.json"
    file.write_text("[" * 100_000)
    assert not read_annotations(images, [file]).read


@pytest.mark.parametrize(("corner", "rows", "columns"), [((-1, 2), (2, 6), (0, 3)), ((14, -3), (0, 1), (14, 16))])
def test_a_painted_mask_is_cut_off_at_the_edge(
    tmp_path: Path, images: list[Path], corner: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    """Its 4 x 4 pixels begin outside: those inside are kept, and lie where they were drawn."""
    file = tmp_path / "0.json"
    shape = {"label": "dent", "shape_type": "mask", "points": [list(corner), [9, 9]], "mask": painted()}
    file.write_text(json.dumps(LABELME | {"shapes": [shape]}))
    ((outline,),) = read_annotations(images, [file]).outlines.values()
    expected = np.zeros((SIDE, SIDE), bool)
    expected[slice(*rows), slice(*columns)] = True
    assert np.array_equal(outline.drawn(SIDE, SIDE), expected)


@given(st.lists(st.lists(st.booleans(), min_size=5, max_size=5), min_size=1, max_size=7))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_run_lengths_are_those_of_coco(rows: list[list[bool]]) -> None:
    """Both ways, against COCO's own library."""
    mask = np.array(rows)
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    runs = runs_of(mask)
    counts = theirs["counts"]
    assert unpacked(counts.decode() if isinstance(counts, bytes) else counts) == runs.counts
    assert np.array_equal(outline_of(5, len(rows), runs=runs).drawn(5, len(rows)), mask)
