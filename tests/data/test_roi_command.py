"""fastflow roi: what marks a region of interest, what is refused in one sentence, and which stages it makes stale."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fastflow.config import FastFlowConfig
from fastflow.errors import BadData
from fastflow.pixels.meaning import PixelRule
from fastflow.sealed import read_config
from pipelines.core.params import read_params
from pipelines.core.paths import findings_file, pixels_file, roi_file
from pipelines.core.pixel_rule import read_roi, read_rule
from pipelines.core.roi_store import stated_roi
from pipelines.core.stage import BAD_DATA, USAGE
from pipelines.data.category_params import keep_reading
from pipelines.data.checks.policy import check_and_decide
from pipelines.data.layouts.reading import DEFAULT_OPTIONS
from pipelines.data.roi_file import mask_of_file
from tests.conftest import SIZE, fastflow
from tests.data.faults import POLICY
from tests.stages import project as project  # the fixture
from tests.stages import run, write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations
WIDE, HIGH = 90, 60
POLYGON = [[10.0, 5.0], [80.0, 5.0], [80.0, 50.0], [10.0, 50.0]]


def rectangle(left: int, top: int, right: int, bottom: int, size: tuple[int, int] = (HIGH, WIDE)) -> NDArray[np.bool_]:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def labelme(path: Path, *shapes: dict[str, Any], **more: Any) -> Path:
    about = {"imagePath": "somewhere/else.png", "imageWidth": WIDE, "imageHeight": HIGH, "shapes": list(shapes)}
    path.write_text(json.dumps(about | more))
    return path


def shape(points: list[list[float]], label: str = "roi", kind: str = "polygon") -> dict[str, Any]:
    return {"label": label, "shape_type": kind, "points": points}


def coco(path: Path, *annotations: dict[str, Any], images: int = 1) -> Path:
    entries = [{"id": n, "file_name": f"train/{n}.png", "width": WIDE, "height": HIGH} for n in range(images)]
    listed = [{"id": n, "image_id": 0, "category_id": 0} | one for n, one in enumerate(annotations)]
    content = {"images": entries, "annotations": listed, "categories": [{"id": 0, "name": "roi"}]}
    path.write_text(json.dumps(content))
    return path


def test_polygons_and_masks_mark_the_same_pixels(tmp_path: Path) -> None:
    expected = rectangle(10, 5, 80, 50)
    flat = [value for point in POLYGON for value in point]
    canvas = Image.new("L", (WIDE, HIGH))
    ImageDraw.Draw(canvas).rectangle((10, 5, 79, 49), fill=1)
    canvas.save(tmp_path / "mask.png")
    Image.fromarray(expected.astype(np.uint8) * 128).save(tmp_path / "grey.png")
    for file in (
        labelme(tmp_path / "a.json", shape(POLYGON)),
        labelme(tmp_path / "b.json", shape([POLYGON[0], POLYGON[2]], kind="rectangle")),
        coco(tmp_path / "c.json", {"segmentation": [flat]}, images=3),
        coco(tmp_path / "d.json", {"bbox": [10, 5, 70, 45]}),
        tmp_path / "mask.png",
        tmp_path / "grey.png",
    ):
        assert np.array_equal(mask_of_file(file), expected), file.name


def test_shapes_called_ignore_are_holes(tmp_path: Path) -> None:
    hole = shape([[20.0, 10.0], [30.0, 20.0]], "ignore", "rectangle")
    expected = rectangle(10, 5, 80, 50) & ~rectangle(20, 10, 30, 20)
    assert np.array_equal(mask_of_file(labelme(tmp_path / "a.json", shape(POLYGON), hole)), expected)
    assert np.array_equal(mask_of_file(labelme(tmp_path / "b.json", hole)), ~rectangle(20, 10, 30, 20))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (
            lambda p: labelme(p, shape([*POLYGON[:3], [10.0, 75.0]])),
            r"reaches to x 10, y 75, outside of the picture, 90",
        ),
        (lambda p: labelme(p, shape([*POLYGON[:3], [-3.0, 50.0]])), r"reaches to x -3, y 50, outside of the picture"),
        (lambda p: labelme(p, shape(POLYGON[:2], kind="line")), "has a line, which has no area"),
        (lambda p: labelme(p, shape(POLYGON, "ok")), "a shape whose label means a good part; call it roi"),
        (lambda p: labelme(p), "has outlines in 0 pictures; a region of interest is of one"),
        (lambda p: labelme(p, shape(POLYGON), imageWidth=0), "no imageWidth"),
        (lambda p: labelme(p, shape([[float("nan"), 1.0], *POLYGON])), "farther than 10 times"),
        (lambda p: coco(p), "has outlines in 0 pictures"),
        (lambda p: coco(p, {"bbox": [0, 0, 9, 9]}, {"bbox": [1, 1, 9, 9], "image_id": 1}, images=2), "in 2 pictures"),
        (lambda p: p.write_text("{}") and p, "neither labelme's JSON nor COCO's"),
        (lambda p: p.with_name("none.json"), "none.json does not exist"),
    ],
)
def test_outlines_that_are_of_no_use_are_refused(tmp_path: Path, made: Callable[[Path], Path], sentence: str) -> None:
    with pytest.raises(BadData, match=sentence):
        mask_of_file(made(tmp_path / "region.json"))


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["--box", "0,0,65,9"],
            BAD_DATA,
            "the box 0,0,65,9 reaches to x 65, y 9; the pictures are 64 pixels wide and 64",
        ),
        (["--box", "0,0,64,64"], BAD_DATA, "is all of a picture"),
        (["--ignore", "--box", "0,0,64,64"], BAD_DATA, "is empty"),
        (["empty.png"], BAD_DATA, "is empty"),
        (["wide.png"], BAD_DATA, "drawn for pictures 90 pixels wide and 60 high; images/plates/t"),
        (["--box", "0,0,-4,9"], USAGE, "--box is '0,0,-4,9'; allowed: x,y,width,height in whole pixels"),
        (["--box", "0,0,0,9"], USAGE, "--box is '0,0,0,9'"),
        (["--ignore"], USAGE, "--ignore needs a file or --box"),
        (["--remove", "wide.png"], USAGE, "--remove takes neither"),
        (["--remove"], USAGE, "plates has no region of interest that could be removed"),
        (["train.txt"], BAD_DATA, "train.txt"),
    ],
)
def test_what_does_not_fit_is_one_sentence_and_changes_nothing(
    project: Path, capfd: pytest.CaptureFixture[str], words: list[str], code: int, sentence: str
) -> None:
    Image.new("L", (SIZE, SIZE)).save("empty.png")
    Image.fromarray(rectangle(3, 3, 9, 9)).save("wide.png")
    Path("train.txt").write_text("nothing")
    before = Path("params.yaml").read_bytes()
    assert fastflow("roi", "plates", *words) == code
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: ")
    assert sentence in said
    assert Path("params.yaml").read_bytes() == before
    assert not Path("data").exists()


def test_a_region_is_shown_kept_and_removed(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert fastflow("roi", "plates") == 0
    assert capfd.readouterr().out == "plates has no region of interest\n"
    assert fastflow("roi", "plates", "--ignore", "--box", "0,0,16,64", "--box", "48,0,16,64") == 0
    assert (
        "plates: the region of interest is 50.0% of the picture, 64 pixels wide and 64 high" in capfd.readouterr().out
    )
    kept = np.asarray(Image.open(roi_file("plates")))
    assert np.array_equal(kept, rectangle(16, 0, 48, 64, (SIZE, SIZE)) * np.uint8(255))
    stated = read_params().pixels["plates"].roi
    assert stated == hashlib.sha256(roi_file("plates").read_bytes()).hexdigest()
    with Image.open(".state/roi/plates.png") as preview:
        assert preview.height == 320
        assert preview.width == 5 * 320 + 4 * 8
    roi = stated_roi(read_params(), "plates")
    assert roi is not None
    roi_file("plates").write_bytes((project / "images/plates/train/good/000.png").read_bytes())
    with pytest.raises(BadData, match=r"is not the region of interest that params.yaml states \(pixels.plates.roi\)"):
        stated_roi(read_params(), "plates")
    roi_file("plates").unlink()
    assert run_prepare() == BAD_DATA
    assert fastflow("roi", "plates", "--remove") == 0
    assert read_params().pixels == {}
    assert stated_roi(read_params(), "plates") is None


def run_prepare() -> int:
    with pytest.MonkeyPatch.context() as patch:
        return run("prepare", patch)


def test_the_value_range_of_a_category_stays_beside_its_region(project: Path) -> None:
    text = Path("params.yaml").read_text().replace("pixels: {}", "pixels: {plates: {page: 2}, tiles: {page: 3}}")
    Path("params.yaml").write_text(text)
    assert fastflow("roi", "plates", "--box", "1,1,30,30") == 0
    stated = read_params().pixels
    assert (stated["plates"].page, stated["tiles"].page, stated["tiles"].roi) == (2, 3, None)
    assert stated["plates"].roi
    keep_reading("plates", None, DEFAULT_OPTIONS._replace(pixels=PixelRule((0.0, 99.0), 2)))  # as fastflow init does
    assert read_params().pixels["plates"].roi == stated["plates"].roi
    assert fastflow("roi", "plates", "--remove") == 0
    assert read_params().pixels["plates"].page == 2


def test_what_prepare_writes_is_as_before_without_a_region_and_has_it_with_one(project: Path) -> None:
    assert run_prepare() == 0
    assert pixels_file("plates").read_text() == '{\n  "value_range": null,\n  "page": null\n}\n'
    assert read_roi("plates") is None
    assert fastflow("roi", "plates", "--box", "5,6,30,31") == 0
    assert run_prepare() == 0
    assert read_roi("plates") == stated_roi(read_params(), "plates")
    content = json.loads(pixels_file("plates").read_text())
    pixels_file("plates").write_text(json.dumps(content | {"roi": {"shape": [2, 2], "runs": "0 3"}}))
    with pytest.raises(BadData, match="no region of interest; allowed: a mapping"):
        read_rule("plates")


def test_pictures_of_another_shape_and_defects_outside_are_findings(project: Path) -> None:
    assert fastflow("roi", "plates", "--box", "0,0,30,64") == 0
    folder, roi = project / "images/plates", stated_roi(read_params(), "plates")
    for name, left in (("000", 40), ("001", 25)):
        Image.fromarray(rectangle(left, 9, left + 12, 20, (SIZE, SIZE))).save(
            folder / f"ground_truth/square/{name}_mask.png"
        )
    Image.new("RGB", (2 * SIZE, SIZE)).save(folder / "test/good/002.png")
    Image.new("RGB", (2 * SIZE, 2 * SIZE)).save(folder / "test/good/003.png")
    _, decided, _ = check_and_decide(folder, POLICY, roi=roi)
    outside = {one.path for one in decided["report"] if one.kind == "outside_roi"}
    assert "ground_truth/square/000_mask.png" in outside
    assert "ground_truth/square/001_mask.png" not in outside
    (refused,) = (one for one in decided["refuse"] if one.kind == "roi_shape")
    assert str(refused).startswith("test/good/002.png: its 64x128 pixels (height x width) have another shape than the")
    _, decided, _ = check_and_decide(folder, POLICY)
    assert not [one for found in decided.values() for one in found if one.kind in ("roi_shape", "outside_roi")]


def test_the_trained_model_has_the_region_and_the_report_names_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_params(project, epochs=1)
    assert fastflow("roi", "plates", "--box", "8,8,40,48") == 0
    for stage in ("prepare", "train", "evaluate"):
        assert run(stage, monkeypatch) == 0
    config = FastFlowConfig.from_dict(read_config(project / "models/plates")["model"])
    assert config.roi == stated_roi(read_params(), "plates")
    about = json.loads((project / "reports/plates/about.json").read_text())
    assert about["region of interest"] == "46.9% of the picture"


def test_a_region_without_any_defect_is_evaluated_and_says_why_metrics_are_missing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_params(project, epochs=1)
    assert fastflow("roi", "plates", "--box", "0,0,7,64") == 0
    for stage in ("prepare", "train", "evaluate"):
        assert run(stage, monkeypatch) == 0
    findings = json.loads(findings_file("plates").read_text())
    assert [one["kind"] for one in findings].count("outside_roi") == 4
    metrics = json.loads((project / "reports/plates/metrics.json").read_text())
    assert metrics["pixel_auroc"] is None
    assert metrics["undefined"]["pixel_auroc"]
    assert metrics["image_auroc"] is not None
