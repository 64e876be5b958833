"""`fastflow learning` as a person calls it: trainings of drawn plates, its page, an interruption."""

import json
import re
from pathlib import Path

import html5lib
import numpy as np
import pytest

from fastflow.errors import BadData
from pipelines.core.params import read_params
from pipelines.qualification import learning as learning_module
from pipelines.qualification.learning import Photographs, as_array, learning, sizes_of, train_one
from pipelines.qualification.learning_file import Learning, Limits, Point, begun_file, read_begun
from pipelines.qualification.learning_words import answer, table
from pipelines.training import resumable
from tests.conftest import fastflow, write_plates
from tests.stages import run, write_tiny_params

PAGE, FIGURES = Path("reports/plates/learning.html"), Path("reports/plates/learning.json")


@pytest.fixture
def project(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write_plates(folder / "images/plates", num_train=12, num_test=10)
    write_tiny_params(folder, epochs=1)
    assert run("prepare", monkeypatch) == 0
    return folder


def pretend(params: object, images: int, seed: int) -> Point:
    """Fewer rejects with more images."""
    return Point(images=images, seed=seed, rejected=[4, 7][: 2 if images == 8 else 1], total=10)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """No training; what was asked for."""
    asked: list[tuple[int, int]] = []

    def train_one(*_: object, size: int, seed: int, certify: bool) -> Point:
        asked.append((size, seed))
        return pretend(None, size, seed)

    monkeypatch.setattr(learning_module, "train_one", train_one)
    return asked


def test_trainings_see_their_own_images_and_no_test_image(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []
    embed = resumable.embed

    def watched(model: object, images: list[Path], *rest: object, **named: object) -> object:
        seen.append([path.as_posix() for path in images])
        return embed(model, images, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(learning_module, "embed", watched)
    train, unseen = (sorted(Path(f"images/plates/{one}/good").iterdir()) for one in ("train", "test"))
    pictures = Photographs(train, [path.name for path in train], unseen)
    points = [
        train_one("plates", read_params(), pictures, size=size, seed=seed, certify=False)
        for size, seed in ((8, 0), (8, 1), (8, 0), (4, 0))
    ]
    assert points[0] == points[2]  # the same seed, the same training
    assert seen[0] == seen[2] != seen[1]
    assert set(seen[3]) < set(seen[0])  # fewer are some of more
    assert [len(one) for one in seen] == [8, 8, 8, 4]
    assert all("/train/good/" in path for one in seen for path in one)
    assert all(point.total == 10 and set(point.rejected) <= set(range(10)) for point in points)


def test_the_page_and_figures(project: Path, quick: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("learning", "plates", "--seeds", "2", "--more", "24", "--json") == 0
    assert quick == [(8, 0), (8, 1), (12, 0), (12, 1)]
    said, page, first = json.loads(capsys.readouterr().out), PAGE.read_text(), FIGURES.read_bytes()
    assert said == json.loads(first)
    assert said["more"] == 24
    assert not begun_file("plates").exists()
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    assert fastflow("learning", "plates", "--seeds", "2", "--more", "24") == 0
    assert FIGURES.read_bytes() == first
    assert PAGE.read_text() == page
    out = capsys.readouterr().out
    assert "2 of 20 (10 %)" in out
    assert f"{answer(Learning.model_validate_json(first))}." in out


def test_an_interrupted_curve_goes_on(
    project: Path, quick: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = learning_module.train_one

    def interrupted(*rest: object, **named: object) -> Point:
        if len(quick) == 3:
            raise KeyboardInterrupt
        return whole(*rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(learning_module, "train_one", interrupted)
    assert fastflow("learning", "plates", "--seeds", "2") == 130
    assert not PAGE.exists()
    assert not FIGURES.exists()
    assert len(json.loads(begun_file("plates").read_text())["points"]) == 3
    monkeypatch.setattr(learning_module, "train_one", whole)
    assert fastflow("learning", "plates", "--seeds", "2") == 0
    assert quick == [(8, 0), (8, 1), (12, 0), (12, 1)]  # none twice
    assert FIGURES.exists()
    fresh = learning("plates", read_params(), num_seeds=2)
    assert fresh == Learning.model_validate_json(FIGURES.read_bytes())


def test_points_of_other_settings_or_damaged_ones_are_not_taken_over(project: Path) -> None:
    begun_file("plates").parent.mkdir(exist_ok=True)
    begun_file("plates").write_text(json.dumps({"key": "a", "points": [pretend(None, 8, 0).model_dump()]}))
    assert read_begun("plates", "a") == [pretend(None, 8, 0)]
    assert read_begun("plates", "b") == []
    begun_file("plates").write_text("{")
    assert read_begun("plates", "a") == []


def test_numbers_of_images() -> None:
    assert sizes_of("plates", 209) == [8, 16, 32, 64, 128, 209]
    assert sizes_of("plates", 31) == [8, 16, 31]
    assert sizes_of("plates", 19) == [8, 19]  # 16 are hardly fewer
    assert sizes_of("plates", 10) == [8, 10]
    with pytest.raises(BadData, match=r"plates has 9 good training images; a learning curve needs 10 at least"):
        sizes_of("plates", 9)


def test_too_few_unseen_good_pictures(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_plates(folder / "images/plates", num_train=12, num_test=9)
    write_tiny_params(folder)
    assert run("prepare", monkeypatch) == 0
    assert fastflow("learning", "plates") == 3
    assert "has 9 good pictures that the model has not seen (test/good); a curve needs 10" in capsys.readouterr().err


def test_rejected_pictures_as_an_array() -> None:
    points = [Point(images=n, seed=s, rejected=[n % 5, s + 1], total=6) for n in (8, 16) for s in (0, 1)]
    expected = np.zeros((2, 2, 6), bool)
    for row, n in enumerate((8, 16)):
        for s in (0, 1):
            expected[row, s, [n % 5, s + 1]] = True
    assert (as_array(points, [8, 16], 6) == expected).all()


def curve(outcome: str, **changes: object) -> Learning:
    limits = {
        name: Limits(value=v, low=v / 2, high=v * 2) for name, v in (("now", 0.04), ("then", 0.02), ("drop", 0.02))
    }
    values = {
        "category": "plates", "key": "k", "target": 0.01, "more": 60, "outcome": outcome, **limits,
        "floor": 0.0, "scale": 1.0, "power": 1.0,
        "points": [Point(images=n, seed=s, rejected=[1] * (n == 8), total=50) for n in (8, 64) for s in (0, 1)],
    }  # fmt: skip
    return Learning.model_validate(values | changes)


def test_words() -> None:
    assert answer(curve("helps")) == "60 more would lower false rejects from 4 % to about 2 % (95 %: 1 % to 4 %)"
    assert answer(curve("no_help")).startswith(
        "More photographs will not help: 60 more would lower false rejects from 4 %"
    )
    assert "by 4 % at most" in answer(curve("no_help"))
    assert answer(curve("unknown")).startswith("It cannot be told whether more help")
    assert "50 unseen good pictures are too few" in answer(curve("unknown"))
    assert answer(curve("enough")).startswith("With all 64 photographs, 0 of 100 (0 %) verdicts")
    rows = table(curve("enough"))
    assert rows[0] == {"photographs": 8, "good parts rejected": "2 of 100 (2 %)", "lowest to highest": "2 % to 2 %"}
    spots = [
        Point(images=8, seed=s, rejected=[], total=50, certified=True, a90_95=a) for s, a in enumerate((9.0, None))
    ]
    assert table(curve("enough", points=spots))[0]["spots found from, px"] == "not reached"
