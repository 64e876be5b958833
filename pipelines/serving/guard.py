"""Which requests are answered: those with the token, for a host name of this service, and of no other site's page."""

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.responses import JSONResponse

LIVENESS = "/healthz"
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")  # that change nothing
MIN_TOKEN_CHARACTERS = 16
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # an address to listen at, and one to open
Guard = Callable[[Request, Callable[[Request], Awaitable[Response]]], Awaitable[Response]]


def check_token(token: str, *, host: str, local: bool) -> None:
    """`local`: only this machine can reach `host`, so that no token is needed. Raises ValueError."""
    if not token and local:
        return
    if not re.fullmatch("[!-~]*", token):
        raise ValueError("FASTFLOW_TOKEN holds a blank, a line feed or a letter that is not ASCII; allowed: ! to ~")
    if len(token) < MIN_TOKEN_CHARACTERS:
        why = "is too short" if local else f"is needed, as --host {host} can be reached by others"
        raise ValueError(
            f"a token {why}: set FASTFLOW_TOKEN to a secret of at least {MIN_TOKEN_CHARACTERS} characters, "
            "and put a proxy with a certificate in front of what others reach"
        )


def is_local(address: str) -> bool:
    """Whether an IP address is one of this machine alone."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def url_of(address: str, port: int) -> str:
    """The URL of a service that listens there."""
    address = ANY_ADDRESS.get(address, address)
    return f"http://{f'[{address}]' if ':' in address else address}:{port}/"


def token_guard(token: str) -> Guard:
    """Refuses requests without the token, where there is one, except the liveness check. A browser asks its user for
    it: any name, the token as password."""

    async def guard(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
        if not token or request.url.path == LIVENESS or hmac.compare_digest(token_of(request), token.encode()):
            return await follow(request)
        asked = {"WWW-Authenticate": 'Basic realm="FastFlow: the token is the password", charset="UTF-8"'}
        return JSONResponse({"detail": "a token is needed"}, 401, headers=asked)

    return guard


async def own_pages_alone(request: Request, follow: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuses what a page of another site has a browser send. Such a page sees no answer, but its pictures would count
    as the line's; its browser would even add a password that it knows. Programs send none of these headers."""
    if request.method in SAFE_METHODS or _is_own(request):
        return await follow(request)
    return JSONResponse({"detail": "refused: sent by a page of another site"}, 403)


def _is_own(request: Request) -> bool:
    """Sec-Fetch-Site is the browser's own word, but over plain HTTP to another machine it sends Origin alone. A proxy
    may change Host, and names in X-Forwarded-Host what it was asked for, which no page of another site can send."""
    headers = request.headers
    if site := headers.get("sec-fetch-site"):
        return site in ("same-origin", "none")
    if "origin" not in headers:
        return True
    hosts = {headers.get(name, "").lower() for name in ("host", "x-forwarded-host")}
    return headers["origin"].lower().partition("://")[2] in hosts - {""}


def token_of(request: Request) -> bytes:
    """The token of a request, or nothing."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return value.strip().encode()
        case "basic":
            try:
                return base64.b64decode(value, validate=True).partition(b":")[2]
            except (binascii.Error, ValueError):
                return b""
    return b""


def own_names(address: str, host: str) -> list[str]:
    """The host names of this machine for a service at `address`, given as `--host` `host`: a page of another site
    must not reach the service by DNS rebinding, through a name of its own that leads here."""
    names = {*LOCAL_NAMES, "localhost.", address, host.lower()}
    return sorted(f"[{name}]" if ":" in name else name for name in names)
