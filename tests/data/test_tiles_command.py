"""fastflow tiles: what is proposed, and what of it the stages then do."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest
import yaml

from fastflow.config import FastFlowConfig
from fastflow.errors import BadData
from fastflow.sealed import read_config
from fastflow.tiles import TileSettings
from fastflow.trained import TrainedDetector
from pipelines.core.params import Tiles, read_params
from pipelines.core.paths import pixels_file
from pipelines.core.pixel_rule import read_tiles
from pipelines.core.stage import BAD_DATA, USAGE
from pipelines.data.tiles import in_pixels, proposal
from tests.conftest import fastflow
from tests.stages import project as project  # the fixture
from tests.stages import run, write_tiny_params

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations


def test_lengths_are_of_the_photograph() -> None:
    assert in_pixels("6px", None) == in_pixels("6 px", 0.1) == 6
    assert in_pixels("0.3mm", 0.05) == pytest.approx(6)
    for wrong in ("6", "0.3cm", "-1px", "0px", "px", "1e3px", "nan mm"):
        with pytest.raises(ValueError, match="allowed: a length such as"):
            in_pixels(wrong, 0.05)
    for scale in (None, 0, -1, math.nan, math.inf):
        with pytest.raises(ValueError, match="needs --mm-per-pixel, above 0"):
            in_pixels("0.3mm", scale)


@pytest.mark.parametrize(
    ("shape", "pixels", "expected"),
    [
        ((4096, 4096), 3, TileSettings(256, 0.25, 1.0)),
        ((4096, 4096), 6, TileSettings(256, 0.25, 1.0)),
        ((4096, 4096), 12, TileSettings(256, 0.25, 0.5)),
        ((256, 4096), 3, TileSettings(256, 0.25, 1.0)),
        ((200, 4096), 3, TileSettings(192, 0.25, 1.0)),
        ((1260, 500), 12, TileSettings(224, 0.25, 0.5)),
        ((4096, 4096), 100, None),  # at 6 pixels wide, the picture is 246 x 246
        ((300, 300), 2, None),
    ],
)
def test_the_smallest_defect_is_six_pixels_wide_or_as_wide_as_in_the_photograph(
    shape: tuple[int, int], pixels: float, expected: TileSettings | None
) -> None:
    assert proposal(shape, pixels) == expected


def test_what_is_less_than_a_pixel_is_in_no_tile() -> None:
    with pytest.raises(BadData, match=r"0\.5 pixels wide shows in no tile"):
        proposal((4096, 4096), 0.5)


def test_it_writes_nothing_unless_asked(project: Path, capfd: pytest.CaptureFixture[str]) -> None:
    before = (project / "params.yaml").read_text()
    assert fastflow("tiles", "plates") == 0
    assert capfd.readouterr().out == "plates: pictures are looked at in one piece\n"
    assert fastflow("tiles", "plates", "--smallest-defect", "2px") == 0
    assert "shows in one piece, too: no tiles are needed" in capfd.readouterr().out
    for wrong in (["--keep"], ["--mm-per-pixel", "1"], ["--remove"], ["--remove", "--smallest-defect", "1px"]):
        assert fastflow("tiles", "plates", *wrong) == USAGE
    assert fastflow("tiles", "plates", "--smallest-defect", "0.5px") == BAD_DATA
    assert (project / "params.yaml").read_text() == before


def test_a_proposal_is_kept_with_others_and_removed(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["tiles"] = {"others": {"size": [64, 96], "overlap": 0.5}}
    values["regions"] = {"plates": {"mm_per_pixel": 0.1}}
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    monkeypatch.setattr("pipelines.data.tiles.USUAL_AREA", 32 * 32)
    assert fastflow("tiles", "plates", "--smallest-defect", "0.6mm", "--keep") == 0
    said = capfd.readouterr().out
    assert "of pictures of 64x64 pixels (height x width), a defect 6 pixels wide shows in tiles of 64 pixels" in said
    stated = read_params()
    assert stated.tiles == {"plates": Tiles(size=64), "others": Tiles(size=[64, 96], overlap=0.5)}
    assert fastflow("tiles", "plates") == 0
    assert capfd.readouterr().out == "plates: tiles of 64 pixels that overlap by 25%, at a scale of 1\n"
    assert fastflow("tiles", "plates", "--remove") == 0
    assert set(read_params().tiles) == {"others"}


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [({"overlap": 1}, "overlap"), ({"scale": 0}, "scale"), ({"scale": 1.1}, "scale"), ({"size": 0}, "size")],
)
def test_wrong_tiles_in_params_are_named(project: Path, wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"tiles\.plates\.{sentence}"):
        change(project, {"size": 48} | wrong)


def change(project: Path, tiles: dict[str, object]) -> None:
    values = yaml.safe_load((project / "params.yaml").read_text())
    values["tiles"] = {"plates": tiles}
    values["model"]["overrides"].pop("image_size", None)
    (project / "params.yaml").write_text(yaml.safe_dump(values))
    read_params()


def test_the_trained_model_has_the_tiles_and_the_report_names_them(
    project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_tiny_params(project, epochs=1)
    assert run("prepare", monkeypatch) == 0
    assert "tiles" not in json.loads(pixels_file("plates").read_text())
    change(project, {"size": 48, "overlap": 0.25})
    for stage in ("prepare", "train", "evaluate"):
        assert run(stage, monkeypatch) == 0
    assert read_tiles("plates") == Tiles(size=48, overlap=0.25)
    folder = project / "models/plates"
    config = FastFlowConfig.from_dict(read_config(folder)["model"])
    assert config.tiles is not None
    assert (config.image_size, config.tiles.picture) == ((48, 48), (64, 64))
    about = json.loads((project / "reports/plates/about.json").read_text())
    assert about["image size"] == "64x64 in tiles of 48x48"
    scores = pd.read_csv(project / "reports/plates/scores.csv")
    detector = TrainedDetector.load(folder)
    assert fastflow("score", project / "images/plates/test", "--model", "plates", "--to", "again.csv") == 0
    again = pd.read_csv("again.csv")
    assert sorted(again["pred_score"]) == pytest.approx(sorted(scores["pred_score"]), rel=1e-5)
    assert detector.threshold["num_normal"] == 8, "a score a picture, not one a tile"
    change(project, {"size": 80})
    assert run("prepare", monkeypatch) == 0
    assert run("train", monkeypatch) == USAGE
    assert "a tile of 80x80 pixels (height x width) is larger than the picture, 64x64" in capfd.readouterr().err
