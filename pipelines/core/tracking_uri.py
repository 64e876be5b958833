"""Where MLflow's store is, as the environment says it: checked before work begins that a slip would cost."""

import importlib.util
import os
from urllib.parse import urlsplit

from pipelines.core.stage import without_secrets

VARIABLE = "MLFLOW_TRACKING_URI"
LOCAL = ("sqlite", "file")
DRIVERS = {"postgresql": "psycopg2", "mysql": "MySQLdb", "mssql": "pyodbc"}  # what SQLAlchemy takes where none is named
EXTRA = {"psycopg2": "postgresql"}  # of pyproject.toml


def tracking_uri() -> str | None:
    """The address that MLFLOW_TRACKING_URI holds; None where it is unset or empty: the store is then on this disk.

    Raises:
        ValueError: it is no address, or its data base has no driver here.
    """
    uri = os.environ.get(VARIABLE, "").strip()
    if not uri:
        return None
    if "://" not in uri and not uri.startswith("file:"):
        shown = without_secrets(uri)
        raise ValueError(
            f"{VARIABLE} is {shown!r}; allowed: http://HOST:PORT, https://..., sqlite:///FILE or the "
            f"address of a data base; {f'for a server: http://{shown}; ' * (':' in shown)}unset it to use .mlflow/ here"
        )
    _require_driver(urlsplit(uri).scheme)
    return uri


def is_on_this_disk(uri: str | None) -> bool:
    return uri is None or urlsplit(uri).scheme in LOCAL


def _require_driver(scheme: str) -> None:
    dialect, _, named = scheme.partition("+")
    driver = named or DRIVERS.get(dialect)
    if driver is None or importlib.util.find_spec(driver):
        return
    extra = EXTRA.get(driver)
    cure = f"python -m pip install --editable '.[{extra}]'" if extra else f"python -m pip install {driver}"
    raise ValueError(f"{VARIABLE} is of a {dialect} data base, whose driver {driver} is not installed; run: {cure}")
