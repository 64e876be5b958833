"""Files of scores, CSV and JSON lines, and the scores that an evaluation left."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from fastflow.errors import BadData
from pipelines.reporting.pages.report import render
from pipelines.reporting.pages.result import read_result
from pipelines.scoring.labelled import labelled_scores
from pipelines.scoring.results_file import ResultsFile
from pipelines.scoring.rows import Row, as_csv, read_rows
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import files, json_files

ROWS = [
    Row("a.png", 0.25, 0, 0.5, "x", 1.5, 640, 480, 90.0, 20.0, 0.5, "f00d"),
    Row('ü,"b"\n.png', 0.75, 1, 0.5, "x", 1.5, 640, 480, 90.0, 20.0, 0.5, "f11d"),
]
CSV = "".join(map(as_csv, [Row._fields, *ROWS])).encode()


def check_rows(path: Path, content: bytes, *, more: bool) -> None:
    path.write_bytes(content)
    found = read_or_refused(lambda: read_rows(path, more=more), path)
    if found is None:
        return
    assert found.size <= len(content)
    for row in found.rows:
        assert all(math.isfinite(value) for value in row if isinstance(value, float))
        assert row.pred_label in (0, 1)
        assert 0 < row.width < 2**31
        assert 0 < row.height < 2**31


@pytest.mark.parametrize("more", [False, True])
def test_csv(tmp_path: Path, more: bool) -> None:
    fuzz(
        f"score CSV, {more=}",
        files(CSV, CSV.replace(b",", b";")),
        lambda c: check_rows(tmp_path / "s.csv", c, more=more),
    )


def test_json_lines(tmp_path: Path) -> None:
    lines = json_files(ROWS[0]._asdict()).map(lambda one: one + b"\n" + json.dumps(ROWS[1]._asdict()).encode() + b"\n")
    fuzz("score JSON lines", lines, lambda content: check_rows(tmp_path / "s.jsonl", content, more=False))


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_file_that_is_resumed_keeps_its_rows(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"s.{suffix}"
    valid = CSV if suffix == "csv" else "".join(json.dumps(row._asdict()) + "\n" for row in ROWS).encode()

    def check(content: bytes) -> None:
        path.write_bytes(content)
        before = read_or_refused(lambda: read_rows(path).rows, path) or []

        def resume() -> None:
            with ResultsFile(path, version="x", threshold=0.5) as results:
                results.add([ROWS[0]._replace(path="new.png")])

        read_or_refused(resume, path)
        if path.read_bytes() != content:
            assert read_rows(path).rows[: len(before)] == before
            assert read_rows(path).rows[-1].path == "new.png"

    fuzz(f"score file resumed, {suffix}", files(valid), check)


EVALUATED = (
    b"image_path,sha256,defect_type,gt_label,pred_score,pred_label,model\n"
    b"a.png,f00d,good,0,0.25,0,x\n"
    b"b.png,f11d,cut,1,0.75,1,x\n"
)
METRICS: dict[str, Any] = {"category": "plates", "image_auroc": 0.9, "aupro": None, "undefined": {"aupro": "no mask"}}


def test_scores_of_an_evaluation(folder: Path) -> None:
    path = Path("reports/plates/scores.csv")
    path.parent.mkdir(parents=True)

    def check(content: bytes) -> None:
        path.write_bytes(content)
        # the model is asked for once the scores are numbers
        found = read_or_refused(lambda: labelled_scores("plates", needed=False), path, "models/plates")
        assert found is None or found.empty

    fuzz("scores.csv of an evaluation", files(EVALUATED), check)


RESULT = {
    "metrics.json": METRICS,
    "intervals.json": {"image_auroc": [0.8, 0.95]},
    "about.json": {"commit": "abc", "overrides": "train.epochs=5"},
    "dataset.json": {
        "source": "data/plates", "licence": "MIT", "dvc_md5": "0", "left_out": 0, "noted": 0, "findings": [], "more": 0,
        "counts": [{"split": "train", "defect_type": "good", "images": 8}],
    },
    "gate.json": {
        "category": "plates", "verdict": "refused", "challenger": "2", "champion": "1", "reason": "",
        "rules": [{"name": "misses", "outcome": "failed", "sentence": "2 of 3", "figures": {}}],
    },
    "pictures/index.json": {
        "low": 0.1, "threshold": 0.5, "groups": {"misses": [0]},
        "cases": [
            {
                "image": "0.webp", "heat": "0.webp", "contours": "0.webp", "image_path": "b.png", "defect_type": "cut",
                "gt_label": 1, "pred_score": 0.75,
                "why": {"said": ["It is"], "place": "0.webp", "similar": "0.webp", "nearest": "a.png"},
            }
        ],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", RESULT)
def test_results_of_an_evaluation(tmp_path: Path, name: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/0.webp").write_bytes(b"a picture")
    (tmp_path / "scores.csv").write_bytes(EVALUATED)
    for other, content in RESULT.items():
        (tmp_path / other).write_text(json.dumps(content))

    def check(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        read_or_refused(lambda: render([read_result(tmp_path)], title="t", subtitle="s", about={}), tmp_path)

    fuzz(f"reports/<category>/{name}", json_files(RESULT[name]), check)


@pytest.mark.parametrize("name", ["scores.csv", "roc.csv", "tradeoff.csv", "defects.csv"])
def test_tables_of_an_evaluation(tmp_path: Path, name: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "scores.csv").write_bytes(EVALUATED)
    valid = {
        "scores.csv": EVALUATED,
        "roc.csv": b"fpr,tpr\n0.0,0.0\n0.5,1.0\n",
        "defects.csv": b"defect_type,pixel_auroc,aupro\ncut,0.9,\n",
        "tradeoff.csv": b"rate,threshold,false_reject_count,false_reject_total,false_reject_low,false_reject_high,"
        b"miss_count,miss_total,miss_low,miss_high\n0.01,0.5,1,100,0.0,0.05,2,50,0.01,0.1\n",
    }[name]

    def check(content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        read_or_refused(lambda: read_result(tmp_path), tmp_path)

    fuzz(f"reports/<category>/{name}", files(valid), check)


@pytest.mark.parametrize(("name", "value"), [("pred_label", 2), ("pred_label", -1), ("width", 0), ("height", 10**12)])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_number_that_no_row_has_is_refused(tmp_path: Path, suffix: str, name: str, value: int) -> None:
    row = ROWS[0]._replace(**{name: value})  # type: ignore[arg-type]
    path = tmp_path / f"s.{suffix}"
    path.write_text(as_csv(Row._fields) + as_csv(row) if suffix == "csv" else json.dumps(row._asdict()) + "\n")
    with pytest.raises(BadData, match=rf"line [12] cannot be read: {name} is '?{value}'?; allowed: "):
        read_rows(path)


@pytest.mark.parametrize(("name", "value"), [("pred_label", 0.5), ("pred_label", True), ("path", None), ("model", [])])
def test_a_value_of_json_is_not_converted(tmp_path: Path, name: str, value: object) -> None:
    path = tmp_path / "s.jsonl"
    path.write_text(json.dumps(ROWS[0]._asdict() | {name: value}) + "\n")
    with pytest.raises(BadData, match=rf"line 1 cannot be read: {name} is .*, which is no (int|str)"):
        read_rows(path)


@pytest.mark.parametrize("content", [b"", b"\x80", b"sha256,model\nf00d,x\n", EVALUATED.replace(b",0.75,", b",x,")])
def test_damaged_scores_of_an_evaluation_are_named(folder: Path, content: bytes) -> None:
    path = folder / "reports/plates/scores.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(
        BadData, match=r"scores\.csv (is damaged|holds a score that is no number).*evaluate stage again"
    ):
        labelled_scores("plates", needed=False)


@pytest.mark.parametrize("number", ["nan", "inf", "NaN"])
def test_a_score_that_is_no_number_is_in_no_report(tmp_path: Path, number: str) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "scores.csv").write_bytes(EVALUATED.replace(b"0.75", number.encode()))
    with pytest.raises(BadData, match=r"holds a score that is no number|cannot read the result of its evaluation"):
        read_result(tmp_path)


@pytest.mark.parametrize("name", RESULT)
@pytest.mark.parametrize("content", ["[" * 100_000, "[]", '{"a": NaN}', '{"a": 1e400}', "\xff"])
def test_damaged_json_of_an_evaluation_is_named(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "scores.csv").write_bytes(EVALUATED)
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(BadData, match=rf"{name} is damaged.*; (run its evaluate stage|remove it)"):
        read_result(tmp_path)
