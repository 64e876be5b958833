"""Runs logged truly: real processes that end in every way."""

import json
import signal
import subprocess
import time
from pathlib import Path

import mlflow
import pytest

from pipelines.core.stage import TERMINATED
from pipelines.registry import comparison_view, store
from pipelines.tracking import journal
from pipelines.tracking.sync import sync
from tests.tracking.kit import start, statuses

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
ENDINGS = {  # name: (what the block does, the signal sent to it, the process's exit code, the status in MLflow)
    "ok": ("pass", None, 0, "FINISHED"),
    "exit_0": ("sys.exit(0)", None, 0, "FINISHED"),
    "exception": ("raise RuntimeError('broken')", None, 1, "FAILED"),
    "exit_1": ("sys.exit(1)", None, 1, "FAILED"),
    "sigterm": ("print('in it', flush=True); time.sleep(60)", signal.SIGTERM, TERMINATED, "KILLED"),
    "sigint": ("print('in it', flush=True); time.sleep(60)", signal.SIGINT, 130, "KILLED"),
    "sigkill": ("print('in it', flush=True); time.sleep(60)", signal.SIGKILL, -signal.SIGKILL, "KILLED"),
    "os_exit": ("os._exit(0)", None, 0, "KILLED"),
}


def test_every_way_to_end_has_its_true_status() -> None:
    for name, (body, number, code, _) in ENDINGS.items():
        process = start(name, body)
        if number is not None:
            assert process.stdout is not None
            assert process.stdout.readline() == "in it\n"
            process.send_signal(number)
        said, _none = process.communicate(timeout=60)
        assert process.returncode == code, (name, said)
    sync()
    assert statuses() == {name: status for name, (*_, status) in ENDINGS.items()}
    tags = {
        r.data.tags["category"]: r.data.tags
        for r in mlflow.search_runs(output_format="list", search_all_experiments=True)
    }
    assert "RuntimeError: broken" in tags["exception"]["ended_by"]
    assert "SIGKILL" in tags["sigkill"]["ended_by"]
    assert "ended_by" not in tags["ok"]


def test_a_running_run_is_left_alone_and_shown_by_its_uploader() -> None:
    process = start("alive", "print('in it', flush=True); time.sleep(90)", FASTFLOW_SYNC="now")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "in it\n"
        sync()
        assert journal.pending() != []
        end = time.monotonic() + 60
        while time.monotonic() < end and statuses() != {"alive": "RUNNING"}:
            time.sleep(0.5)
        assert statuses() == {"alive": "RUNNING"}
        process.kill()  # its uploader notices, and logs it without waiting
        while time.monotonic() < end and journal.pending():
            time.sleep(0.2)
        assert statuses() == {"alive": "KILLED"}
    finally:
        process.kill()
        process.communicate(timeout=120)


def test_replaying_again_changes_nothing(folder: Path) -> None:
    body = """
        run.log_params({f"p{i}": i for i in range(150)})
        for step in range(1200):
            run.log_metrics({"loss": 1 / (1 + step), "nan": math.nan}, step=step)
        from pathlib import Path
        Path("a.txt").write_text("kept")
        run.log_files(Path("a.txt"), under="report")
        Path("a.txt").write_text("changed later")
        run.log_dataset(name="d", digest="abc.dir", source="data/d", context="training", rows=3)
    """
    assert start("twice", body).wait(60) == 0
    (pending,) = journal.pending()
    copies = [pending.with_name(f"{'9' * 20}-copy{i}-1") for i in range(2)]
    for copy in copies:  # the same journal again: what an uploader that died before its last step leaves
        subprocess.run(["cp", "-r", str(pending), str(copy)], check=True)
    sync()
    (run,) = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    client = mlflow.MlflowClient()
    steps = [m.step for m in client.get_metric_history(run.info.run_id, "loss")]
    assert sorted([1, *range(1200)]) == sorted(steps)  # the script's first one is another value of step 1
    assert len(client.get_metric_history(run.info.run_id, "nan")) == 1200
    assert len(run.data.params) == 150
    assert run.inputs is not None
    assert [(d.dataset.name, d.dataset.digest) for d in run.inputs.dataset_inputs] == [("d", "abc.dir")]
    uploaded = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report/a.txt")
    assert uploaded == "kept"
    assert journal.pending() == []


def test_a_torn_last_line_is_left_out_and_the_run_counts_as_killed() -> None:
    process = start("torn", "os._exit(0)")
    assert process.wait(60) == 0
    (pending,) = journal.pending()
    with (pending / "journal.jsonl").open("a") as file:
        file.write('{"op": "metrics", "val')
    sync()
    assert statuses() == {"torn": "KILLED"}


def test_children_of_a_retraining_stand_below_it() -> None:
    parent = "k" * 32
    for name in ("one", "two"):
        process = start(name, "pass", FASTFLOW_PARENT_RUN=f"{parent} retraining today")
        assert process.wait(60) == 0
    sync()
    runs = mlflow.search_runs(experiment_names=["fastflow"], output_format="list")
    (above,) = [r for r in runs if r.data.tags.get("run_key") == parent]
    below = [r.data.tags["category"] for r in runs if r.data.tags.get("mlflow.parentRunId") == above.info.run_id]
    assert sorted(below) == ["one", "two"]
    assert above.info.run_name == "retraining today"


def test_the_view_comes_to_an_older_store_and_a_persons_own_stays() -> None:
    client = store.connect()
    number = store.experiment_id(client)
    assert client.get_experiment(number).tags == {comparison_view.TAG: comparison_view.SAVED}
    client.delete_experiment_tag(number, comparison_view.TAG)
    assert store.connect().get_experiment(number).tags == {comparison_view.TAG: comparison_view.SAVED}
    older = json.dumps(json.loads(comparison_view.SAVED) | {"state": "{}"})  # by an earlier version of this project
    client.set_experiment_tag(number, comparison_view.TAG, older)
    assert store.connect().get_experiment(number).tags == {comparison_view.TAG: comparison_view.SAVED}
    client.set_experiment_tag(number, comparison_view.TAG, "my own")
    assert store.connect().get_experiment(number).tags == {comparison_view.TAG: "my own"}
