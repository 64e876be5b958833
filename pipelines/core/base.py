"""A SQLite file of the project, opened with its tables; damage and a full disk end in a sentence."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fastflow.errors import BadData
from pipelines.core.stage import ServerAway

WAIT_SECONDS = 30.0  # for another connection's writing


@contextmanager
def opened_base(
    path: Path, tables: str, *, cure: str, sure: bool = False, wait: float = WAIT_SECONDS
) -> Iterator[sqlite3.Connection]:
    """A connection, of this thread alone, to a file that is made with its `tables` where it is absent. `sure`: what is
    written is there after a loss of power, too. `cure`: what to do about a damaged file, and what that costs.

    Raises:
        BadData: the file is damaged.
        ServerAway: it cannot be read or written, as on a full disk.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    base = None
    try:
        base = sqlite3.connect(path, timeout=wait)
        base.execute("PRAGMA journal_mode = WAL")
        base.execute(f"PRAGMA synchronous = {'FULL' if sure else 'NORMAL'}")
        base.executescript(tables)
        yield base
    except sqlite3.OperationalError as error:
        raise ServerAway(f"{path} cannot be written ({error}); make room on its disk, then start again") from error
    except sqlite3.DatabaseError as error:
        if type(error) is not sqlite3.DatabaseError:  # a fault of ours
            raise
        raise BadData(f"{path} is damaged ({error}); {cure}") from error
    finally:
        if base is not None:
            base.close()
