"""The flows' own logic, without a server; the flows themselves run in test_pipeline and test_services."""

import logging
import os
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from pipelines.core.dvc import StageFailed, run_command
from pipelines.core.params import BadParams, read_params, read_yaml
from pipelines.core.params_edit import write_values
from pipelines.core.stage import FAILED, INCONCLUSIVE, REFUSED, SERVER_AWAY, Failed
from pipelines.orchestration import flow_tasks, flows
from pipelines.orchestration.flow_artifacts import Result, run_name, summary_of, table_of
from pipelines.orchestration.flow_tasks import category_task, gate_task
from pipelines.orchestration.night import choose_categories
from pipelines.orchestration.schedule import deployment_of
from pipelines.orchestration.slots import Slots
from pipelines.orchestration.stage_tasks import is_temporary
from pipelines.promotion.pending import pending_categories
from tests.conftest import ROOT, as_shipped


class Ended:
    """A task's final state, holding its error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def result(self, raise_on_failure: bool) -> Exception:
        return self.error


@pytest.mark.parametrize(
    ("exit_code", "retried"), [(5, True), (255, True), (-9, True), (1, False), (2, False), (3, False)]
)
def test_only_faults_that_can_pass_are_retried(exit_code: int, retried: bool) -> None:
    assert is_temporary(None, None, Ended(StageFailed("train@a", exit_code, "error: x"))) is retried


def test_categories_not_in_params_are_named() -> None:
    params = read_params(ROOT / "params.yaml")
    data = params.data.model_copy(update={"categories": ["weave", "gear"]})
    params = params.model_copy(update={"data": data})  # whatever the file has come to name
    assert choose_categories(None, params) == ["weave", "gear"]
    assert choose_categories(["gear", "gear"], params) == ["gear"]
    with pytest.raises(ValueError, match=r"^no category 'wave' in params\.yaml .*did you mean 'weave'"):
        choose_categories(["weave", "wave"], params)


def test_failures_stand_on_top_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "elsewhere"
    (folder / "reports/good").mkdir(parents=True)
    numbers = '{"category": "good", "image_auroc": 0.9, "pixel_auroc": 0.8, "aupro": null}'
    (folder / "reports/good/metrics.json").write_text(numbers)
    rows = table_of([Result.of("good", "ran", "", 2.04, folder=folder), Result("bad", "failed", "no masks", 1.0)])
    assert [row["category"] for row in rows] == ["bad", "good"]
    assert rows[0]["reason"] == "no masks"
    assert rows[0]["image_auroc"] is None
    assert (rows[1]["image_auroc"], rows[1]["seconds"]) == (0.9, 2.0)


def test_the_summary_names_each_outcome_failures_first() -> None:
    results = [Result("a", "trained", "", 1), Result("b", "failed", "no masks", 1), Result("c", "up to date", "", 0)]
    assert summary_of(results) == "b failed (no masks); a trained; c up to date"


def test_a_night_shows_the_verdict_and_what_it_rests_on() -> None:
    counted = {"count": 1, "defective_images": 24, "rate": 1 / 24, "upper": 0.183, "allowed": 0.3}
    decision = {"verdict": "inconclusive", "champion": "3", "challenger": "4"}
    decision["rules"] = [{"name": "misses", "outcome": "passed", "sentence": "", "figures": counted}]  # type: ignore[assignment]
    (row,) = table_of([Result("a", "trained", "aupro: unclear", 1, decision)])
    assert (row["verdict"], row["champion"], row["false_rejects"]) == ("inconclusive", "3", "")
    assert row["misses"] == "1 of 24, at most 18.3%"
    promoted = Result("b", "trained", "", 1, decision | {"verdict": "promoted"})
    assert table_of([promoted])[0]["champion"] == "3 → 4"
    assert summary_of([promoted]) == "b trained, promoted"
    assert run_name([promoted]) == "b: trained, promoted"
    assert run_name([promoted, promoted, Result("c", "failed", "no masks")]) == (
        "3 categories: 2 trained, 2 promoted, 1 failed"
    )


def test_each_category_at_work_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    params = read_params(ROOT / "params.yaml")
    params = params.model_copy(update={"retrain": params.retrain.model_copy(update={"parallel": 3})})
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    slots = Slots(params)
    with slots.acquired() as a, slots.acquired() as b:
        assert [p["CUDA_VISIBLE_DEVICES"] for p in (a, b)] == ["4", "6"]
        with slots.acquired() as c:
            assert c["CUDA_VISIBLE_DEVICES"] == "4"  # three categories, two GPUs
    with slots.acquired() as d:
        assert d in (a, b, c)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    with Slots(params).acquired() as slot:
        assert slot == {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // 3))}


def test_the_gate_is_asked_until_it_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A night whose model store was away, or that was killed, leaves its model to the next: DVC finds nothing stale."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flow_tasks, "get_run_logger", lambda: logging.getLogger())
    monkeypatch.setattr(flow_tasks, "show_category", lambda result: None)
    monkeypatch.setattr(flow_tasks, "gate_task", gate_task.fn)  # without a server
    slots, asked = Slots(read_params()), []

    def night(evaluated: str, gate: int = 0, *, promote: bool = True) -> str:
        def stages(category: str, **settings: object) -> dict[str, str]:
            if evaluated == "killed":
                raise KeyboardInterrupt
            return {"train@a": evaluated, "evaluate@a": evaluated}

        def command(name: str, words: list[str], **settings: object) -> None:
            asked.append(name)
            if gate:
                raise StageFailed(name, gate, "error: why")

        monkeypatch.setattr(flow_tasks, "run_stages", stages)
        monkeypatch.setattr(flow_tasks, "run_command", command)
        asked.clear()
        with suppress(KeyboardInterrupt, StageFailed):
            return category_task.fn("a", slots=slots, force=False, promote=promote, environment={}).reason
        return "it raised"

    assert (night("ran", promote=False), asked, pending_categories()) == ("", [], set())
    assert (night("ran", SERVER_AWAY), pending_categories()) == ("why; the next retraining asks the gate again", {"a"})
    assert (night("unchanged", promote=False), asked, pending_categories()) == ("", [], {"a"})
    assert (night("ran", INCONCLUSIVE), pending_categories()) == ("why", set())
    assert (night("unchanged", SERVER_AWAY), asked, pending_categories()) == ("", [], set())
    assert (night("ran", SERVER_AWAY), pending_categories()) == ("why; the next retraining asks the gate again", {"a"})
    assert (night("unchanged", REFUSED), asked, pending_categories()) == ("why", ["gate@a"], set())
    assert (night("unchanged"), asked, pending_categories()) == ("", [], set())
    assert (night("killed"), asked, pending_categories()) == ("it raised", [], {"a"})
    assert (night("unchanged", FAILED), asked, pending_categories()) == ("it raised", ["gate@a"], {"a"})
    assert (night("unchanged"), asked, pending_categories()) == ("", ["gate@a"], set())


def test_a_place_is_waited_for_and_comes_back_after_an_error() -> None:
    slots = Slots(read_params(ROOT / "params.yaml"))
    with pytest.raises(RuntimeError), slots.acquired():
        raise RuntimeError
    with ThreadPoolExecutor(1) as pool:
        with slots.acquired():
            waiting = pool.submit(lambda: slots.acquired().__enter__())
            with pytest.raises(TimeoutError):
                waiting.result(0.1)
        waiting.result(5)


def test_epochs_are_set_where_they_stand_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = re.sub(r"(?m)^  epochs: \S+ +#", "  epochs: null   #", (ROOT / "params.yaml").read_text())
    path.write_text(text)
    write_values({"train.epochs": 7}, path)
    assert read_params(path).train.epochs == 7
    changed = [(a, b) for a, b in zip(text.splitlines(), path.read_text().splitlines(), strict=True) if a != b]
    ((before, after),) = changed
    assert after == before.replace("null", "7   ", 1)  # the comment keeps its column
    with pytest.raises(BadParams, match="greater than or equal to 1"):
        write_values({"train.epochs": 0}, path)
    assert read_params(path).train.epochs == 7


def test_a_stage_that_takes_too_long_is_ended_and_not_tried_again() -> None:
    start = time.monotonic()
    with pytest.raises(StageFailed, match=r"ended after 0\.00\d+ minutes: retrain\.minutes") as caught:
        run_command("slow@a", [sys.executable, "-c", "import time; time.sleep(60)"], on_line=print, seconds=0.5)
    assert time.monotonic() - start < 20
    assert not is_temporary(None, None, Ended(caught.value))
    assert run_command("quick@a", [sys.executable, "-c", "pass"], on_line=print, seconds=60) == "unchanged"


def test_every_deployment_names_a_flow_a_time_zone_and_only_parameters_that_it_has() -> None:
    entries = read_yaml(ROOT / "prefect.yaml")["deployments"]
    made = {deployment.name: deployment for deployment in map(deployment_of, entries)}
    assert made.keys() == {"nightly", "weekly", "daily", "on-demand", "pool"}
    assert [s.schedule.timezone for d in made.values() for s in d.schedules] == ["UTC"] * 3
    schema = made["nightly"]._parameter_openapi_schema.properties
    assert schema.keys() == {"categories", "epochs", "force", "promote"}
    assert all("description" in entry for entry in schema.values())
    assert schema["epochs"]["anyOf"][0]["minimum"] == 1
    known = read_params().data.categories
    assert schema["categories"]["anyOf"][0]["items"]["enum"] == known
    assert made["on-demand"]._parameter_openapi_schema.properties["category"]["enum"] == known
    assert not made["on-demand"].enforce_parameter_schema  # the flow refuses in a sentence


@as_shipped
def test_a_drift_check_asks_for_challengers_of_what_changed_and_never_promotes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "params.yaml").read_text().replace("  recent: null  ", '  recent: "incoming/{category}"  ')
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    codes, asked = {"label": 1, "gear": 3}, []  # 1: it changed; 3: no verdict

    def looked_at(category: str) -> None:
        if category in codes:
            raise StageFailed(f"drift@{category}", codes[category], f"error: {category} is odd")

    monkeypatch.setattr(flows, "drift_task", looked_at)
    messages: list[str] = []
    monkeypatch.setattr(flows, "notify", lambda what, text: messages.append(text))

    def deployed(name: str, **settings: object) -> None:
        assert len(messages) == 1, "a server that is away would cost the alarm"
        asked.append((name, settings["parameters"]))

    monkeypatch.setattr(flows, "run_deployment", deployed)
    with pytest.raises(Failed, match=r"label is odd.*gear is odd"):
        flows.check_drift.fn(ask_for_challenger=True)
    assert asked == [("retrain-all/nightly", {"categories": ["label"], "force": True, "promote": False})]
    with pytest.raises(Failed):
        flows.check_drift.fn()
    assert len(asked) == 1
    assert flows.check_drift.fn(["weave"]).startswith("1 categories look as in calibration")
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    assert "drift.recent" in flows.check_drift.fn()
