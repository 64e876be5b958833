"""The scoring service: image bytes in, score and verdict out; docs/serving.md."""

from collections.abc import Awaitable, Callable, Mapping
from importlib import resources

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from fastflow.regions import RegionRule
from pipelines.core.params import Masters
from pipelines.serving.batching import Batcher
from pipelines.serving.decoding import Decoders
from pipelines.serving.due import not_checked
from pipelines.serving.explaining import Explainer
from pipelines.serving.guard import LIVENESS, own_pages_alone, token_guard
from pipelines.serving.instruments import Instruments
from pipelines.serving.models import Models
from pipelines.serving.project_pages import project_pages
from pipelines.serving.recorder import Recorder
from pipelines.serving.verdicts import Limits, Verdicts

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'"
)


def build_app(
    models: Models,
    batcher: Batcher,
    decoders: Decoders,
    *,
    limits: Limits,
    token: str = "",
    recorder: Recorder | None = None,
    rules: Mapping[str, RegionRule] | None = None,
    masters: Mapping[str, Masters] | None = None,
) -> FastAPI:
    """`token`: required of every request but the liveness check; no token is required where it is empty. `recorder`:
    keeps the verdicts, where there is one. `rules`: what is a region, by category; `masters`: how it is checked by
    master parts."""
    app = FastAPI(title="FastFlow", description=__doc__, docs_url=None, redoc_url=None)
    instruments = Instruments()
    verdicts = Verdicts(models, batcher, decoders, limits, instruments, recorder, rules)
    app.middleware("http")(token_guard(token))
    app.middleware("http")(own_pages_alone)
    app.middleware("http")(secure)
    app.post("/score", openapi_extra=BODY, responses=RESPONSES)(verdicts.score)
    app.post("/why", openapi_extra=BODY, responses=RESPONSES | WHY_RESPONSES)(Explainer(models, decoders, verdicts).why)
    app.include_router(health_routes(models, masters or {}))
    app.include_router(metrics_routes(models, batcher, instruments))
    app.include_router(pages)
    app.include_router(project_pages)
    return app


async def secure(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
    response = await follow(request)
    response.headers.setdefault("Content-Security-Policy", CONTENT_POLICY)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def health_routes(models: Models, masters: Mapping[str, Masters]) -> APIRouter:
    """Liveness and readiness."""
    router = APIRouter()

    @router.get(LIVENESS)
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @router.get("/readyz")
    def readyz(response: Response) -> dict[str, object]:
        """Every category has its model, and a check of master parts where that is required; else 503, and why. A model
        that could not be replaced is named, and still serves."""
        about = {"categories": list(models.detectors), "not_replaced": models.failures}
        if missing := not_checked(models.detectors, masters):
            response.status_code = 503
            return {"status": "not ready", **about, "masters": missing}
        return {"status": "ready", **about}

    return router


def metrics_routes(models: Models, batcher: Batcher, instruments: Instruments) -> APIRouter:
    """Versions and counters."""
    router = APIRouter()

    @router.get("/version")
    async def version() -> dict[str, str]:
        """The model of each category."""
        return {category: detector.version for category, detector in models.detectors.items()}

    @router.get("/metrics")
    async def metrics() -> Response:
        """For Prometheus."""
        instruments.waiting.set(batcher.waiting())
        instruments.model.clear()
        for category, detector in models.detectors.items():
            instruments.model.labels(category, detector.version).set(1)
        return Response(generate_latest(instruments.registry), media_type=CONTENT_TYPE_LATEST)

    return router


pages = APIRouter(include_in_schema=False)


@pages.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(page_text("page.html"))


@pages.get("/page.js")
async def script() -> Response:
    return Response(page_text("page.js"), media_type="text/javascript")


@pages.get("/page.css")
async def style() -> Response:
    return Response(page_text("page.css"), media_type="text/css")


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
    403: {"description": "Sent by a page of another site"},
    404: {"description": "The category is not served"},
    413: {"description": "Too many bytes or pixels, or too long or large to decode"},
    415: {"description": "Not an image"},
    429: {"description": "Too many images wait already"},
    500: {"description": "The score is no number, so there is no verdict"},
    504: {"description": "No answer in time"},
}
WHY_RESPONSES: dict[int | str, dict[str, object]] = {
    409: {"description": "An export is served, or the project's good pictures are not there"}
}
