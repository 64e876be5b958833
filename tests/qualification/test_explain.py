"""`fastflow explain` as a person calls it, on a model of drawn plates."""

import json
import re
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image

from fastflow.explain import Explanation, Normal, ScaleTerms
from fastflow.score_parts import Place
from pipelines.reporting.cutting import same
from pipelines.reporting.explain_words import by_term, made_by, sentences, where
from tests.conftest import fastflow
from tests.qualification.kit import write_project


def scale(*, share: float, latent: float, log_det: float) -> ScaleTerms:
    usual = Normal(0.0, 0.1, 0.2), Normal(0.5, 1.0, 1.5), Normal(-0.2, 0.0, 0.2)
    return ScaleTerms((8.0, 8.0), share, latent, log_det, 1.2, *usual)


def explanation(*scales: ScaleTerms) -> Explanation:
    return Explanation(
        image_path="a.png", pred_score=sum(one.share for one in scales), threshold=0.4, pred_label=1, shape=(64, 64),
        anomaly_map=np.zeros((64, 64), np.float32), scales=list(scales), place=Place(4, 8, 10, 12, 7, 9, 0.75),
        num_normal=12, nearest="b.png", distance=0.4,
    )  # fmt: skip


def test_words_name_the_scale_and_the_term_that_made_it() -> None:
    found = explanation(scale(share=0.2, latent=1.1, log_det=0.3), scale(share=0.6, latent=1.25, log_det=0.6))
    assert made_by(found) == (
        "Good pictures score 0.2 on average; of the 0.6 beyond that, 83% come from the coarse scale, which sees detail "
        "of about 8 x 8 px"
    )
    assert by_term(found) == (
        "There it lies 0.85 bits per dimension above the average of good pictures at the most unusual place of each: "
        "+0.25 by the latent norm, +0.6 by the log-determinant, so mostly because it is seldom seen"
    )
    assert "x 4 to 14, y 8 to 20" in where(found)
    assert "highest at 7, 9; 75% of" in where(found)
    assert sentences(found, unseen=True)[0] == "Rejected: its score is 0.8, above the threshold 0.4."


def test_words_of_a_usual_picture() -> None:
    found = explanation(scale(share=0.05, latent=0.9, log_det=-0.05), scale(share=0.05, latent=0.9, log_det=0.0))
    assert made_by(found) == "Nothing in it is unusual: good pictures score 0.2 on average"
    assert "bits per dimension below the average of good pictures" in by_term(found)


def test_the_same_place_of_a_picture_of_another_shape() -> None:
    assert same((slice(10, 20), slice(0, 64)), (40, 64), (80, 32)) == (slice(20, 40), slice(0, 32))


def test_a_planted_defect_and_its_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.asarray(Image.open("images/plates/train/good/002.png")).copy()
    pixels[40:54, 12:26] = 250
    Image.fromarray(pixels).save("defect.png")
    assert fastflow("explain", "plates", "defect.png", "--html", "out/why.html", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["pred_label"] == 1
    assert sum(one["share"] for one in said["scales"]) == pytest.approx(said["pred_score"], abs=1e-6)
    assert 8 <= said["place"]["peak_x"] < 30
    assert 36 <= said["place"]["peak_y"] < 58
    assert said["normal"] == {"images": 12, "unseen": True}
    assert said["nearest"]["image_path"].startswith("images/plates/train/good/")
    page = Path("out/why.html").read_text()
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    assert page.count("<img ") == 6
    assert "Rejected: its score is" in page


def test_a_training_image_is_not_compared_with_itself(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("explain", "plates", "images/plates/train/good/001.png") == 0
    said = capsys.readouterr().out
    assert "Most similar good training picture: images/plates/train/good/" in said
    assert "good/001.png" not in said
    assert "'Usual' means the values of 12 good pictures that the model has not seen." in said


def test_with_few_unseen_pictures_training_ones_say_what_is_usual(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_project(folder, num_good=4)
    assert fastflow("explain", "plates", "images/plates/test/good/003.png") == 0
    assert "'Usual' means the values of 4 good pictures that it was trained on, as hardly any others are there" in (
        capsys.readouterr().out
    )


def test_a_picture_that_is_none(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("explain", "plates", "absent.png") == 3
    assert "absent.png is no file" in capsys.readouterr().err
