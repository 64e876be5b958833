"""The settings of this machine's services: ports, a password, and what restricts access."""

import os
import secrets
import shlex
import socket
from importlib.util import find_spec
from pathlib import Path

from fastflow.files import write_bytes
from pipelines.core.environment import corrections
from pipelines.core.paths import STATE
from pipelines.core.stage import Failed

ENVIRONMENT = STATE / "services.env"
BACKEND = "MLFLOW_BACKEND_STORE_URI"  # another data base than the project's own, in the environment of `up`
PREFECT_BACKEND = "PREFECT_API_DATABASE_CONNECTION_URL"
DRIVERS = {"postgresql+psycopg2": "psycopg2", "postgresql": "psycopg2", "postgresql+asyncpg": "asyncpg"}
HOST, POOL, MACHINES = "127.0.0.1", "fastflow", "machines"


def settings(prefect_port: int, mlflow_port: int) -> dict[str, str]:
    """The environment of servers, worker and users' shells. The password is new at each start, but where this one
    has one, PREFECT_SERVER_API_AUTH_STRING: workers of other machines need no other after a restart."""
    page = f"http://{HOST}:{prefect_port}"
    login = os.environ.get("PREFECT_SERVER_API_AUTH_STRING") or f"admin:{secrets.token_urlsafe(18)}"
    return {
        "PREFECT_API_URL": f"{page}/api",
        "PREFECT_API_AUTH_STRING": login,
        "PREFECT_SERVER_API_AUTH_STRING": login,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": page,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_HOME": str(Path(".prefect").resolve()),
        "DO_NOT_TRACK": "true",
        "MLFLOW_TRACKING_URI": f"http://{HOST}:{mlflow_port}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "FASTFLOW_PROJECT": str(Path.cwd()),
        **corrections(os.environ),
    }


def commands(environment: dict[str, str]) -> dict[str, tuple[list[str], int]]:
    """By service: its command, and the port that shows that it is there, 0 where there is none."""
    prefect, mlflow = (port_of(environment[key]) for key in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"))
    hosts = f"localhost:{mlflow},{HOST}:{mlflow}"
    tracking = ["mlflow", "server", "--host", HOST, "--port", str(mlflow), "--workers", "1", "--allowed-hosts", hosts]
    tracking += ["--x-frame-options", "DENY", "--serve-artifacts", "--artifacts-destination", ".mlflow/artifacts"]
    if BACKEND not in os.environ:  # else MLflow reads it itself: a command line would show its password to everybody
        tracking += ["--backend-store-uri", "sqlite:///.mlflow/mlflow.db"]
    worker = ["prefect", "worker", "start", "--pool", POOL, "--name", f"{socket.gethostname()}-{os.getpid()}"]
    return {
        "prefect": (["prefect", "server", "start", "--host", HOST, "--port", str(prefect)], prefect),
        "mlflow": (tracking, mlflow),
        "worker": (worker, 0),
    }


def require_drivers() -> None:
    """Raises Failed where a data base that the environment names has no driver here."""
    for variable in (BACKEND, PREFECT_BACKEND):
        driver = DRIVERS.get(os.environ.get(variable, "").partition("://")[0])
        if driver and find_spec(driver) is None:
            raise Failed(
                f"{variable} names PostgreSQL, whose driver {driver} is not installed: "
                "python -m pip install --editable '.[postgresql]'"
            )


def write_environment(environment: dict[str, str]) -> None:
    """For shells: `set -a; . .state/services.env`. It holds the password: readable by its owner alone."""
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in environment.items())
    write_bytes(ENVIRONMENT, text.encode(), mode=0o600)


def read_environment() -> dict[str, str]:
    """Raises Failed where `up` has not written it."""
    if not ENVIRONMENT.is_file():
        raise Failed(f"{ENVIRONMENT} is not there: no service of ours was started; run: make up")
    lines = ENVIRONMENT.read_text().splitlines()
    return {name: shlex.split(value)[0] for name, _, value in (line.partition("=") for line in lines)}


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2].partition("/")[0])
