"""fastflow watch as a command: what it refuses, what it says, and how it ends."""

import signal
import sqlite3
import sys
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from pipelines.line import watch as watching_command
from pipelines.line.state import TABLES, State, state_file
from pipelines.line.watch import Options, open_judge
from pipelines.serving.models import Models, Source
from tests.conftest import fastflow, free_port, until
from tests.line.kit import lines, png, watching, write_model

pytestmark = pytest.mark.usefixtures("folder")


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = fastflow("watch", *words)
    return code, capsys.readouterr().err.strip().splitlines()[-1]


def test_what_cannot_be_watched_is_one_sentence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in").mkdir()
    write_model(folder / "model")
    assert refused(capsys, "plates") == (
        2, "error: name the folder that pictures come to: fastflow watch plates DIR",
    )  # fmt: skip
    code, said = refused(capsys, "plates", "nowhere", "--model", "model")
    assert (code, said[:27]) == (2, "error: nowhere is no folder")
    code, said = refused(capsys, "lids", "in", "--model", "model")
    assert (code, said) == (2, "error: model is a model of plates, not of lids")
    code, said = refused(capsys, "../x", "in", "--model", "model")
    assert (code, said[:33]) == (2, "error: '../x' is no category's na")
    (folder / "line.yaml").write_text("station: [1]")
    code, said = refused(capsys, "plates", "in", "--model", "model")
    assert (code, said[:27]) == (2, "error: line.yaml: station i")
    assert refused(capsys, "spoons", "--status")[0] == 2


def test_watchers_of_two_categories_prepare_their_models_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that is no export is exported first, into a folder that is emptied before."""
    places: list[Path] = []

    def models(sources: list[Source], place: Path, *, threads: int | None) -> Models:
        places.append(place)
        raise ValueError("seen")

    monkeypatch.setattr(watching_command, "Models", models)
    monkeypatch.setattr(watching_command, "sources_of", lambda names, known, of: [Source(names[0], names[0], "")])
    base = sqlite3.connect(":memory:")
    base.executescript(TABLES)
    for category in ("plates", "lids"):
        with ExitStack() as stack, pytest.raises(ValueError, match="seen"):
            open_judge(category, Options(model=category), State(base, []), stack)
    assert len(set(places)) == 2


def test_a_state_that_is_damaged_is_bad_data(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "in").mkdir()
    state_file("plates").parent.mkdir(parents=True)
    state_file("plates").write_bytes(b"no data base" * 1000)
    code, said = refused(capsys, "plates", "in", "--model", "model")
    assert code == 3
    assert "plates.sqlite is damaged (file is not a database); move it away" in said


@pytest.mark.slow
def test_one_watches_at_a_time_leaves_out_what_was_there_and_ends_on_ctrl_c(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "in").mkdir()
    write_model(folder / "model")
    (folder / "in/old.png").write_bytes(png(1))
    port = free_port()
    with watching(folder, "--new-only", "--settle", "0.2", "--metrics-port", str(port)) as line:
        until(lambda: "watching in" in line.log.read_text(), line.process)
        (folder / "in/new.png").write_bytes(png(2))
        until(lambda: len(lines(folder)) == 1, line.process)
        code, said = refused(capsys, "plates", "in", "--model", "model")
        assert (code, said[:37]) == (1, "error: plates is watched already: pro")
        told = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'fastflow_line_judged_total{category="plates",pred_label="0"} 1.0' in told
        assert fastflow("watch", "plates", "--status") == 0
        assert "plates: 1 picture, 0 rejected, 0 without a verdict" in capsys.readouterr().out
        assert line.end(signal.SIGINT) == 130
    with watching(folder, "--settle", "0.2") as line:  # what was left out stays so
        (folder / "in/newer.png").write_bytes(png(3))
        until(lambda: len(lines(folder)) == 2, line.process)
        assert line.end(signal.SIGTERM) == 143
    assert [Path(one["path"]).name for one in lines(folder)] == ["new.png", "newer.png"]
    assert "Traceback" not in line.log.read_text()
    assert "leaked" not in line.log.read_text(), sys.version
