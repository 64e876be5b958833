"""`fastflow tolerance` as a person calls it, on a model of drawn plates, and on one whose answer is known."""

import json
import re
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image
from scipy.stats import binomtest

from fastflow.detector import Images, Scores, Sizes
from fastflow.frame import Frame
from pipelines.qualification import tolerance_page, tolerance_trial
from pipelines.qualification.tolerance_file import Tolerance, Tolerated, Tried
from pipelines.qualification.tolerance_trial import Trial
from pipelines.qualification.tolerance_words import allowed, amount, headline, sentence
from pipelines.training.changes import CHANGES
from tests.conftest import fastflow
from tests.qualification.kit import write_project

PAGE = Path("reports/plates/tolerance.html")


class Brightness:
    """Rejects what is darker than 84 % of grey level 100, or brighter than 112 %."""

    category, version, frame = "plates", "known", Frame(32, 32)
    threshold = {"image": 0.0, "pixel": 0.0, "low": 0.0}  # noqa: RUF012

    def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
        mean = images.mean(axis=(1, 2, 3))
        label = ((mean < 84) | (mean > 112)).astype(np.int64)
        return Scores(mean.astype(np.float32), label, np.zeros((len(images), 1, 32, 32), np.float32))


def grey_plates(folder: Path, *, count: int = 12, level: int = 100) -> list[Path]:
    paths = []
    for number in range(count):
        paths.append(folder / f"{number}.png")
        Image.fromarray(np.full((40, 40, 3), level, np.uint8)).save(paths[-1])
    return paths


def test_what_is_allowed_of_a_model_that_is_known(tmp_path: Path) -> None:
    trial = Trial(Brightness(), grey_plates(tmp_path), seed=0, limit=0.01)
    assert trial.grey
    found = {one.name: one for one in trial.run()}
    assert "warmer" not in found
    assert (found["darker"].allowed, found["darker"].first_outside) == (15.0, 20.0)
    assert (found["brighter"].allowed, found["brighter"].first_outside) == (10.0, 15.0)
    assert (found["shifted"].allowed, found["shifted"].first_outside) == (4.8, None)
    assert [step.count for step in found["darker"].steps] == [0, 0, 0, 0, 12]
    exact = binomtest(12, 12).proportion_ci(method="exact")
    assert (found["darker"].steps[-1].low, found["darker"].steps[-1].high) == pytest.approx((exact.low, exact.high))


@pytest.mark.parametrize(("count", "outside"), [(0, False), (1, False), (2, True)])
def test_a_step_is_outside_once_its_exact_limits_are(tmp_path: Path, count: int, outside: bool) -> None:
    """Of 12 pictures: the lower limit of 1 is 0.2 %, of 2 it is 2.1 %."""
    trial = Trial(Brightness(), grey_plates(tmp_path), seed=0, limit=0.01)
    labels = np.arange(12) < count
    assert trial.tried(1.0, labels).outside is outside
    assert (binomtest(count, 12).proportion_ci(method="exact").low > 0.01) is outside


def test_the_same_file_twice_and_its_page(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [change._replace(steps=change.steps[::4]) for change in CHANGES if change.kind in ("brightness", "noise")]
    for module in (tolerance_trial, tolerance_page):
        monkeypatch.setattr(module, "CHANGES", few)
    assert fastflow("tolerance", "plates", "--json") == 0
    first, page, said = (project / "reports/plates/tolerance.json").read_bytes(), PAGE.read_text(), capsys.readouterr()
    assert json.loads(said.out) == json.loads(first)
    assert fastflow("tolerance", "plates") == 0
    assert (project / "reports/plates/tolerance.json").read_bytes() == first
    assert PAGE.read_text() == page
    out = capsys.readouterr().out
    assert out.startswith("Brightness: ")
    assert "As they are, 0 of 12 are rejected, so that the true rate may be up to 26.5" in out
    found = json.loads(first)
    assert found["limit"] == 0.01  # of params.yaml, as this checkpoint names none
    assert [one["name"] for one in found["changes"]] == ["darker", "brighter", "noisier"]
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    assert page.count("<img ") == sum(1 + len(one["steps"]) for one in found["changes"])


def test_a_model_that_rejects_good_pictures_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(folder, quantile=0.5)
    assert fastflow("tolerance", "plates") == 3
    said = capsys.readouterr().err
    assert "rejects 6 of 12 unseen good pictures as they are, more than the limit of 1.00%" in said
    assert "--limit 79%" in said
    assert not PAGE.exists()


def test_too_few_unseen_good_pictures(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(folder, num_good=9)
    assert fastflow("tolerance", "plates") == 3
    assert (
        "has 9 good pictures that the model has not seen (test/good); a tolerance needs 10" in capsys.readouterr().err
    )


def test_a_limit_that_cannot_be(project: Path) -> None:
    assert fastflow("tolerance", "plates", "--limit", "0") == 2


def tolerated(**changes: object) -> Tolerated:
    step = Tried(amount=30.0, count=5, total=20, low=0.0866, high=0.491, outside=True)
    values = {"kind": "brightness", "name": "darker", "unit": "%", "allowed": 20.0, "first_outside": 30.0}
    return Tolerated.model_validate(values | {"steps": [step]} | changes)


def test_words() -> None:
    assert sentence(tolerated()).replace("\u00a0", " ") == (
        "darker: 20 % darker; at 30 %, 5 of 20 rejected (95 %: 8.7 to 49.1 %)"
    )
    assert allowed(tolerated(allowed=None)).replace("\u00a0", " ") == "less than 30 % darker"
    assert allowed(tolerated(first_outside=None)).replace("\u00a0", " ") == "20 % darker (the largest change tried)"
    jpeg = {"kind": "jpeg", "name": "JPEG quality", "unit": ""}
    assert allowed(tolerated(**jpeg, allowed=40.0)) == "quality 40"
    assert allowed(tolerated(**jpeg, allowed=None)) == "no loss"
    assert (amount(1500, "K"), amount(3, "°")) == ("1500\u00a0K", "3°")


@pytest.mark.parametrize(
    ("count", "said"), [(0, "The camera may change by"), (1, "Unchanged, 1 of 14 good parts are rejected already")]
)
def test_what_is_rejected_unchanged_comes_first(count: int, said: str) -> None:
    unchanged = Tried(amount=0.0, count=count, total=14, low=0.002, high=0.339, outside=False)
    made = Tolerance.model_construct(limit=0.01, unchanged=unchanged, changes=[tolerated()])
    assert headline(made).startswith(said)
