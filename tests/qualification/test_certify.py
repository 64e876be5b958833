"""`fastflow certify` as a person calls it, on a model of drawn plates."""

import json
import re
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image

from fastflow.decode import AS_MEANT
from fastflow.errors import BadData
from fastflow.model import FastFlow
from pipelines.core.params import read_params
from pipelines.core.paths import certificate_file
from pipelines.qualification import certify as certify_module
from pipelines.qualification import curves, detection, material, trial
from pipelines.qualification.certificate import read_certificate
from pipelines.qualification.certify import certify
from pipelines.qualification.material import Options, good_labels, sizes_for
from pipelines.qualification.sentences import false_calls, length, sentence
from pipelines.qualification.trial import CURVES, Curve, is_near, planned
from pipelines.reporting.cutting import Box
from tests.conftest import detector_of, fastflow, tiny_config
from tests.qualification.kit import write_params, write_project

PAGE = Path("reports/plates/certificate.html")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial of two curves with four sizes each, which takes seconds."""
    monkeypatch.setattr(material, "NUM_STEPS", 4)
    for module in (trial, certify_module):
        monkeypatch.setattr(module, "CURVES", [Curve("patch", 0.5), Curve("scratch", 0.1)])
    monkeypatch.setattr(curves, "BAND_PLACES", 4)
    monkeypatch.setattr(detection, "SIMULATED", 99)


def test_the_same_certificate_twice_and_its_page(
    project: Path, short: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fastflow("certify", "plates", "--mm-per-pixel", "0.1", "--per-step", "4") == 0
    first, page = certificate_file("plates").read_bytes(), PAGE.read_text()
    assert fastflow("certify", "plates", "--mm-per-pixel", "0.1", "--per-step", "4") == 0
    assert certificate_file("plates").read_bytes() == first
    assert PAGE.read_text() == page
    certificate = read_certificate("plates")
    assert certificate
    said = capsys.readouterr().out.splitlines()
    assert said == 2 * [
        *(sentence(curve, 0.1) for curve in certificate.curves),
        f"At the same threshold, {false_calls(certificate)}",
    ]
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    for curve in certificate.curves:
        assert sum(step.drawn for step in curve.steps) == 4 * len(curve.steps)
        assert all(0 <= step.located <= step.found <= step.drawn for step in curve.steps)
        assert f"{sentence(curve, 0.1)}." in page
    assert page.count("<img ") == 2 * sum(len(curve.steps) for curve in certificate.curves)


@pytest.mark.slow
def test_a_strong_large_defect_is_found_and_a_faint_tiny_one_is_not(project: Path) -> None:
    found = certify("plates", read_params(), options=Options(per_step=4))
    by_name = {(curve.kind, curve.contrast): curve.steps for curve in found.curves}
    strong, faint = by_name["patch", 0.5], by_name["scratch", 0.1]
    assert strong[-1].found == strong[-1].drawn
    assert faint[0].found <= 1
    assert found.false_calls.count == 0  # its threshold is the highest score of these pictures


def test_too_few_unseen_good_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(folder, num_good=9)
    assert fastflow("certify", "plates") == 3
    said = capsys.readouterr().err
    assert "has 9 good pictures that the model has not seen" in said
    assert "needs 10 at least" in said
    assert not certificate_file("plates").exists()


def test_a_model_that_rejects_most_good_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(folder, quantile=0.5)
    assert fastflow("certify", "plates") == 3
    assert "rejects 6 of 12 unseen good pictures" in capsys.readouterr().err


def test_a_constant_score(folder: Path) -> None:
    paths = []
    for number in range(10):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(paths[-1])
    with pytest.raises(BadData, match="every good picture gets the same score"):
        good_labels("plates", detector_of(FastFlow(tiny_config())), paths, batch_size=1)


@pytest.mark.parametrize("words", [("--mm-per-pixel", "0"), ("--mm-per-pixel", "nan"), ("--per-step", "3")])
def test_options_that_cannot_be(folder: Path, words: tuple[str, ...]) -> None:
    write_params(folder)
    assert fastflow("certify", "plates", *words) == 2


NAN = float("nan")


@pytest.mark.parametrize(
    ("low", "high"), [(None, 65.0), (20.0, 25.0), (0.5, None), (NAN, None), (None, NAN), (0.0, None)]
)
def test_sizes_that_cannot_be(folder: Path, low: float | None, high: float | None) -> None:
    Image.new("RGB", (80, 64)).save(folder / "a.png")
    with pytest.raises(ValueError, match=r"pixels; allowed: .*64, the shorter side"):
        sizes_for([folder / "a.png"], AS_MEANT, Options(smallest=low, largest=high))


def test_sizes_are_shares_of_the_shorter_side(folder: Path) -> None:
    Image.new("RGB", (900, 400)).save(folder / "a.png")
    sizes = sizes_for([folder / "a.png"], AS_MEANT, Options())
    assert (sizes[0], sizes[-1], len(sizes)) == (4.0, 128.0, 12)
    ratios = np.diff(np.log(sizes))
    assert ratios == pytest.approx(np.log(32) / 11, rel=0.02)


def test_a_changed_picture_is_refused(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "images/plates/test/good/003.png").write_bytes(b"other")
    assert fastflow("certify", "plates") == 3
    assert "003.png" in capsys.readouterr().err


def test_pictures_take_turns_and_each_size_is_tried_as_often() -> None:
    drawings = planned(12, 8, 50, seed=1)
    assert drawings == planned(12, 8, 50, seed=1)
    assert drawings != planned(12, 8, 50, seed=2)
    for curve in range(len(CURVES)):
        own = [one for one in drawings if one.curve == curve]
        assert np.bincount([one.step for one in own]).tolist() == [8] * 12
        assert set(np.bincount([one.image for one in own], minlength=50)) <= {1, 2}


def test_the_highest_place_of_a_map_is_looked_for_where_the_defect_is() -> None:
    anomaly_map = np.zeros((32, 64), np.float32)
    anomaly_map[8, 40] = 1  # of a picture of 320 x 640: at row 85, column 405
    assert is_near(anomaly_map, Box(80, 400, 90, 410), (320, 640))
    assert is_near(anomaly_map, Box(80, 430, 90, 440), (320, 640))  # 2.5 of 64 beside: within a sixteenth
    assert not is_near(anomaly_map, Box(80, 460, 90, 470), (320, 640))
    assert not is_near(anomaly_map, Box(200, 400, 210, 410), (320, 640))


def test_a_damaged_certificate_is_named(project: Path) -> None:
    assert read_certificate("plates") is None
    certificate_file("plates").parent.mkdir(parents=True)
    certificate_file("plates").write_text(json.dumps({"format": 1}))
    with pytest.raises(BadData, match=r"certificate\.json is damaged.*run: fastflow certify plates"):
        read_certificate("plates")


def test_lengths_are_given_in_mm_where_the_scale_is_known() -> None:
    assert length(14, None) == "14 px"
    assert length(14, 0.05) == "14 px (0.7 mm)"
    assert length(1234.4, None) == "1234 px"
