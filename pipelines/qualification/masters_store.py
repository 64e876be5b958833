"""Photographs of master parts: parts whose verdict is known. In data/masters/<category>/, each named by its content.

masters.json lists them; a file that it does not name counts for nothing.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from fastflow.decode import read_image
from fastflow.errors import BadData
from fastflow.files import file_sha256, write_bytes, write_text
from fastflow.pixels.meaning import PixelRule
from pipelines.core.lock import locked
from pipelines.core.names import unknown
from pipelines.core.paths import MASTER_PARTS
from pipelines.core.stored import sentence
from pipelines.qualification.kept import Kept
from pipelines.qualification.shots import Shot, listed

INDEX = "masters.json"
SHORT = 12  # digits of a hash in a file's name

Expect = Literal["good", "defect"]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Master(Kept, frozen=True):
    """A photograph of a master part. `file`: in the category's folder of masters, and nowhere else: it is read, and
    deleted with its part."""

    part: str
    expect: Expect
    file: Annotated[str, Field(pattern=r"^(good|defect)/[^/\\]+$")]
    sha256: Sha256


class _Index(Kept, frozen=True):
    format: Literal[1] = 1
    masters: list[Master]


def folder_of(category: str) -> Path:
    return MASTER_PARTS / category


def read_masters(category: str) -> list[Master]:
    """By part, then name; none where none was added. Raises BadData where the list is damaged."""
    path = folder_of(category) / INDEX
    if not path.is_file():
        return []
    try:
        return _Index.model_validate_json(path.read_bytes()).masters
    except ValidationError as error:
        raise BadData(
            f"{path} is damaged: {sentence(error)}; restore it (dvc checkout), or remove {path.parent} and add the "
            "parts anew"
        ) from error


def add_masters(category: str, shots: Sequence[Shot], expect: Expect, *, rule: PixelRule) -> list[Master]:
    """Those that are new, after they were copied. A photograph that is there already, by its content, is no second one.

    Raises:
        BadData: a picture that cannot be read, or a part or photograph that is there with the other verdict.
    """
    with _changing(category):
        there = read_masters(category)
        known = {one.sha256: one for one in there} | {one.part: one for one in there}
        for shot in shots:
            before = known.get(shot.part) or known.get(shot.sha256)
            if before and before.expect != expect:
                raise BadData(
                    f"{shot.path}: {before.part} is a master part that is expected to be {before.expect}; a part is "
                    "one or the other: leave it out, or remove it first: "
                    f"fastflow masters {category} remove {before.part}"
                )
            read_image(shot.path, rule=rule)
        new = [_copied(category, shot, expect) for shot in shots if shot.sha256 not in known]
        if new:
            _write(category, [*there, *new])
        return new


def remove_master(category: str, part: str) -> int:
    """Forgets a part; returns how many photographs it had. Raises ValueError where there is no such part."""
    with _changing(category):
        there = read_masters(category)
        gone = [one for one in there if one.part == part]
        if not gone:
            parts = {one.part for one in there}
            raise ValueError(unknown(part, parts, what="master part", where=str(folder_of(category))))
        _write(category, [one for one in there if one.part != part])
        for one in gone:
            (folder_of(category) / one.file).unlink(missing_ok=True)
        return len(gone)


def stored_shots(category: str, masters: Sequence[Master]) -> list[Shot]:
    """The stored photographs. Raises BadData where one is missing, or is not what was added."""
    folder, shots = folder_of(category), []
    for one in masters:
        path = folder / one.file
        if not path.is_file() or file_sha256(path) != one.sha256:
            what = "is not the photograph that was added" if path.is_file() else "is missing"
            raise BadData(
                f"{path} {what}; restore it (dvc checkout), or remove the part and add it anew: fastflow masters "
                f"{category} remove {one.part}"
            )
        shots.append(Shot("", one.part, path, one.sha256))
    return shots


def check_new(category: str, shots: Sequence[Shot], masters: Sequence[Master]) -> None:
    """Raises BadData unless the shots are new ones of all master parts, and of no other."""
    parts, stored = {one.part for one in masters}, {one.sha256 for one in masters}
    for shot in shots:
        if shot.part not in parts:
            raise BadData(
                f"{shot.path}: {unknown(shot.part, parts, what='master part', where=str(folder_of(category)))}; name "
                "the file, or its folder, as the part is called"
            )
        if shot.sha256 in stored:
            raise BadData(
                f"{shot.path} is a stored photograph of {shot.part}, not a new one; photograph the part again"
            )
    if missing := sorted(parts - {shot.part for shot in shots}):
        raise BadData(
            f"no photograph of {listed(missing)}; photograph every master part, or remove one that is no longer used: "
            f"fastflow masters {category} remove {missing[0]}"
        )


def _copied(category: str, shot: Shot, expect: Expect) -> Master:
    name = f"{expect}/{shot.part}-{shot.sha256[:SHORT]}{shot.path.suffix.lower()}"
    write_bytes(folder_of(category) / name, shot.path.read_bytes())
    return Master(part=shot.part, expect=expect, file=name, sha256=shot.sha256)


def _write(category: str, masters: Sequence[Master]) -> None:
    ordered = sorted(masters, key=lambda one: (one.part, one.file))
    write_text(folder_of(category) / INDEX, _Index(masters=ordered).model_dump_json(indent=2) + "\n")


@contextmanager
def _changing(category: str) -> Iterator[None]:
    folder_of(category).parent.mkdir(parents=True, exist_ok=True)
    with locked(folder_of(category).with_name(f".{category}.lock")):
        yield
