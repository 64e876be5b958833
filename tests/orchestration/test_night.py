"""What a person is shown and told after a night."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.orchestration import night
from pipelines.orchestration.flow_artifacts import Result, links_of
from tests.conftest import ROOT


def test_a_category_leads_to_its_run_and_its_report() -> None:
    run = "http://localhost:5000/#/experiments/1/runs/ab12"
    assert (
        links_of(Result("a", "trained", "", run=run))
        == f" · [run]({run}) · [report]({run}/artifacts/report/report.html)"
    )
    assert links_of(Result("a", "trained", "")) == ""


def test_people_are_told_of_what_failed_was_refused_or_is_unclear(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTFLOW_SYNC", "later")
    decided = [{"verdict": verdict} for verdict in ("promoted", "refused", "inconclusive")]
    results = [Result(c, "trained", "why" * (c != "a"), 1, d) for c, d in zip("abc", decided, strict=True)]
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(night, "retrain_each", lambda *_, **__: [*results])
    monkeypatch.setattr(night, "show_results", lambda *_, **__: None)
    monkeypatch.setattr(night, "notify", lambda what, text: told.append((what, text)))

    class Report:
        def with_options(self, **_: object) -> Any:
            return lambda *_, **__: "ran"

    monkeypatch.setattr(night, "stage_task", Report())
    night.retrain_chosen(["weave"], force=False, promote=True, overrides={})
    assert told == [("refused", "b trained, refused (why)"), ("inconclusive", "c trained, inconclusive (why)")]
    results.append(Result("d", "failed", "no masks"))
    with pytest.raises(night.RetrainingFailed):
        night.retrain_chosen(["weave"], force=False, promote=True, overrides={})
    assert told[2] == ("failed", "d failed (no masks)")
