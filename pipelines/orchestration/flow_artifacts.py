"""What a retraining shows in Prefect's pages while it runs and when it is done."""

import json
import re
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self
from urllib.parse import urlencode
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client

from fastflow.files import write_text
from pipelines.core.epoch_lines import EpochLine
from pipelines.core.metrics_file import read_metrics
from pipelines.core.paths import model_folder, report_folder
from pipelines.core.percent import apart
from pipelines.core.stage import without_secrets
from pipelines.core.tracking_uri import tracking_uri
from pipelines.core.training_files import run_key_of
from pipelines.reporting.decision import KEPT
from pipelines.tracking import journal
from pipelines.tracking.history import NIGHT, NIGHT_FOLDER
from pipelines.tracking.runs import TrackedRun

SHOWN = ("image_auroc", "pixel_auroc", "aupro")
PAGE = "report/report.html"  # of a run's artifacts, shown by MLflow as it is
UPDATE_SECONDS = 2.0  # between two updates


NO_DECISION: Mapping[str, Any] = MappingProxyType({})
NO_METRICS: Mapping[str, Any] = MappingProxyType({})


class Result(NamedTuple):
    """The outcome of a category: trained, restored, up to date or failed; the reason of a failure or refusal; the
    seconds it took, unless it failed; the gate's decision, where it was asked and answered; its metrics; the address of
    its MLflow run, where a server has that."""

    category: str
    outcome: str
    reason: str
    seconds: float | None = None
    decision: Mapping[str, Any] = NO_DECISION
    metrics: Mapping[str, Any] = NO_METRICS
    run: str = ""

    @classmethod
    def of(
        cls,
        category: str,
        outcome: str,
        reason: str = "",
        seconds: float | None = None,
        decision: Mapping[str, Any] = NO_DECISION,
        *,
        folder: Path = Path(),
    ) -> Self:
        """With metrics and run of what the category's stages left in `folder`."""
        return cls(
            category, outcome, reason, seconds, decision, read_metrics(category, folder), run_page(category, folder)
        )

    def words(self) -> list[str]:
        """The outcome, and the gate's verdict where it decided."""
        return [self.outcome, *([self.decision["verdict"]] if self.decision else [])]


class Progress:
    """A progress bar in Prefect's pages. A server that does not answer costs the bar, not the work."""

    def __init__(self, key: str, description: str) -> None:
        self.key, self.description, self._updated = key, description, 0.0
        self._artifact: UUID | None = None

    def show(self, percent: float, description: str = "", *, at_once: bool = False) -> None:
        if not at_once and time.monotonic() - self._updated < UPDATE_SECONDS:
            return
        self._updated = time.monotonic()
        text = description or self.description
        if self._artifact is None:
            made = create_progress_artifact(percent, key=self.key, description=text)
            assert isinstance(made, UUID)  # not a coroutine: no loop runs in this thread
            self._artifact = made
        else:
            update_progress_artifact(self._artifact, percent, description=text)


class EpochProgress(Progress):
    """That of a training."""

    def show_epoch(self, found: EpochLine) -> None:
        text = (
            f"{self.description}: epoch {found.epoch} of {found.epochs}, loss {found.loss:.4f} bits/dim, "
            f"{found.seconds_left:.0f} s left"
        )
        self.show(100 * found.epoch / found.epochs, text, at_once=found.epoch == found.epochs)


def show_results(results: list[Result], *, report: str) -> None:
    """A table with a row a category, failures on top, and a line for each in words."""
    create_table_artifact(table_of(results), key="results", description=f"Retraining. {report}")
    lines = "\n".join(f"- {summary_of([result])}{links_of(result)}" for result in results)
    create_markdown_artifact(lines, key="summary", description="Outcome of each category")


def log_night(run: TrackedRun, results: Sequence[Result]) -> None:
    """Each category's outcome, verdict and reason, with the retraining's run."""
    rows = [
        {"category": r.category, "outcome": r.outcome, "verdict": r.decision.get("verdict", ""), "reason": r.reason}
        for r in results
    ]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / NIGHT
        write_text(file, json.dumps(rows, indent=2) + "\n")
        run.log_files(file, under=NIGHT_FOLDER)


def links_of(result: Result) -> str:
    """To the category's run behind the MLflow server and to its report there, in Markdown; empty without a server."""
    return f" · [run]({result.run}) · [report]({result.run}/artifacts/{PAGE})" if result.run else ""


def run_page(category: str, folder: Path = Path()) -> str:
    """The address of the category's run behind the MLflow server; empty where there is no server, or it has no run."""
    server = without_secrets((tracking_uri() or "").rstrip("/"))
    model = folder / model_folder(category)
    sent = journal.result_of(run_key_of(model)) if server.startswith("http") and model.is_dir() else None
    return f"{server}/#/experiments/{sent['experiment_id']}/runs/{sent['run_id']}" if sent else ""


def show_category(result: Result, *, folder: Path = Path()) -> None:
    """A category's metrics; where an MLflow server has its run, a link to that and its first picture."""
    category, metrics, pictures = result.category, result.metrics, report_folder(result.category) / "pictures"
    numbers = ", ".join(f"{name} {metrics[name]:.4f}" for name in SHOWN if metrics.get(name) is not None)
    if not result.run:
        text = f"**{category}**: {numbers or 'no metric is defined'}. Pictures: `{pictures}`"
        create_markdown_artifact(text, key=f"metrics-{slug(category)}")
        return
    link = result.run
    create_link_artifact(link, link_text=f"{category} in MLflow", key=f"mlflow-{slug(category)}", description=numbers)
    server, run_id = link.partition("/#/")[0], link.rpartition("/")[2]
    for picture in sorted((folder / pictures).glob("*_heat.webp"))[:1]:
        asked = urlencode({"run_uuid": run_id, "path": f"report/pictures/{picture.name}"})
        address = f"{server}/get-artifact?{asked}"
        create_image_artifact(address, key=f"picture-{slug(category)}", description=f"{category}, {picture.stem}")


def table_of(results: list[Result]) -> list[dict[str, Any]]:
    """One row a category, failures on top: outcome, verdict and why, metrics, seconds, MLflow run."""
    rows: list[dict[str, Any]] = []
    for result in sorted(results, key=lambda r: r.outcome != "failed"):
        row: dict[str, Any] = {"category": result.category, "outcome": result.outcome} | _decided(result.decision)
        values = {name: result.metrics.get(name) for name in SHOWN}
        row |= {name: None if value is None else round(value, 4) for name, value in values.items()}
        seconds = None if result.seconds is None else round(result.seconds, 1)
        rows.append(row | {"seconds": seconds, "reason": result.reason, "run": result.run})
    return rows


def _decided(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Verdict, champion before and after, misses and false rejects with their upper limits; empty where not decided."""
    if not decision:
        return dict.fromkeys(("verdict", "champion", "misses", "false_rejects"), "")
    before = decision["champion"]
    after = before if decision["verdict"] in KEPT else decision["challenger"]
    champion = f"{before or 'none'} → {after}" if after != before else str(before or "none")
    figures = {rule["name"]: rule["figures"] for rule in decision["rules"]}
    return {
        "verdict": decision["verdict"],
        "champion": champion,
        **{name: _counted(figures.get(name, {})) for name in ("misses", "false_rejects")},
    }


def _counted(figures: Mapping[str, Any]) -> str:
    if "upper" not in figures:
        return ""
    total = figures.get("good_images", figures.get("defective_images"))
    most, _ = apart(figures["upper"], figures["allowed"], form=".{}%", digits=1)
    return f"{figures['count']} of {total}, at most {most}"


def summary_of(results: list[Result]) -> str:
    """Each category's outcome in one line: `bottle trained, promoted; cable failed (prepare@cable ...)`."""
    return "; ".join(
        f"{r.category} {', '.join(r.words())}" + (f" ({r.reason})" if r.reason else "")
        for r in sorted(results, key=lambda r: r.outcome != "failed")
    )


def run_name(results: list[Result]) -> str:
    """`weave: trained, promoted`; of several, how many ended in which way: `15 categories: 2 trained, 1 promoted`."""
    if len(results) == 1:
        (one,) = results
        return f"{one.category}: {', '.join(one.words())}"
    counts = Counter(word for one in results for word in one.words())
    return f"{len(results)} categories: " + ", ".join(f"{count} {word}" for word, count in counts.items())


def show_name(flow_run: str | None, name: str) -> None:
    """Renames a flow run in Prefect's pages, where it is one."""
    if flow_run:
        with get_client(sync_client=True) as client:
            client.update_flow_run(UUID(flow_run), name=name)


def slug(category: str) -> str:
    """An artifact's key holds lowercase letters, digits and dashes alone."""
    return re.sub(r"[^a-z0-9]+", "-", category.lower()).strip("-") or "category"
