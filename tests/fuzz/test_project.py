"""What a project keeps beside its models: params.yaml, decisions, findings, journals, records, locks."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from fastflow.roi import roi_mask
from pipelines.core.epoch_lines import read_epoch
from pipelines.core.gate_params import Gate
from pipelines.core.lock import describe, locked
from pipelines.core.metrics_file import read_metrics
from pipelines.core.params import Params, read_params
from pipelines.core.paths import index_file
from pipelines.core.pixel_rule import read_roi, read_rule
from pipelines.core.rwlock import RWLOCK, process_of
from pipelines.data.dataset_card import dataset_card
from pipelines.download import read_record
from pipelines.reporting.decision import in_words, read_decision
from pipelines.tracking import journal
from pipelines.tracking.history import names_of, results_of, unsent_nights
from tests.fuzz.kit import ROOT, fuzz, read_or_refused
from tests.fuzz.mutants import files, json_files, mutated_bytes, mutated_tree, text

PARAMS = (ROOT / "params.yaml").read_bytes()


def numbers_in(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers_in(inner)]
    if isinstance(value, list | tuple):
        return [number for inner in value for number in numbers_in(inner)]
    return [value] if isinstance(value, float) else []


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_params_yaml(here: Path) -> None:
    file = here / "params.yaml"
    file.write_bytes(PARAMS)
    as_json = mutated_tree(read_params(file).model_dump()).map(lambda value: text(value).encode())

    def check(content: bytes) -> None:
        file.write_bytes(content)
        found: Params | None = read_or_refused(lambda: read_params(file), file)
        if found is not None:
            sections = found.model_dump()
            free = (
                sections["model"].pop("overrides"),
                sections["gate"].pop("categories"),
            )  # checked where they are used
            assert all(map(math.isfinite, numbers_in(sections))), free
            assert isinstance(found.gate, Gate)

    fuzz("params.yaml", st.one_of(files(PARAMS), as_json, as_json.flatmap(mutated_bytes)), check)


def test_aliases_that_repeat_a_value_two_to_the_fifty_times_cost_nothing(here: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 50)), "seed: *a49"]
    (here / "params.yaml").write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"params\.yaml: seed is \[.*\.\.\..*\(list\); it should be a valid integer"):
        read_params()


@pytest.mark.parametrize("content", [b"seed: 2001-99-99", b"\xff", b"[" * 100_000, b"? {a: 1}\n: 2", b"a: \0"])
def test_what_is_no_yaml_is_named(here: Path, content: bytes) -> None:
    (here / "params.yaml").write_bytes(content)
    with pytest.raises(ValueError, match=r"^params\.yaml"):
        read_params()


DECISION = {
    "category": "plates", "verdict": "refused", "challenger": "2", "champion": "1", "reason": "",
    "limits": {"epsilon": 0.1},
    "rules": [{"name": "misses", "outcome": "failed", "sentence": "2 of 3", "figures": {"lost": {"cut": 4}}}],
}  # fmt: skip
FINDINGS = [
    {
        "policy": "quarantine",
        "kind": "unreadable",
        "path": "a.png",
        "message": "cut",
        "remedy": "mend",
        "image": "a.png",
    },
    {"policy": "report", "kind": "odd_size", "path": "b.png", "message": "small", "remedy": "look", "image": ""},
]
RUN = {"op": "run", "key": "k", "name": "n", "time": 1, "tags": {"category": "plates", "categories": "plates, gear"}}
ENTRIES = [RUN, {"op": "metrics", "time": 2, "step": 1, "values": {"loss": 0.5}}, {"op": "end", "status": "FINISHED"}]
NIGHT = [{"category": "plates", "outcome": "trained", "verdict": "refused", "reason": None}]
LOCK = {"pid": 1, "host": "h", "since": "2026-01-01 00:00:00"}
DVC_LOCK = {"write": {"models/plates": {"pid": 1, "cmd": "x"}}, "read": {"data/plates": [{"pid": 1, "cmd": "y"}]}}
RECORD = {"data_set": "MVTec AD", "layout": 1, "files": {"a.png": "0" * 64}}


def decision(folder: Path) -> None:
    found = read_decision(folder)
    assert all(map(math.isfinite, numbers_in(found)))
    assert not found or (in_words(found) and found["verdict"])


def findings(folder: Path) -> None:
    import pandas as pd

    rows = pd.DataFrame({"split": ["train"], "defect_type": ["good"], "image_path": ["a.png"], "sha256": ["0" * 64]})
    json.dumps(dataset_card("plates", folder, rows))


def metrics(folder: Path) -> None:
    assert all(map(math.isfinite, numbers_in(read_metrics("plates"))))


def rule(folder: Path) -> None:
    found, roi = read_rule("plates"), read_roi("plates")
    assert roi is None or roi_mask(roi).any()
    assert found.page is None or found.page >= 1
    assert found.value_range is None or -math.inf < found.value_range[0] < found.value_range[1] < math.inf


PIXELS = {"value_range": [0.0, 4095.0], "page": 2, "roi": {"shape": [3, 4], "runs": "5 2 5"}}
READERS: dict[str, tuple[object, Callable[[Path], object]]] = {
    "gate.json": (DECISION, decision),
    f"{index_file('plates').with_suffix('')}.findings.json": (FINDINGS, findings),
    f"{index_file('plates').with_suffix('')}.pixels.json": (PIXELS, rule),
    "reports/plates/metrics.json": (
        {"category": "plates", "aupro": None, "loss": 0.5, "undefined": {"aupro": "no"}},
        metrics,
    ),
    "source.json": (RECORD, read_record),
    str(RWLOCK): (DVC_LOCK, lambda folder: process_of("plates")),
}


@pytest.mark.parametrize("name", READERS)
def test_json_of_a_project(here: Path, name: str) -> None:
    valid, read = READERS[name]
    file = here / name
    file.parent.mkdir(parents=True, exist_ok=True)

    def check(content: bytes) -> None:
        file.write_bytes(content)
        read_or_refused(lambda: read(here), Path(name).name)

    fuzz(name, json_files(valid), check)


def test_the_record_of_a_locks_holder(here: Path) -> None:
    def check(content: bytes) -> None:
        Path("x.lock").write_bytes(content)
        with locked(here / "x.lock") as holder:
            assert describe(holder)

    fuzz("a lock's holder", json_files(LOCK), check)


def test_a_line_of_an_epoch() -> None:
    valid = {"epoch": 1, "epochs": 2, "loss": 0.5, "seconds_left": 3.0}

    def check(content: bytes) -> None:
        found = read_epoch("@epoch " + content.decode(errors="replace"))
        assert found is None or found.epochs > 0

    fuzz("lines of epochs", json_files(valid), check)


def lines(*entries: object) -> bytes:
    return "".join(json.dumps(entry) + "\n" for entry in entries).encode()


JOURNALS = st.one_of(
    files(lines(*ENTRIES)),
    st.sampled_from(range(3)).flatmap(
        lambda n: mutated_tree(ENTRIES[n]).map(
            lambda value: lines(*ENTRIES[:n]) + text(value).encode() + b"\n" + lines(*ENTRIES[n + 1 :])
        )
    ),
)


def test_journals(here: Path) -> None:
    folder = journal.JOURNALS / "0001-x-1"
    (folder / "files").mkdir(parents=True)

    def check(content: bytes) -> None:
        (folder / "journal.jsonl").write_bytes(content)
        entries = read_or_refused(lambda: journal.read(folder), folder)
        assert entries is None or all(isinstance(entry["op"], str) for entry in entries)
        named = journal.categories_of(folder)
        assert named is None or all(isinstance(name, str) for name in named)
        assert all(math.isfinite(night.start) for night in unsent_nights())

    fuzz("journals", JOURNALS, check)


def test_a_damaged_journal_of_the_past_hides_no_other(here: Path) -> None:
    for number, content in ((1, lines(RUN)), (2, b"{\n"), (3, b"")):
        folder = journal.DONE / f"000{number}-x-1"
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_bytes(content)
        (folder / "result.json").write_text(json.dumps({"run_id": str(number)}))
    assert journal.result_of("k") == {"run_id": "1"}


def test_results_of_a_night() -> None:
    documented = (ValueError, TypeError, LookupError, AttributeError, RecursionError)  # as its callers expect

    def check(content: bytes) -> None:
        try:
            found = results_of(content.decode(errors="replace"))
        except documented:
            return
        assert all(isinstance(value, str) for row in found.values() for value in row.values())

    fuzz("night.json", json_files(NIGHT), check)
    assert names_of({"categories": "a, , b"}) == ["a", "b"]
