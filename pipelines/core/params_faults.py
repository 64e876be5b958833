"""What is wrong with params.yaml, key by key, in sentences."""

from pathlib import Path
from reprlib import Repr
from typing import Any, get_args, get_origin

from pydantic import BaseModel


class _Short(Repr):
    """Aliases of YAML may repeat a value 2**50 times: values are shown in part."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxother = 3, 20, 20, 200, 200


def sentence(model: type[BaseModel], path: Path, detail: Any) -> str:
    """What is wrong with a key of a file that holds a `model`; `detail`: one of pydantic's errors."""
    key = ".".join(str(part) for part in detail["loc"]) or "the file"
    match detail["type"]:
        case "extra_forbidden":
            return f"{path}: unknown key {key!r}; allowed here: {', '.join(_allowed(model, detail['loc'][:-1]))}"
        case "missing":
            return f"{path}: missing key {key!r}"
        case _:
            message = str(detail["msg"]).replace("Input should", "it should")
            more = ", or null" * _may_be_null(model, detail["loc"])
            return (
                f"{path}: {key} is {_Short().repr(detail['input'])} ({type(detail['input']).__name__}); {message}{more}"
            )


def _allowed(model: type[BaseModel], where: tuple[str | int, ...]) -> list[str]:
    section = _section(model, where)
    assert section is not None
    return sorted(section.model_fields)


def _may_be_null(model: type[BaseModel], where: tuple[str | int, ...]) -> bool:
    section = _section(model, where[:-1])
    field = section.model_fields.get(str(where[-1])) if section and where else None
    return field is not None and type(None) in get_args(field.annotation)


def _section(model: type[BaseModel], where: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The section of that name; None where it is a list or a plain value."""
    section = model
    parts = iter(where)
    for part in parts:
        field = section.model_fields.get(str(part))
        kind: Any = field.annotation if field else None
        if get_origin(kind) is dict and next(parts, None) is not None:  # a section a category
            kind = get_args(kind)[1]
        elif type(None) in get_args(kind):  # a section that may be left out
            kind = get_args(kind)[0]
        if not isinstance(kind, type) or not issubclass(kind, BaseModel):
            return None
        section = kind
    return section
