"""The MLflow runs of stages: one run per category and training, continued by its evaluation.

Here a run is written to the journal alone. A separate process (sync.py) uploads it to MLflow meanwhile, so a server
that is down, slow or silent costs a training next to nothing, and what it missed is sent by the next one, or by
`fastflow sync`. FASTFLOW_SYNC=later leaves all of it to that command.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from pipelines.core import experiment, override
from pipelines.core.paths import RUN
from pipelines.core.stage import TERMINATED, Terminated, log
from pipelines.core.tracking_uri import is_on_this_disk, tracking_uri
from pipelines.tracking import journal

PARENT = "FASTFLOW_PARENT_RUN"  # key and name of the retraining that a stage belongs to
UPLOADED_WITH = "FASTFLOW_UPLOADED_WITH"  # that retraining's journal: its uploader sends the stage's, too
UNCARRIED_SECONDS = 3  # how long a journal may lie, in a retraining, until the stage sends it itself
STARTING_SECONDS = 120  # for the uploader to import MLflow, on a busy machine
LOCAL_SECONDS = 120  # for a store on this disk
SERVER_SECONDS, SERVER_SHARE = 2.5, 0.03  # wait for a server at a stage's end, or this share of the stage's time


class TrackedRun:
    """A run being written. `key` finds it in MLflow (tag run_key); its MLflow id is assigned by the server."""

    def __init__(self, key: str, name: str, written: journal.Journal) -> None:
        self.key, self.name, self._journal = key, name, written
        self.result: dict[str, Any] | None = None
        """After the run: the store's answer (run_id, version of a registered model), or None if there is none yet."""

    def of_children(self) -> dict[str, str]:
        """Environment variables that make the runs of other processes of this project children of this one."""
        return {PARENT: f"{self.key} {self.name}", UPLOADED_WITH: str(self._journal.folder.resolve())}

    def log_params(self, params: Mapping[str, object]) -> None:
        self._journal.add("params", values={k: str(v) for k, v in params.items()})

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        values = {k: float(v) for k, v in metrics.items()}
        self._journal.add("metrics", values=values, step=step, time=journal.milliseconds())

    def set_tags(self, tags: Mapping[str, str]) -> None:
        self._journal.add("tags", values=dict(tags))

    def log_files(self, path: Path, *, under: str, without: tuple[str, ...] = ()) -> None:
        """A file, or a folder's content but for the files named in `without`, as artifacts below `under`."""
        self._journal.add("files", source=self._journal.keep(path, without=without), under=under)

    def log_dataset(self, *, name: str, digest: str, source: str, context: str, rows: int) -> None:
        """The images a stage read: `digest` is DVC's hash of them, `context` training or evaluation."""
        self._journal.add("dataset", name=name, digest=digest, source=source, context=context, rows=rows)

    def log_model(
        self, folder: Path, *, category: str, example: str, tags: Mapping[str, str], description: str
    ) -> None:
        """Registers a checkpoint folder. `example`: an image file in base64, `tags["example_pred_score"]` its score."""
        source = self._journal.keep(folder, without=(RUN,))
        details = {"example": example, "tags": dict(tags), "description": description}
        self._journal.add("model", source=source, category=category, **details)


@contextmanager
def new_run(
    name: str, *, tags: Mapping[str, str], live: bool = True, with_children: bool = False
) -> Iterator[TrackedRun]:
    """A new run, a child of the retraining that FASTFLOW_PARENT_RUN names.

    It ends as FINISHED; FAILED if the block raises or exits with an error; KILLED if a signal ends it (after SIGKILL:
    by the next sync). `live`: MLflow shows it while it runs. `with_children`: its uploader sends their journals, too.
    """
    key, _, title = os.environ.get(PARENT, "").partition(" ")
    parent = {"parent": {"key": key, "name": title}} if key else {}
    with _recorded_run(uuid.uuid4().hex, name, tags, live=live, with_children=with_children, **parent) as run:
        yield run


@contextmanager
def continued_run(key: str, name: str, *, tags: Mapping[str, str]) -> Iterator[TrackedRun]:
    """The run with that key, continued. A store that does not know it (another machine's, or deleted) gets a new one
    with `tags`."""
    with _recorded_run(key, name, dict(tags) | {"adopted_from": key}, live=True, continued=True) as run:
        yield run


@contextmanager
def _recorded_run(
    key: str, name: str, tags: Mapping[str, str], *, live: bool, with_children: bool = False, **header: Any
) -> Iterator[TrackedRun]:
    tracking_uri()  # a wrong one is reported now, not when a training has ended
    start = time.monotonic()
    told = dict(tags) | experiment.tags() | override.tags()
    written = journal.Journal(name, key=key, name=name, tags=told, time=journal.milliseconds(), **header)
    later = os.environ.get("FASTFLOW_SYNC") == "later"
    with_parent = Path(os.environ.get(UPLOADED_WITH, "")).parent == journal.JOURNALS.resolve()
    now = live and not later and not with_parent
    uploader = _start_uploader(written.folder, with_children=with_children) if now else None
    run, status = TrackedRun(key, name, written), "FAILED"
    try:
        with _sigterm_raises():
            yield run
        status = "FINISHED"
    except BaseException as error:
        status = _status_of(error)
        run.set_tags({"ended_by": f"{type(error).__name__}: {error}"[:500]})
        raise
    finally:
        written.close(status=status)
        if not later:
            timeout = _timeout(time.monotonic() - start)
            if not (with_parent and _sent_by_parent(written.folder, timeout)):
                _wait_until_sent(written.folder, uploader, timeout)
            run.result = journal.result(written.folder)


def _status_of(error: BaseException) -> str:
    if isinstance(error, SystemExit) and not isinstance(error, Terminated):
        return "FAILED" if error.code else "FINISHED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does, so that the run is closed and nothing is left half-written. In a flow
    Prefect's own handler does, which knows whether a person has cancelled."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not in_main_thread or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: object) -> NoReturn:
        raise Terminated(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start_uploader(folder: Path, *, with_children: bool = False) -> subprocess.Popen[bytes]:
    """Starts the process that uploads the journal to MLflow, in a session of its own: Ctrl-C does not reach it."""
    log_file = (folder / "carrier.log").open("wb")
    command = [sys.executable, "-m", "pipelines.cli.operations", "follow", str(folder)]
    command += ["--live"] * with_children
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with log_file:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log_file, stderr=log_file, start_new_session=True, env=environment
        )


def _timeout(spent: float) -> float:
    """Seconds that a stage which took `spent` seconds waits for the store to answer."""
    return LOCAL_SECONDS if is_on_this_disk(tracking_uri()) else max(SERVER_SECONDS, SERVER_SHARE * spent)


def _sent_by_parent(folder: Path, timeout: float) -> bool:
    """Waits while the retraining's uploader sends the journal; whether the store has it then."""
    start = carried = time.monotonic()
    while journal.result(folder) is None:
        now = time.monotonic()
        if journal.is_carried(folder):
            carried = now
        if now - start > timeout or now - carried > UNCARRIED_SECONDS:
            return False
        time.sleep(0.1)
    return True


def _wait_until_sent(folder: Path, uploader: subprocess.Popen[bytes] | None, timeout: float) -> None:
    """Waits, within bounds, until the store has the journal; logs a warning where it has not."""
    uploader = uploader or _start_uploader(folder)
    try:
        _wait(uploader, lambda: (folder / "talking").exists() or not folder.exists(), STARTING_SECONDS)
        _wait(uploader, lambda: journal.result(folder) is not None, timeout)
    finally:
        uploader.kill()
        uploader.wait()
    if journal.result(folder) is None:
        log.warning(
            "WARNING: MLflow has not received all of this run. Nothing is lost: it is kept in %s. "
            "When the server answers again, run: fastflow sync",
            folder,
        )


def _wait(uploader: subprocess.Popen[bytes], done: Any, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and uploader.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
