"""The folder that the MLflow store on this disk speaks of. MLflow writes full paths of artifacts into its data base: a
project that was moved or copied would go on reading and writing where it stood."""

import sqlite3
from contextlib import closing

from pipelines.core.paths import STORE

DATABASE, ARTIFACTS = STORE / "mlflow.db", STORE / "artifacts"
EXPERIMENT = "fastflow"
_END = f"/{STORE.name}/{ARTIFACTS.name}"
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
_WAIT_SECONDS = 60  # for another process's writing


def artifacts_uri() -> str:
    """Where the artifacts of this project's own store are."""
    return ARTIFACTS.resolve().as_uri()


def database_uri() -> str:
    """The data base as SQLAlchemy takes it, in whose addresses a question mark cannot be quoted."""
    path = str(DATABASE.resolve())
    return f"sqlite:///{DATABASE if '?' in path else path}"


def earlier_place() -> str | None:
    """The folder of artifacts that the data base names, where it is another project's; None where all is well."""
    if not DATABASE.is_file():
        return None
    try:
        with closing(sqlite3.connect(f"{DATABASE.resolve().as_uri()}?mode=ro", uri=True)) as base:
            query = "SELECT artifact_location FROM experiments WHERE name = ?"
            found = base.execute(query, (EXPERIMENT,)).fetchone()
    except sqlite3.DatabaseError:  # not made yet, or damaged: `doctor` and MLflow say so
        return None
    place = str(found[0]) if found else ""
    return place if place.startswith("file:") and place.endswith(_END) and place != artifacts_uri() else None


def correct_place() -> str | None:
    """Has a data base that came from elsewhere name the artifacts that came with it; returns the place of before."""
    before = earlier_place()
    if before is None:
        return None
    with closing(sqlite3.connect(DATABASE, timeout=_WAIT_SECONDS)) as base, base:
        for table, column in _COLUMNS:
            base.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                (artifacts_uri(), len(before) + 1, before, len(before) + 1, f"{before}/"),
            )
    return before
