"""Prefect's server, MLflow's server and a worker that runs the deployments of prefect.yaml, all on this machine."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Annotated, NamedTuple

import psutil
from pydantic import Field

from fastflow.files import write_bytes
from pipelines.core.params import read_params, read_yaml
from pipelines.core.paths import STATE
from pipelines.core.stage import Failed, log
from pipelines.core.stored import Stored, read_stored
from pipelines.orchestration.service_settings import (
    ENVIRONMENT,
    HOST,
    MACHINES,
    POOL,
    commands,
    read_environment,
    require_drivers,
    settings,
    write_environment,
)
from pipelines.registry.comparison_view import LINK
from pipelines.registry.place import DATABASE, correct_place

STARTED = 19  # of the fields of /proc/<pid>/stat behind the program's name
RECORD, LOGS = STATE / "services.json", STATE / "services"
STARTING_SECONDS, ENDING_SECONDS = 180, 20
PORT_OPTIONS = {"prefect": "PREFECT_PORT", "mlflow": "PORT"}  # of make


class _Service(Stored):
    name: str
    pid: Annotated[int, Field(gt=0, lt=2**31)]
    born: float


class Service(NamedTuple):
    """A process that `up` started: identified by its pid and its start (`started`), as pids are reused, and by its
    folder, as a copy of a project has a copy of this record."""

    name: str
    pid: int
    born: float

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            here = Path(process.cwd()) == Path.cwd()
            begun = started(self.pid), process.create_time()  # the second as earlier versions wrote it
            return here and self.born in begun and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False


def started(pid: int) -> float:
    """When a process began: in ticks since the machine's start, where /proc says so, which no setting of the clock
    changes, as psutil's seconds since 1970 are. Raises psutil.NoSuchProcess."""
    try:
        return float(Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[STARTED])
    except (OSError, IndexError):
        return psutil.Process(pid).create_time()


def up(*, prefect_port: int, mlflow_port: int) -> None:
    """Starts what does not run yet, applies prefect.yaml, and prints what to open.

    Raises:
        Failed: a port is in use, or a service ends at once; the message has its last lines.
    """
    require_drivers()
    LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
    running = {service.name: service for service in recorded() if service.alive()}
    environment = settings(prefect_port, mlflow_port) if not running else read_environment()
    if (before := environment["FASTFLOW_PROJECT"]) != str(Path.cwd()):
        raise Failed(f"what runs was started when this folder was {before}; run: make down, then make up")
    write_environment(environment)
    for name, (command, port) in commands(environment).items():
        if name in running:
            continue
        if port and answers(port):
            raise Failed(
                f"port {port}, for {name}, is taken; end what has it, or choose another one: "
                f"make up {PORT_OPTIONS[name]}={port + 100}"
            )
        log.info("starting %s", f"{name}, a quarter of a minute or more" if port else name)
        running[name] = start(name, command, environment)
        record(list(running.values()))
        if port:
            wait_for(running[name], port)
        if name == "prefect":
            deploy()
    print_addresses(environment)


def deploy() -> None:
    """Makes the work pools that are not there and applies prefect.yaml, of which what is for other machines only where
    params.yaml has them train. Raises Failed with Prefect's message."""
    log.info("applying prefect.yaml")
    pools = [POOL, MACHINES] if read_params().retrain.where == "pool" else [POOL]
    for pool in pools:  # one of another type, as for Kubernetes, stays what it is
        if prefect("work-pool", "inspect", pool).returncode:
            require_success(prefect("work-pool", "create", pool, "--type", "process"))
    plan = read_yaml(Path("prefect.yaml"))["deployments"]
    names = [deployment["name"] for deployment in plan if deployment["work_pool"]["name"] in pools]
    require_success(prefect("deploy", *[word for name in names for word in ("--name", name)]))
    require_success(python_module("pipelines.orchestration.choices"))


def prefect(*command: str) -> subprocess.CompletedProcess[str]:
    return python_module("prefect", "--no-prompt", *command)


def python_module(*command: str) -> subprocess.CompletedProcess[str]:
    """A module as a program, with the services' settings. Raises Failed where it does not end."""
    try:
        return subprocess.run(
            [sys.executable, "-m", *command],
            env=os.environ | read_environment(), capture_output=True, text=True, check=False, timeout=STARTING_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(command)} did not end within {STARTING_SECONDS} s; see {LOGS}/") from error


def require_success(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise Failed(f"{' '.join(done.args[2:])}: {(done.stdout + done.stderr).strip()[-2000:]}")


def down() -> None:
    """Ends what `up` started, by SIGTERM, then by SIGKILL; nothing else."""
    services = [service for service in recorded() if service.alive()]
    for service in reversed(services):  # the worker first: its runs end while the servers still listen
        end(service)
    RECORD.unlink(missing_ok=True)
    ENVIRONMENT.unlink(missing_ok=True)
    if not services:
        log.info("nothing of ours is running")


def end(service: Service) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if service.alive():
            os.killpg(service.pid, sign)
        deadline = time.monotonic() + ENDING_SECONDS
        while service.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
    log.info("%s: ended", service.name)


def ui(*, port: int) -> None:
    """MLflow's server in front of this project's store, until Ctrl-C. Raises Failed as `up` does."""
    if answers(port):
        raise Failed(f"port {port} is taken, by `make up` or something else; another one: make ui PORT=5050")
    LOGS.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = settings(port, port)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # a terminal that is closed ends it, too
        signal.signal(number, signal.default_int_handler)
    log.info("starting MLflow")
    service = start("mlflow", commands(environment)["mlflow"][0], environment)
    try:
        wait_for(service, port)
        log.info("open %s/%s    stop: Ctrl-C", environment["MLFLOW_TRACKING_URI"], page_of_runs())
        psutil.Process(service.pid).wait()
    except KeyboardInterrupt:
        log.info("")
    finally:
        end(service)


def page_of_runs() -> str:
    """Where the runs are, below MLflow's address: its own first page is of other things."""
    if not DATABASE.is_file():  # the store is another server's
        return "#/experiments"
    with closing(sqlite3.connect(f"file:{DATABASE}?mode=ro", uri=True)) as database:
        found = database.execute("SELECT experiment_id FROM experiments WHERE name = 'fastflow'").fetchone()
    return LINK.format(experiment_id=found[0]) if found else "#/experiments"


def status() -> None:
    for service in recorded():
        log.info(
            "%-8s process %d %s", service.name, service.pid, "runs" if service.alive() else "is gone; run: make up"
        )
    if not recorded():
        log.info("nothing of ours is running; run: make up")


def start(name: str, command: list[str], environment: dict[str, str]) -> Service:
    """In a session of its own, so that Ctrl-C in this terminal is not for it."""
    Path(".mlflow").mkdir(mode=0o700, exist_ok=True)
    correct_place()
    log_file = LOGS / f"{name}.log"
    log_file.unlink(missing_ok=True)  # a link would lead to another file, and others may read an older one
    with os.fdopen(os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            env=os.environ | {k: v for k, v in environment.items() if name != "mlflow" or k != "MLFLOW_TRACKING_URI"},
        )  # fmt: skip
    return Service(name, process.pid, started(process.pid))


def wait_for(service: Service, port: int) -> None:
    end = time.monotonic() + STARTING_SECONDS
    while not answers(port):
        if not service.alive() or time.monotonic() > end:
            last = (LOGS / f"{service.name}.log").read_text(errors="replace")[-2000:]
            raise Failed(f"{service.name} did not start; the end of {LOGS}/{service.name}.log:\n{last}")
        time.sleep(0.3)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def recorded() -> list[Service]:
    cure = "remove it, and end what still runs by its process's number"
    found = read_stored(RECORD, list[_Service], cure=cure) if RECORD.is_file() else []
    return [Service(one["name"], one["pid"], one["born"]) for one in found]


def record(services: list[Service]) -> None:
    text = json.dumps([service._asdict() for service in services], indent=2) + "\n"
    write_bytes(RECORD, text.encode(), mode=0o600)


def print_addresses(environment: dict[str, str]) -> None:
    page = environment["PREFECT_API_URL"].removesuffix("/api")
    log.info(
        "\n  Prefect   %s/login?redirect=/deployments    log in with the line that this prints:\n"
        "            . %s; echo $PREFECT_API_AUTH_STRING\n"
        "  MLflow    %s/%s\n\n"
        "  Retrain now: Deployments, retrain-all / nightly, Run, Quick run. Nights are set in prefect.yaml.\n"
        "  In a shell: set -a; . %s; set +a    then: make retrain\n"
        "  The end: make down                 Logs: %s/",
        page, ENVIRONMENT, environment["MLFLOW_TRACKING_URI"], page_of_runs(), ENVIRONMENT, LOGS,
    )  # fmt: skip
