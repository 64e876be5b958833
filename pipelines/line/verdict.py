"""A picture of the line and what is said of it: the message that every output gets, explained in docs/line.md."""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from fastflow.files import printable
from fastflow.regions import Region, as_record

MAX_REASON_CHARACTERS = 500


class Signature(NamedTuple):
    """What tells, without reading it, whether a file is what it was: bytes, and nanoseconds since 1970."""

    size: int
    mtime_ns: int
    ctime_ns: int


class Picture(NamedTuple):
    """A whole file that has no verdict yet. `seen`: when it was noticed, seconds since 1970; `tries`: how often it
    could not be judged."""

    path: Path
    signature: Signature
    seen: float
    tries: int = 0

    @property
    def name(self) -> str:
        return printable(self.path.name)


class Identity(NamedTuple):
    """What makes a picture one: its name, when it was written, and its content, empty where that could not be read."""

    name: str
    mtime_ns: int
    sha256: str


def idempotency_key(station: str, category: str, identity: Identity) -> str:
    """Equal for the same picture, always: 32 hex digits."""
    return hashlib.sha256("\n".join(map(str, (station, category, *identity))).encode()).hexdigest()[:32]


def message(
    *, station: str, category: str, picture: Picture, sha256: str, now: float, found: dict[str, Any], error: str | None
) -> dict[str, Any]:
    """What outputs send, without its number. `found`: the fields of a verdict, none where there is an `error`."""
    identity = Identity(picture.name, picture.signature.mtime_ns, sha256)
    return {
        "idempotency_key": idempotency_key(station, category, identity),
        "station": station,
        "category": category,
        "path": printable(str(picture.path)),
        "sha256": sha256 or None,
        "model": None, "pred_score": None, "threshold": None, "pred_label": None,
        "regions": None, "largest_region": None, "milliseconds": None,
        **found,
        "seconds": round(max(0.0, now - picture.seen), 3),
        "judged": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds"),
        "error": error and error[:MAX_REASON_CHARACTERS],
    }  # fmt: skip


def largest_region(regions: list[Region], mm_per_pixel: float | None) -> dict[str, Any] | None:
    """That of the greatest area, without its outline, which may be long."""
    if not regions:
        return None
    record = as_record(max(regions, key=lambda region: region.area), mm_per_pixel)
    return {name: value for name, value in record.items() if name != "polygon"}


def as_text(message: dict[str, Any]) -> str:
    """JSON of one line; NaN is refused, no line may hold any."""
    return json.dumps(message, allow_nan=False, ensure_ascii=False)
