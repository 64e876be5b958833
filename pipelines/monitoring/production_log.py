"""What production/<category>.db holds of a time, read for its page: scores, how odd each photograph looks, pictures."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pandas as pd

from fastflow.errors import BadData
from pipelines.scoring.oddness import LOOKS, ODD, deviations, usual_look
from pipelines.scoring.production import file_of

RARE_SIZE = 0.01  # share of the accepted photographs below which a size is odd
TEXTS, NUMBERS = ("source", "name", "sha256", "model"), ("pred_score", "threshold", *LOOKS)
COLUMNS = ("id", "time", *TEXTS, *NUMBERS, "pred_label", "width", "height")


def read_log(category: str, *, since: float) -> pd.DataFrame:
    """A row a scored photograph from that time on (seconds since 1970), oldest first, with COLUMNS.

    Raises:
        ValueError: nothing was recorded yet.
        BadData: the file is damaged.
    """
    query = f"SELECT {', '.join(COLUMNS)} FROM scores WHERE time >= ? ORDER BY time, id"
    table = pd.DataFrame(_read(category, query, (since,)), columns=list(COLUMNS)).fillna({"name": ""})
    finite = np.isfinite(table[list(NUMBERS)].to_numpy(np.float64)).all(axis=1)
    return pd.DataFrame(table[finite]).reset_index(drop=True)


def pictures_of(category: str, rows: Sequence[int]) -> dict[int, bytes]:
    """The WebP files of those rows that have one. Raises as `read_log`."""
    marks = ", ".join("?" * len(rows))
    return dict(_read(category, f"SELECT id, webp FROM pictures WHERE id IN ({marks})", [int(row) for row in rows]))


def _read(category: str, query: str, values: Sequence[float]) -> list[Any]:
    file = file_of(category)
    if not file.is_file():
        raise ValueError(
            f"{file} is not there: no score of {category} was recorded yet; fastflow score and fastflow serve do so in "
            "the project's folder, elsewhere with --record"
        )
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as base:
            return base.execute(query, values).fetchall()
    except sqlite3.Error as error:
        raise BadData(f"{file} cannot be read ({error}); move it away: a new one is begun by the next score") from error


def with_oddness(table: pd.DataFrame) -> pd.DataFrame:
    """With the columns `odd` (is it), `oddness` (how much) and `why`, against the look of those that were accepted."""
    accepted = table[table["pred_label"] == 0]
    looks = table[list(LOOKS)].to_numpy(np.float64)
    usual = usual_look(accepted[list(LOOKS)])
    if usual is None:
        return table.assign(odd=False, oddness=0.0, why="")
    moved = deviations(looks, usual)
    farthest = np.abs(moved).argmax(axis=1)
    most = np.abs(moved).max(axis=1)
    shares = accepted.groupby(["width", "height"]).size() / len(accepted)
    known = set(shares[shares >= RARE_SIZE].index)
    other = np.array([size not in known for size in zip(table["width"], table["height"], strict=True)], bool)
    why = [
        f"{LOOKS[i]} {looks[row, i]:.3g}, usual is {usual.medians[i]:.3g}"
        if most[row] >= ODD or not other[row]
        else f"{table['width'][row]} x {table['height'][row]} pixels"
        for row, i in enumerate(farthest)
    ]
    return table.assign(odd=(most >= ODD) | other, oddness=np.where(other, np.maximum(most, ODD), most), why=why)


def models_of(table: pd.DataFrame) -> list[tuple[float, str]]:
    """Each model, and when it first scored; an export, such as `fastflow-bottle/3 onnx-fp32`, is its model."""
    first = table.groupby(table["model"].str.partition(" ")[0], sort=False)["time"].min().sort_values()
    return [(float(time), str(model)) for model, time in first.items()]
