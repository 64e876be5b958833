"""Which requests may change anything: those of this service's own page.

A browser sends the token, or its place on this machine, with the requests of any page that it shows. So whatever is no
plain reading must bear a header that pages of other origins cannot set without being asked first, and where the browser
says what it comes from, that must be this service.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from fastapi import Request, Response
from fastapi.responses import JSONResponse

OWN_HEADER, OWN_VALUE = "FastFlow-Review", "1"
MAX_BYTES = 16_384  # of a decision
READING = ("GET", "HEAD")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}  # fmt: skip


def is_foreign(request: Request) -> str:
    """Why a request is not one of this service's own page; empty where it is, or reads alone."""
    if request.method in READING:
        return ""
    if request.headers.get(OWN_HEADER) != OWN_VALUE:
        return f"the header {OWN_HEADER}: {OWN_VALUE} is missing"
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return "it comes from another site"
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        return "it comes from a page of another origin"
    return ""


def is_long(request: Request) -> str:
    """Why a request's body is not read; empty where it may be."""
    length = request.headers.get("Content-Length", "")
    if request.method in READING or (length.isdigit() and int(length) <= MAX_BYTES):
        return ""
    return f"its body must say its length, and have {MAX_BYTES:,} bytes at most"


async def own_page_guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuses what would change something and is not asked by this service's page; tells browsers what may be shown."""
    if why := is_foreign(request):
        response: Response = JSONResponse({"detail": f"refused: {why}"}, 403)
    elif why := is_long(request):
        response = JSONResponse({"detail": f"refused: {why}"}, 413)
    else:
        response = await follow(request)
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response
