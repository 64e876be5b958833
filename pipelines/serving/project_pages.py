"""Pages of the project's folder, where the server runs in one: all categories, the report, drift and production.

Each holds all that it shows. Its own policy allows its style and its script alone; that of the answer, no network.
"""

import re
from pathlib import Path

from fastapi import APIRouter, HTTPException
from fastapi.responses import HTMLResponse

from pipelines.core.paths import DRIFT, FLEET, MASTERS, PRODUCTION, REPORT
from pipelines.core.sections import CATEGORY_NAME

POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
project_pages = APIRouter(include_in_schema=False)


@project_pages.get("/fleet.html")
def fleet() -> HTMLResponse:
    return _page(FLEET, made_by="fastflow fleet")


@project_pages.get("/report.html")
def report() -> HTMLResponse:
    return _page(REPORT, made_by="fastflow report")


@project_pages.get("/drift/{name}.html")
def drift(name: str) -> HTMLResponse:
    return _page(DRIFT / f"{_category(name)}.html", made_by="fastflow drift")


@project_pages.get("/production/{name}.html")
def production(name: str) -> HTMLResponse:
    return _page(PRODUCTION / f"{_category(name)}.html", made_by="fastflow drift, with --since")


@project_pages.get("/masters/{name}.html")
def masters(name: str) -> HTMLResponse:
    return _page(MASTERS / f"{_category(name)}.html", made_by="fastflow masters, with check")


def _category(name: str) -> str:
    """Raises HTTPException where the name is none of a category: it becomes part of a path."""
    if not re.fullmatch(CATEGORY_NAME, name):
        raise HTTPException(404, "there is no such category")
    return name


def _page(file: Path, *, made_by: str) -> HTMLResponse:
    if not file.is_file():
        raise HTTPException(404, f"{file.as_posix()} is not in this server's folder; it is written by: {made_by}")
    return HTMLResponse(file.read_text(encoding="utf-8"), headers={"Content-Security-Policy": POLICY})
