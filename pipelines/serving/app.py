"""The scoring service: image bytes in, score and verdict out; docs/serving.md."""

import asyncio
import base64
import hmac
import io
import os
import time
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Annotated, NamedTuple

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from PIL import Image
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from pipelines.registry.scorer import Scorer
from pipelines.reporting.pictures import heat_colours
from pipelines.serving.batching import Batcher, Busy, Scored
from pipelines.serving.instruments import Instruments
from pipelines.serving.models import Models
from pipelines.serving.uploads import decode, read_body

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"


class Limits(NamedTuple):
    """What a request may cost."""

    max_bytes: int
    max_pixels: int
    seconds: float
    at_once: int
    """Requests under way; further ones are refused at once, before they cost memory."""


class Answer(BaseModel):
    """A verdict: pred_label 1 where pred_score is above the threshold."""

    category: str
    pred_score: float
    pred_label: int
    threshold: float
    model: str
    milliseconds: float = Field(description="of the model, for the batch that this image was in")
    anomaly_map: str | None = Field(None, description="a PNG with transparency to lay over the image, in base64")


def build_app(models: Models, batcher: Batcher, *, limits: Limits, token: str = "") -> FastAPI:
    """`token`: what requests must bear, none where it is empty."""
    app = FastAPI(title="FastFlow", description=__doc__, docs_url=None, redoc_url=None)
    told, bearer = Instruments(), HTTPBearer(auto_error=False)
    room, decoding = asyncio.Semaphore(limits.at_once), asyncio.Semaphore(os.cpu_count() or 1)

    def allowed(sent: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> None:
        if token and not (sent and hmac.compare_digest(sent.credentials.encode(), token.encode())):
            raise HTTPException(401, "a token is needed", headers={"WWW-Authenticate": "Bearer"})

    guarded = [Depends(allowed)]

    @app.middleware("http")
    async def secure(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await follow(request)
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.post("/score", dependencies=guarded, openapi_extra=BODY, responses=RESPONSES)
    async def score(
        request: Request,
        category: Annotated[str | None, Query(description="may be left out where there is only one")] = None,
        map: Annotated[bool, Query(description="whether to answer with the heat map, too")] = False,  # noqa: A002
    ) -> Answer:
        """The verdict on one image: the body is its file, as it is."""
        start, name, status = time.perf_counter(), "unknown", 500
        try:
            scorer = scorer_of(models, category)
            name = scorer.category
            if room.locked():
                raise busy(f"{limits.at_once} images are under way")
            async with room, asyncio.timeout(limits.seconds):
                content = await read_body(request, max_bytes=limits.max_bytes)
                async with decoding:
                    pixels = await asyncio.to_thread(decode, content, scorer.image_size, limits.max_pixels)
                found = await asyncio.wrap_future(batcher.submit(pixels, scorer))
            status = 200
        except TimeoutError as error:
            status = 504
            raise HTTPException(504, f"no answer within {limits.seconds:g} s; try again later") from error
        except Busy as error:
            status = 429
            raise busy(str(error)) from error
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            told.requests.labels(name, str(status)).inc()
            told.seconds.labels(name).observe(time.perf_counter() - start)
        told.batch.observe(found.batch_size)
        told.verdicts.labels(name, str(found.pred_label)).inc()
        told.scores.labels(name).observe(found.pred_score)
        return Answer(
            category=name, pred_score=found.pred_score, pred_label=found.pred_label, threshold=scorer.threshold,
            model=scorer.version, milliseconds=round(found.milliseconds, 2),
            anomaly_map=await asyncio.to_thread(heat_map, found, scorer) if map else None,
        )  # fmt: skip

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process lives."""
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> dict[str, object]:
        """Every category has its model. One that could not be replaced is told, and goes on serving."""
        return {"status": "ready", "categories": list(models.scorers), "not_replaced": models.failures}

    @app.get("/version", dependencies=guarded)
    async def version() -> dict[str, str]:
        """The model of each category."""
        return {category: scorer.version for category, scorer in models.scorers.items()}

    @app.get("/metrics", dependencies=guarded)
    async def metrics() -> Response:
        """For Prometheus."""
        told.waiting.set(batcher.waiting())
        told.model.clear()
        for category, scorer in models.scorers.items():
            told.model.labels(category, scorer.version).set(1)
        return Response(generate_latest(told.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(page_text("page.html"))

    @app.get("/page.js", include_in_schema=False)
    async def script() -> Response:
        return Response(page_text("page.js"), media_type="text/javascript")

    @app.get("/page.css", include_in_schema=False)
    async def style() -> Response:
        return Response(page_text("page.css"), media_type="text/css")

    return app


def scorer_of(models: Models, category: str | None) -> Scorer:
    try:
        return models.get(category)
    except KeyError as error:
        known = ", ".join(models.scorers)
        raise HTTPException(404, f"category {category!r} is not served; name one of: {known}") from error


def busy(why: str) -> HTTPException:
    return HTTPException(429, f"{why}; try again later", headers={"Retry-After": "1"})


def heat_map(found: Scored, scorer: Scorer) -> str:
    colours = heat_colours(found.anomaly_map, low=scorer.low, threshold=scorer.pixel_threshold)
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def page_text(name: str) -> str:
    return resources.files("pipelines.serving").joinpath(name).read_text(encoding="utf-8")


BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    }
}
RESPONSES: dict[int | str, dict[str, object]] = {
    400: {"description": "No image in the body, or a damaged one"},
    401: {"description": "A token is needed"},
    404: {"description": "The category is not served"},
    413: {"description": "Too many bytes or pixels"},
    415: {"description": "Not an image"},
    429: {"description": "Too many images wait already"},
    504: {"description": "No answer in time"},
}
