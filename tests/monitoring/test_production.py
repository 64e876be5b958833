"""Production over time, drawn: what is odd is distinguished from what is rejected."""

import html
from pathlib import Path
from unittest.mock import patch

import html5lib
import numpy as np
import pytest

from pipelines.core.duration import seconds_of
from pipelines.monitoring.production_charts import bins_of
from pipelines.monitoring.production_log import models_of, read_log, with_oddness
from pipelines.monitoring.production_page import summary_of
from pipelines.scoring.production import Production, Scored
from tests.conftest import ROOT, fastflow
from tests.scoring.test_production import scored

NOW = 1_790_000_000.0
DAY = 86400.0


@pytest.fixture
def project(folder: Path) -> Path:
    text = (ROOT / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("categories: [weave, label, gear]", "categories: [plates]"))
    return folder


def produced(*batches: tuple[float, list[Scored]]) -> None:
    """Each batch scored so many days ago."""
    written = Production("plates", "serve")
    for days, batch in batches:
        with patch("pipelines.scoring.production.time.time", lambda days=days: NOW - days * DAY):
            written.add(batch)
    written.close()


def summary() -> dict[str, object]:
    return summary_of(with_oddness(read_log("plates", since=NOW - 30 * DAY)), usual_rejects=0.05)


def good(count: int, *, start: int = 0) -> list[Scored]:
    return [scored(start + number) for number in range(count)]


def test_twelve_black_frames_are_odd_and_not_more_rejects(project: Path) -> None:
    black = [scored(number, score=0.9, black=True) for number in range(12)]
    produced((3, good(60)), (2, [*good(40, start=60), *black]))
    found = summary()
    assert (found["images"], found["rejected"], found["odd"], found["odd_rejected"]) == (112, 12, 12, 12)
    assert found["heading"] == "12 of 12 rejects are odd pictures"
    assert "more often than usual" not in str(found["sentence"])


def test_twelve_defects_are_more_rejects_and_not_odd(project: Path) -> None:
    produced(
        (3, good(60)), (2, [*good(40, start=60), *[one._replace(pred_score=0.9, pred_label=1) for one in good(12)]])
    )
    found = summary()
    assert (found["odd"], found["heading"]) == (0, "More rejects than usual")


def test_a_size_that_nothing_else_has_is_odd(project: Path) -> None:
    large = scored(1)._replace(looks=scored(1).looks._replace(width=640, height=480))
    produced((3, good(120)), (2, [large]))
    table = with_oddness(read_log("plates", since=0))
    assert table.loc[table["odd"], "why"].tolist() == ["640 x 480 pixels"]


def test_few_photographs_make_nothing_odd(project: Path) -> None:
    produced((1, [*good(5), scored(9, black=True)]))
    assert (summary()["odd"], "what is odd cannot be told" in str(summary()["sentence"])) == (0, True)


def test_the_page_shows_pictures_changes_and_hostile_names(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "<script>alert(1)</script>"
    later = [one._replace(model="fastflow-plates/<b>2") for one in good(40, start=100)]
    bad = scored(500, score=0.97, name=name)
    produced((20, good(60)), (5, later), (1, [bad, *[scored(0, score=0.9, black=True)] * 3]))
    with patch("pipelines.monitoring.production_page.time.time", lambda: NOW):
        assert fastflow("drift", "plates", "--since", "30d") == 0
    text = Path("production/plates.html").read_text()
    html5lib.HTMLParser(strict=True).parse(text)
    assert name not in text
    assert html.escape(name) in text
    assert "<b>2" not in text
    assert text.count("data:image/webp") >= 2
    assert "3 times" in text
    assert "3 of 4 rejects are odd pictures" in text
    assert "2026-09-" in text
    with patch("pipelines.monitoring.production_page.time.time", lambda: NOW):
        assert fastflow("drift", "plates", "--since", "6h") == 2
    assert "name a longer time" in capsys.readouterr().err


def test_what_cannot_be_drawn_is_a_sentence(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert fastflow("drift", "plates", "--since", "30d") == 2
    assert "no score of plates was recorded yet" in capsys.readouterr().err
    assert fastflow("drift", "plates", "scores.csv", "--since", "30d") == 2
    assert fastflow("drift", "plates", "--since", "month") == 2
    Path("production").mkdir()
    Path("production/plates.db").write_bytes(b"torn" * 999)
    assert fastflow("drift", "plates", "--since", "30d") == 3
    assert "move it away" in capsys.readouterr().err


def test_an_export_is_its_model(project: Path) -> None:
    both = [one._replace(model=f"fastflow-plates/{model}") for one in good(1) for model in ("1 onnx-fp32", "2", "1")]
    produced((9, [both[0]]), (8, [both[1]]), (7, [both[2]]))
    found = models_of(read_log("plates", since=0))
    assert found == [(NOW - 9 * DAY, "fastflow-plates/1"), (NOW - 8 * DAY, "fastflow-plates/2")]


def test_lengths_of_time() -> None:
    assert [seconds_of(text) for text in ("90m", "12h", "30d", "2w")] == [5400, 43200, 2592000, 1209600]
    for text in ("", "0d", "-3d", "1.5d", "30", "d", "9999999d"):
        with pytest.raises(ValueError, match="no length of time"):
            seconds_of(text)


def test_bins_hold_every_time_once() -> None:
    for length in (0, 30, 3600, 30 * DAY, 400 * DAY):
        times = NOW + np.sort(np.random.default_rng(0).uniform(0, length + 1e-9, 500))
        bins = bins_of(times)
        assert 1 <= bins.number <= 41
        assert ((bins.edges[bins.of_row] <= times) & (times < bins.edges[bins.of_row + 1])).all()
