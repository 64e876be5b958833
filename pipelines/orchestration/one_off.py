"""A retraining with epochs of its own, for that run alone.

Training, evaluation and gate run in .state/one_off/<category>/, whose params.yaml has those epochs and whose other
entries are links to the project's. So params.yaml, dvc.lock, models/ and reports/ say afterwards what they said before,
and the next night finds nothing to do: DVC never records this model as one of params.yaml's. It is a version in
MLflow's registry, with the tag `overrides` on its run, and champion where the gate promotes it.
"""

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE

from fastflow.files import write_bytes
from pipelines.core import override
from pipelines.core.params import PARAMS_FILE, read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import REPORT, STATE, report_folder
from pipelines.orchestration.flow_artifacts import NO_DECISION, Result, show_category
from pipelines.orchestration.flow_tasks import asked_gate
from pipelines.orchestration.slots import Slots
from pipelines.orchestration.stage_tasks import HERE, cancelled_when_ending, run_each, stages_of, stop_when_ending
from pipelines.reporting.decision import FILE as DECISION

FOLDER = STATE / "one_off"  # one for each category; one that was killed resumes there
MADE = {"models", "reports", PARAMS_FILE.name, REPORT.name}  # by the stages that run there, or written for them
STAGES = ("train", "evaluate")


@task(task_run_name="{category}", cache_policy=NO_CACHE)
@cancelled_when_ending
def one_off_task(
    category: str, *, slots: Slots, overrides: Mapping[str, object], promote: bool, environment: Mapping[str, str]
) -> Result:
    """train, evaluate and gate of one category with other values; what comes before them is DVC's, as always."""
    start = time.perf_counter()
    with slots.acquired() as slot:
        here = {**environment, **slot}
        before = [stage for stage in stages_of(category) if stage.partition("@")[0] not in STAGES]
        run_each(before, environment=here)
        folder = make_folder(category, overrides)
        with_values = override.environment(overrides, HERE)
        here |= with_values
        commands = {f"{s}@{category}": [sys.executable, "-m", f"pipelines.{s}", "--category", category] for s in STAGES}
        run_each(commands, environment=here, commands=commands, folder=folder)
        kept, decision = "", NO_DECISION
        if promote:
            kept, decision = asked_gate(category, environment=with_values, folder=folder)
            stop_when_ending("the gate")
        if decision:  # of this category's champion: the project's report shows it
            place = report_folder(category)
            place.mkdir(parents=True, exist_ok=True)
            write_bytes(place / DECISION, (folder / place / DECISION).read_bytes())
        result = Result.of(category, "trained", kept, time.perf_counter() - start, decision, folder=folder)
        show_category(result, folder=folder)
    shutil.rmtree(folder)
    return result


def make_folder(category: str, overrides: Mapping[str, object], *, project: Path = HERE) -> Path:
    """The folder that stages run in. Raises BadParams where params.yaml does not take the values."""
    project = project.resolve()
    folder = project / FOLDER / category
    folder.mkdir(parents=True, exist_ok=True)
    for entry in project.iterdir():
        link = folder / entry.name
        if not entry.name.startswith(".") and entry.name not in MADE and not link.is_symlink():
            link.symlink_to(entry)
    file = folder / PARAMS_FILE.name
    shutil.copyfile(project / PARAMS_FILE.name, file)
    root = read_params(file).data.root
    values = dict(overrides)
    if root.startswith(".."):  # beside the project, which the folder is not
        values["data.root"] = str((project / root).resolve())
    write_values(values, file)
    return folder
