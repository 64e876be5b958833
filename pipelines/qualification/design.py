"""Which shots a study of repeatability is made of: as many of each part by each operator, where there are several."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import NamedTuple

from fastflow.errors import BadData
from pipelines.qualification.shots import Shot

LEAST = 2  # parts, and shots of a part
CUSTOM = "10 parts with 3 shots each are the custom, good and defective ones"


class Design(NamedTuple):
    """Shots in `cells` of one part by one operator, by operator, then part. `operators`: none where the folder names
    none, or one alone. `left_out`: what the study has no place for, in words."""

    cells: list[list[Shot]]
    parts: list[str]
    operators: list[str]
    left_out: list[str]


def design_of(shots: Sequence[Shot]) -> Design:
    """Raises BadData where fewer than two parts have two shots, of each operator where there are several."""
    cells: dict[tuple[str, str], list[Shot]] = {}
    for shot in shots:
        cells.setdefault((shot.operator, shot.part), []).append(shot)
    operators = sorted({operator for operator, _ in cells})
    parts = sorted({part for _, part in cells})
    if len(parts) < LEAST:
        raise BadData(f"only one part, {parts[0]}: how parts differ cannot be told; {CUSTOM}")
    kept = [part for part in parts if all(len(cells.get((one, part), ())) >= LEAST for one in operators)]
    if len(kept) < LEAST:
        raise BadData(_why(cells, kept, operators))
    dropped = [part for part in parts if part not in kept]
    by_every = " by every operator" * (len(operators) > 1)
    left_out = [f"{name}: not {LEAST} shots{by_every}" for name in dropped]
    every = [cells[operator, part] for operator in operators for part in kept]
    if len(operators) > 1:
        count = min(map(len, every))
        left_out += [named(shot) + f": more than {count} shots" for cell in every for shot in cell[count:]]
        every = [cell[:count] for cell in every]
    return Design(every, kept, operators if len(operators) > 1 else [], left_out)


def named(shot: Shot) -> str:
    """Its place in the folder."""
    return PurePath(shot.operator, shot.part, shot.path.name).as_posix()


def _why(cells: Mapping[tuple[str, str], Sequence[Shot]], kept: Sequence[str], operators: Sequence[str]) -> str:
    if all(len(cell) == 1 for cell in cells.values()):
        return (
            f"one shot of each part: whether a part gets the same score again cannot be told; photograph each {LEAST} "
            f"times or more, taken out and put in again; {CUSTOM}"
        )
    have = f"{len(kept)} of {len({part for _, part in cells})} parts"
    if len(operators) == 1:
        return f"{have} have {LEAST} shots or more, and {LEAST} parts are needed at least; {CUSTOM}"
    return (
        f"{have} have {LEAST} shots or more by every operator ({', '.join(operators)}), and {LEAST} are needed at "
        "least: have all operators photograph the same parts, under the same names"
    )
