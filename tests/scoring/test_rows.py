"""Score files: any name comes back, whatever program touched the file, and what cannot be read is said by its line."""

import csv
import hashlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fastflow.errors import BadData
from pipelines.core.lock import LockHeld
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row, as_csv, read_rows
from tests.conftest import ROOT, of_a_user, until

pytestmark = pytest.mark.usefixtures("folder")
NAMES = [
    "a\nb.png", "a\rb.png", "a\r\nb.png", 'a"b.png', '"', "a,b.png", "a;b.png", "a\tb.png", "'a'.png", "=1+1.png",
    "+a", "-a", "@a", "\tb", "\r", "\n", "größer/漢字 🙂.png", "a\u2028b\u0085c.png", " a ", "a\x0bb\x1cc", "\ufeffa",
    "''=x", "NaN", "",
]  # fmt: skip
SUFFIXES = ["csv", "jsonl"]


def row(path: str, **values: object) -> Row:
    return Row(path, 0.25, 0, 0.5, "x", 1.5, 4, 3, 90.0, 20.0, 0.5, "f00d")._replace(**values)  # type: ignore[arg-type]


def write(path: Path, *names: str) -> list[Row]:
    rows = [row(name) for name in names]
    with ResultsFile(path, version="x", threshold=0.5) as results:
        results.add(rows)
    return rows


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_name_comes_back(suffix: str) -> None:
    path = Path(f"s.{suffix}")
    rows = write(path, *NAMES)
    assert read_rows(path).rows == rows
    with ResultsFile(path, version="x", threshold=0.5) as results:
        assert results.done == {name: {"f00d"} for name in NAMES}


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, max_size=6), st.sampled_from(SUFFIXES))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_drawn_names_come_back(names: list[str], suffix: str) -> None:
    path = Path(f"drawn.{suffix}")
    path.unlink(missing_ok=True)
    rows = write(path, *names)
    assert read_rows(path).rows == rows


def test_another_reader_of_csv_reads_the_same() -> None:
    write(Path("s.csv"), *NAMES)
    with Path("s.csv").open(newline="", encoding="utf-8") as file:
        cells = [found["path"] for found in csv.DictReader(file)]
    assert [cell.removeprefix("'") for cell in cells] == NAMES


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1"])
def test_no_cell_is_a_formula_and_numbers_stay_numbers(name: str) -> None:
    line = as_csv(row(name, pred_score=-0.25, model="=1"))
    cells = next(csv.reader(io.StringIO(line, newline="")))
    assert (cells[0], cells[1], cells[4]) == (f"'{name}", "-0.25", "'=1")


def touched(text: str, how: str) -> bytes:
    """As other programs save what they opened."""
    rows = list(csv.reader(io.StringIO(text, newline="")))
    out = io.StringIO()
    delimiter = {"semicolons": ";", "tabs": "\t"}.get(how, ",")
    ending = "\n" if how == "mark" else "\r\n"
    form = csv.writer(out, delimiter=delimiter, lineterminator=ending)
    if how == "all quoted":
        form = csv.writer(out, delimiter=delimiter, lineterminator=ending, quoting=csv.QUOTE_ALL)
    form.writerows(rows)
    return ("\ufeff" * (how in ("mark", "semicolons")) + out.getvalue()).encode()


@pytest.mark.parametrize("how", ["line ends", "mark", "semicolons", "tabs", "all quoted"])
def test_a_csv_that_another_program_saved_is_gone_on_with_in_its_own_way(how: str) -> None:
    path, names = Path("s.csv"), ["a.png", 'b,;"\n.png', "=c.png"]
    write(path, *names)
    saved = touched(path.read_text(), how)
    path.write_bytes(saved)
    with ResultsFile(path, version="x", threshold=0.5) as results:
        assert results.done == {name: {"f00d"} for name in names}
        results.add([row("d\r.png")])
    assert path.read_bytes().startswith(saved)
    assert [found.path for found in read_rows(path).rows] == [*names, "d\r.png"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_half_a_row_is_cut_off_at_any_byte(suffix: str) -> None:
    path, names = Path(f"s.{suffix}"), ['a\n"ü".png', "b\r\n,漢.png"]
    rows = write(path, *names)
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with ResultsFile(path, version="x", threshold=0.5) as results:
            results.add([one for one in rows if one.path not in results.done])
        assert path.read_bytes() == whole


SPOILT = [
    (",0.25,", ",zwei,", "line 3 cannot be read: pred_score is 'zwei', which is no float"),
    (",0.25,", ",nan,", "line 3 cannot be read: pred_score is 'nan'"),
    (",0.25,", ",inf,", "line 3 cannot be read: pred_score is 'inf'"),
    (",0,", ",0.5,", "line 3 cannot be read: pred_label is '0.5', which is no int"),
    (",0.25,", ',"0,25",', "line 3 cannot be read: pred_score is '0,25'"),
    (",0.25,", ",", "line 3 cannot be read: it has more or fewer cells than columns"),
    ("b.png", '"b.png', "line 3 cannot be read: its quotation marks do not fit"),
    ("b.png", '"b".png', "line 3 cannot be read: its quotation marks do not fit"),
    ("b.png", "a.png", "holds a.png twice"),
]


@pytest.mark.parametrize(("old", "new", "message"), SPOILT)
def test_what_cannot_be_read_is_said_with_its_line_and_stays(old: str, new: str, message: str) -> None:
    path = Path("s.csv")
    write(path, "a.png", "b.png", "c.png")
    lines = path.read_text().split("\n")
    lines[2] = lines[2].replace(old, new, 1)
    path.write_text("\n".join(lines))
    before = path.read_bytes()
    with pytest.raises(BadData, match=message) as error:
        ResultsFile(path, version="x", threshold=0.5).__enter__()
    assert "or name another file" in str(error.value)
    assert path.read_bytes() == before


def test_a_file_that_is_not_utf8_is_left_as_it_is() -> None:
    path = Path("s.csv")
    write(path, "a.png", "ü.png", "c.png")
    path.write_bytes(before := path.read_text().encode("latin-1"))
    with pytest.raises(BadData, match="line 3 is not UTF-8"):
        ResultsFile(path, version="x").__enter__()
    assert path.read_bytes() == before


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_second_writer_is_told_and_changes_nothing(suffix: str) -> None:
    path = Path(f"s.{suffix}")
    with ResultsFile(path, version="x", threshold=0.5) as results:
        results.add([row("a.png")])
        assert [found.path for found in read_rows(path).rows] == ["a.png"], "which is in the file at once"
        with pytest.raises(LockHeld, match="is being written by another process; wait for it, or name another file"):
            ResultsFile(path, version="x", threshold=0.5).__enter__()
        results.add([row("b.png")])
    assert [found.path for found in read_rows(path).rows] == ["a.png", "b.png"]
    assert write(path, "c.png")


WRITER = """
import sys, time
from pathlib import Path
from pipelines.core.stage import exit_code
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row
def work():
    with ResultsFile(Path("s.csv"), version="x", threshold=0.5) as results:
        for number in range(200):
            results.add([Row(f"{sys.argv[1]}\\xfc{number}.png", 0.25, 0, 0.5, "x", 1.5, 4, 3, 90.0, 20.0, 0.5, "f00d")])
            if number == 100:
                Path("began").touch()
                end = time.monotonic() + 60
                while not Path("go").exists() and time.monotonic() < end:
                    time.sleep(0.02)
sys.exit(exit_code(work))
"""


FIELDS = ", ".join(Row._fields)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("s.csv", b"a list", "it has no whole line"),
        ("s.jsonl", b"a list", "it has no whole line"),
        ("s.csv", b"a,b\n1,2\n", f"its columns are 'a', 'b', not {FIELDS}"),
        ("s.jsonl", b'{"a": 1, "b": 2}\n', f"its columns are 'a', 'b', not {FIELDS}"),
        ("s.jsonl", b"[1]\n", "line 1 is no JSON object"),
        ("s.jsonl", b"{\n", "line 1 is no JSON"),
        ("s.csv", b"path\na\xffb\n", "line 2 is not UTF-8"),
    ],
)
def test_a_file_of_something_else_is_refused_with_its_name_and_the_reason(name: str, content: bytes, why: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(BadData) as error:
        read_rows(Path(name))
    assert str(error.value) == f"{name} is no file of scores; it is left as it is: name another one ({why})"
    assert Path(name).read_bytes() == content


def test_an_image_that_was_overwritten_since_is_not_held(folder: Path) -> None:
    Path("a.png").write_bytes(b"as it was")
    with ResultsFile(Path("s.csv"), version="x") as results:
        results.add([row("a.png", sha256=hashlib.sha256(b"as it was").hexdigest())])
        assert [results.holds(name) for name in ("a.png", "b.png")] == [True, False]
        Path("a.png").write_bytes(b"as it is")
        assert not results.holds("a.png")
        Path("a.png").unlink()
        assert not results.holds("a.png")


def test_two_processes_at_once_mix_no_rows(folder: Path) -> None:
    """Nor the encodings of their systems."""
    command = [sys.executable, "-c", WRITER]
    ascii_alone = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    with subprocess.Popen([*command, "first"], cwd=folder, env=of_a_user(ROOT) | ascii_alone) as first:
        until(lambda: Path("began").exists(), first)
        second = subprocess.run(
            [*command, "second"], cwd=folder, env=of_a_user(ROOT), capture_output=True, text=True, timeout=60
        )
        Path("go").touch()
        assert first.wait(60) == 0
    assert (second.returncode, second.stderr) == (
        1,
        "error: s.csv is being written by another process; wait for it, or name another file\n",
    )
    assert [found.path for found in read_rows(Path("s.csv")).rows] == [f"firstü{number}.png" for number in range(200)]


@pytest.mark.parametrize(
    ("score", "label", "readable"),
    [(0.5, 0, True), (0.5, 1, True), (0.5000001, 0, True), (0.50001, 0, False), (0.49999, 1, False), (0.6, 1, True)],
)
def test_a_verdict_that_is_not_its_scores_is_refused(score: float, label: int, readable: bool) -> None:
    """At the threshold, but for rounding, it may be either."""
    with ResultsFile(Path("s.csv"), version="x", threshold=0.5) as results:
        results.add([row("a.png", pred_score=0.6, pred_label=1)])
    text = Path("s.csv").read_text()
    header, line = text.splitlines()
    cells = line.split(",")
    names = header.split(",")
    cells[names.index("pred_score")], cells[names.index("pred_label")] = repr(score), str(label)
    Path("s.csv").write_text(f"{header}\n{','.join(cells)}\n")
    if readable:
        assert [found.pred_label for found in read_rows(Path("s.csv")).rows] == [label]
        return
    with pytest.raises(BadData, match=rf"pred_label is {label}, and pred_score .* says the other"):
        read_rows(Path("s.csv"))
