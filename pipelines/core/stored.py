"""JSON that this program wrote, read back: damage and edits end in a sentence, not in a traceback or a NaN."""

import json
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from fastflow.errors import BadData


class Stored(BaseModel):
    """An object in such a file. Nothing is converted, numbers are finite; further keys are those of another version."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, extra="allow")


def read_stored(path: Path, kind: Any, *, cure: str) -> Any:
    """The content of a JSON file as it was written, if it is of `kind`: a Stored, or a type such as list[Stored].

    Raises:
        BadData: another content; names the file, the field, what was got and what is allowed, and the `cure`.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    try:
        found = parse(content)
        TypeAdapter(kind).validate_json(json.dumps(found), strict=True)
    except ValidationError as error:
        raise BadData(f"{path} is damaged: {sentence(error)}; {cure}") from error
    except (ValueError, RecursionError) as error:
        raise BadData(f"{path} is damaged ({error}); {cure}") from error
    return found


def parse(content: bytes) -> Any:
    """JSON in UTF-8. Raises ValueError: another text, nested too deep, or with a number that is not finite."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse, parse_float=_finite, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def sentence(error: ValidationError) -> str:
    """The first field at fault, what was got, and what is allowed."""
    first = error.errors()[0]
    field, got = ".".join(map(str, first["loc"])) or "the file", repr(first["input"])
    if first["type"] == "missing":
        return f"{field} is missing"
    return f"{field} is {got[:77] + '...' if len(got) > 80 else got}; {first['msg']}"


def _finite(text: str) -> float:
    number = float(text)
    return number if number - number == 0 else _refuse(text)


def _whole(text: str) -> int:
    number = int(text)
    return number if abs(number) < 2**63 else _refuse(text)


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"it holds {text[:20]}, which is no number that it may hold")
