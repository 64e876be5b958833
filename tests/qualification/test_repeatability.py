"""`fastflow repeatability` as a person calls it, on shots of drawn plates."""

import re
from pathlib import Path

import html5lib
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from fastflow.detector import Scores
from fastflow.errors import BadData
from fastflow.sealed import write_threshold
from fastflow.trained import TrainedDetector
from pipelines.qualification.design import design_of
from pipelines.qualification.repeatability_record import Repeatability, repeatability_file
from pipelines.qualification.shots import Shot, shots_of_study
from tests.conftest import draw_square, fastflow
from tests.qualification.kit import MODEL, write_project

CLEAR = {"image": 0.9, "pixel": 1.0, "low": 0.1}  # between plates without and with a square
PAGE = Path("reports/plates/repeatability.html")


def write_shots(folder: Path, *, parts: int = 4, shots: int = 3, noise: float = 1.0, seed: int = 0) -> None:
    """Shots of plates, every second one defective: the same plate with other noise of the camera."""
    for part in range(parts):
        pixels, _ = draw_square(seed=part, defect=part % 2 == 1)
        own = folder / f"plate-{part}"
        own.mkdir(parents=True)
        for shot in range(shots):
            rng = np.random.default_rng([seed, part, shot])
            seen = (pixels + rng.normal(0, noise, pixels.shape)).clip(0, 255).astype(np.uint8)
            Image.fromarray(seen).save(own / f"{shot}.png")


def record() -> Repeatability:
    return Repeatability.model_validate_json(repeatability_file("plates").read_bytes())


def test_shots_of_parts_and_the_page(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_threshold(MODEL, CLEAR)
    write_shots(Path("study"))
    assert fastflow("repeatability", "plates", "study") == 0
    first, page = repeatability_file("plates").read_bytes(), PAGE.read_text()
    said = capsys.readouterr().out
    assert fastflow("repeatability", "plates", "study", "--json") == 0
    assert repeatability_file("plates").read_bytes() == first == capsys.readouterr().out.encode()
    found = record()
    scores = [cell.scores for cell in found.cells]
    parts, repeat = found.sources
    assert parts.mean_square / repeat.mean_square == pytest.approx(stats.f_oneway(*scores).statistic, rel=1e-4)
    assert (parts.degrees, repeat.degrees) == (3, 8)
    assert found.spreads.repeatability == pytest.approx(np.mean(np.var(scores, axis=1, ddof=1)) ** 0.5, rel=1e-4)
    assert found.share.low <= found.share.value <= found.share.high
    assert found.flipped == []
    assert [cell.labels for cell in found.cells] == [[0] * 3, [1] * 3, [0] * 3, [1] * 3]
    assert (found.together.same, found.together.total, found.together.kappa) == (4, 4, 1)
    assert "Each of 4 parts gets the same verdict in all its shots" in said
    assert "4 parts with 3 shots each say little" in said
    html5lib.HTMLParser(strict=True).parse(page)
    assert not re.search(r"https?:|@import|url\(", page)
    assert page.count("<img ") == 2 * 3  # the part nearest to the threshold
    journal = next(Path(".mlflow/journal").glob("*/journal.jsonl")).read_text()
    assert "repeatability_share" in journal
    assert "repeatability.html" in str(list(Path(".mlflow/journal").rglob("files/*/*")))


def test_operators_and_what_a_study_of_equal_numbers_has_no_place_for(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_threshold(MODEL, CLEAR)
    for number, name in enumerate(("early", "late")):
        write_shots(Path("study") / name, seed=number, shots=2 + number, noise=1 + 4 * number)
    write_shots(Path("study/other"), parts=5, seed=7)
    for part in range(4):
        (Path("study/other") / f"plate-{part}").rename(Path("study/early") / f"more-{part}")
    Path("study/other/plate-4").rename(Path("study/late/plate-4"))
    assert fastflow("repeatability", "plates", "study") == 0
    found = record()
    assert found.operators == ["early", "late"]
    assert [(cell.operator, cell.part, len(cell.shots)) for cell in found.cells] == [
        (who, f"plate-{part}", 2) for who in ("early", "late") for part in range(4)
    ]
    assert "plate-4: not 2 shots by every operator" in found.left_out
    assert "late/plate-0/2.png: more than 2 shots" in found.left_out
    assert len(found.left_out) == 5 + 4
    assert {source.name for source in found.sources} >= {"parts", "operators", "repeatability"}
    assert [one.of for one in found.within] == ["early", "late"]
    assert [(one.of, one.total) for one in found.between] == [("early and late", 8)]
    said = capsys.readouterr().out
    assert "reproducibility" in said
    assert "early and late: the same verdict on 8 of 8 shots (with 95 % confidence 63.1 % to 100 %; kappa 1.00)" in said
    html5lib.HTMLParser(strict=True).parse(PAGE.read_text())


def test_a_verdict_that_flips(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_project(folder, quantile=0.5)
    for part in range(2):
        (folder / f"study/{part}").mkdir(parents=True)
    for shot in range(6):  # of one "part", six plates on both sides of a threshold in their midst
        (folder / f"images/plates/test/good/{shot:03}.png").rename(folder / f"study/0/{shot}.png")
        Image.fromarray(draw_square(seed=50 + shot, defect=True)[0]).save(folder / f"study/1/{shot}.png")
    assert fastflow("repeatability", "plates", "study") == 0
    found = record()
    assert found.flipped == ["0"]
    assert found.together.same == 1
    assert "The verdict flips for 1 of 2 parts" in capsys.readouterr().out
    assert "Verdict flips: 0" in PAGE.read_text()


def shot(part: str, number: int, operator: str = "") -> Shot:
    return Shot(operator, part, Path(operator, part, f"{number}.png"), f"{operator}{part}{number}")


@pytest.mark.parametrize(
    ("shots", "said"),
    [
        ([shot("a", 0), shot("a", 1)], "only one part, a"),
        ([shot("a", 0), shot("b", 0)], "one shot of each part"),
        ([shot("a", 0), shot("a", 1), shot("b", 0)], "1 of 2 parts have 2 shots or more"),
        ([shot(p, n, o) for o, p in (("x", "a"), ("y", "b")) for n in (0, 1)], "0 of 2 parts .* by every operator"),
    ],
)
def test_what_is_no_study(shots: list[Shot], said: str) -> None:
    with pytest.raises(BadData, match=said):
        design_of(shots)


@pytest.mark.parametrize(
    ("names", "refused"), [(("good", "scratch"), "good"), (("OK", "NG"), "NG, OK"), (("good_1", "7"), "")]
)
def test_a_test_set_is_no_study(folder: Path, names: tuple[str, str], refused: str) -> None:
    """Pictures of a class show different parts: between them nothing is repeated."""
    for seed, name in enumerate(names):
        write_shots(folder / "study" / name, parts=1, seed=seed)
        for path in (folder / "study" / name / "plate-0").iterdir():
            path.rename(folder / "study" / name / path.name)
        (folder / "study" / name / "plate-0").rmdir()
    if not refused:
        assert len(design_of(shots_of_study(folder / "study")).parts) == 2
        return
    with pytest.raises(BadData, match=f"study: {refused} is called as a class is"):
        shots_of_study(folder / "study")


def test_folders_that_are_none(folder: Path) -> None:
    with pytest.raises(BadData, match="study is no folder"):
        shots_of_study(folder / "study")
    (folder / "study/a").mkdir(parents=True)
    with pytest.raises(BadData, match="holds no image"):
        shots_of_study(folder / "study")
    write_shots(folder / "study")
    Image.new("RGB", (8, 8)).save(folder / "study/loose.png")
    with pytest.raises(BadData, match="1 at depth 1, 12 at depth 2; allowed"):
        shots_of_study(folder / "study")
    (folder / "study/loose.png").unlink()
    (folder / "study/plate-0/9.png").write_bytes((folder / "study/plate-1/0.png").read_bytes())
    with pytest.raises(BadData, match="are the same photograph, byte for byte"):
        shots_of_study(folder / "study")


@pytest.mark.parametrize(("score", "said"), [(0.25, "every shot gets the same score, 0.25"), (np.nan, "which is no")])
def test_scores_that_say_nothing(
    project: Path, score: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def predict(_: TrainedDetector, images: np.ndarray, sizes: object = None) -> Scores:
        count, height, width = len(images), *images.shape[2:]
        found = np.full(count, score, np.float32)
        return Scores(found, np.zeros(count, np.int64), np.zeros((count, 1, height, width), np.float32))

    monkeypatch.setattr(TrainedDetector, "predict", predict)
    write_shots(Path("study"))
    assert fastflow("repeatability", "plates", "study") == 3
    assert said in capsys.readouterr().err
    assert not repeatability_file("plates").exists()


def test_a_picture_that_cannot_be_read(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_shots(Path("study"))
    Path("study/plate-2/1.png").write_bytes(b"no picture")
    assert fastflow("repeatability", "plates", "study") == 3
    assert "study/plate-2/1.png" in capsys.readouterr().err
    assert not PAGE.exists()
