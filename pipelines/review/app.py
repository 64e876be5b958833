"""The review's page and what it asks: the next picture, a decision, an undo; docs/review.md."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Response
from fastapi import Path as InPath
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from fastflow.errors import BadData
from fastflow.index import GOOD, folders
from pipelines.core.stage import ServerAway
from pipelines.review.decisions import (
    SHOWN,
    Unknown,
    counts,
    decide,
    disagreements,
    inspector_of,
    kind_of,
    said_of,
    undo,
)
from pipelines.review.decisions import limits as limits_of
from pipelines.review.guard import own_page_guard
from pipelines.review.rule import CONFIDENCE, Rule, sample_size
from pipelines.review.store import opened
from pipelines.review.turns import Queue, hand_out
from pipelines.review.view import Nearest, Shown, encoded, read_heat, read_kept, thumbnail
from pipelines.serving.decoding import Decoders
from pipelines.serving.guard import LIVENESS, token_guard
from pipelines.serving.uploads import Refused

Sha256 = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]
Kind = Literal["", "reject", "borderline", "pass"]


class Asked(BaseModel):
    """A request: nothing is converted, no further field is taken."""

    model_config = ConfigDict(extra="forbid", strict=True)
    inspector: str = Field(max_length=200)


class NextAsked(Asked):
    queue: Queue = "new"
    kind: Kind = ""
    sha256: str = Field("", pattern="^([0-9a-f]{64})?$")


class Decided(Asked):
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    action: Literal["good", "defect", "skip"]
    kind: str = Field("", max_length=200)


class Review:
    """What the page asks. `folder`: of the category's pictures."""

    def __init__(self, category: str, folder: Path, rule: Rule, decoders: Decoders) -> None:
        self.category, self.folder, self.rule, self.decoders = category, folder, rule, decoders
        self.shown, self.nearest = Shown(), Nearest(folder)

    def next(self, asked: NextAsked) -> dict[str, Any]:
        """The next picture, or none."""
        with self._base() as base:
            inspector = inspector_of(asked.inspector)
            item = hand_out(
                base, inspector, time.time(), queue=asked.queue, kind=asked.kind, sha256=asked.sha256
            )  # fmt: skip
            return {"item": item, "progress": self._progress(base)}

    def decide(self, decided: Decided) -> dict[str, Any]:
        """Keeps a decision."""
        with self._base(sure=True) as base:
            inspector = inspector_of(decided.inspector)
            kind = kind_of(decided.kind, self._kinds(base)) if decided.action == "defect" else ""
            decide(base, decided.sha256, inspector, decided.action, kind, time.time())
            return {"kept": decided.action, "kind": kind}

    def undo(self, asked: Asked) -> dict[str, Any]:
        """Takes this inspector's last decision back; its picture, where it is kept still."""
        with self._base(sure=True) as base:
            inspector = inspector_of(asked.inspector)
            sha256 = undo(base, inspector, time.time())
            if sha256 is None:
                return {"item": None, "progress": self._progress(base)}
            return {
                "item": hand_out(base, inspector, time.time(), sha256=sha256),
                "progress": self._progress(base),
            }

    def progress(self) -> dict[str, Any]:
        """How far the review is, and what is disagreed on."""
        with self._base() as base:
            return self._progress(base)

    async def picture(self, sha256: Sha256) -> Response:
        """The picture, as JPEG."""
        if (content := self.shown.get(sha256)) is None:
            with self._base() as base:
                file, rule, _ = read_kept(base, self.category, sha256)
            content = await self._encoded(file, rule)
            self.shown.put(sha256, content)
        return Response(content, media_type="image/jpeg")

    async def nearest_good(self, sha256: Sha256) -> Response:
        """The good training picture that looks most like it, as JPEG."""
        key = f"nearest {sha256}"
        if (content := self.shown.get(key)) is None:
            with self._base() as base:
                _, rule, path = read_kept(base, self.category, sha256)
            own = await self.decoders.done(thumbnail, path, rule)
            found = await asyncio.to_thread(self.nearest.find, own, rule) if own is not None else None
            if found is None:
                raise HTTPException(404, "there is no good training picture to compare with")
            content = await self._encoded(found.read_bytes(), rule)
            self.shown.put(key, content)
        return Response(content, media_type="image/jpeg")

    def heat(self, sha256: Sha256) -> Response:
        """Its heat map, as PNG."""
        return Response(read_heat(self.category, sha256), media_type="image/png")

    async def _encoded(self, content: bytes, rule: Any) -> bytes:
        made: bytes = await self.decoders.done(encoded, content, rule)
        return made

    @contextmanager
    def _base(self, *, sure: bool = False) -> Iterator[sqlite3.Connection]:
        with opened(self.category, sure=sure) as base:
            yield base

    def _kinds(self, base: sqlite3.Connection) -> list[str]:
        """Of defects: folders of the test set, and what inspectors have named."""
        there = {folder.name for folder in folders(self.folder / "test")} - {GOOD}
        said = {row["kind"] for row in base.execute("SELECT DISTINCT kind FROM standing WHERE kind <> ''")}
        return sorted(there) + sorted(said - there)

    def _progress(self, base: sqlite3.Connection) -> dict[str, Any]:
        disputed = disagreements(base)
        return {
            "counts": counts(base),
            "needed": sample_size(self.rule.miss_rate), "miss_rate": self.rule.miss_rate, "confidence": CONFIDENCE,
            "limits": [limit._asdict() for limit in limits_of(base)],
            "disagreements": [{"sha256": one, "said": said_of(base, one)} for one in disputed[:SHOWN]],
            "disputed": len(disputed),
            "kinds": self._kinds(base),
        }  # fmt: skip


def build_app(review: Review, *, token: str = "") -> FastAPI:
    """`token`: required of every request but the liveness check; none where it is empty."""
    app = FastAPI(title="FastFlow review", docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(token_guard(token))
    app.middleware("http")(own_page_guard)
    for kind, status in ((Unknown, 404), (ValueError, 400), (BadData, 410), (ServerAway, 503)):
        app.exception_handler(kind)(_answer(status))
    app.exception_handler(Refused)(_refused)
    app.get(LIVENESS)(lambda: {"status": "ok"})
    app.post("/next")(review.next)
    app.post("/decide")(review.decide)
    app.post("/undo")(review.undo)
    app.get("/progress")(review.progress)
    app.get("/picture/{sha256}")(review.picture)
    app.get("/heat/{sha256}")(review.heat)
    app.get("/nearest/{sha256}")(review.nearest_good)
    app.get("/about")(lambda: {"category": review.category})
    app.get("/")(lambda: HTMLResponse(page_text("page.html")))
    app.get("/page.js")(lambda: Response(page_text("page.js"), media_type="text/javascript"))
    app.get("/page.css")(lambda: Response(page_text("page.css"), media_type="text/css"))
    return app


def _answer(status: int) -> Callable[..., JSONResponse]:
    return lambda request, error: JSONResponse({"detail": str(error)}, status)


def _refused(request: object, error: Refused) -> JSONResponse:
    return JSONResponse({"detail": error.why}, error.status)


def page_text(name: str) -> str:
    return resources.files("pipelines.review").joinpath(name).read_text(encoding="utf-8")
