"""Verdicts by HTTP POST, each signed. Whatever the other side answers, it costs one attempt of bounded time.

The signature is that of the timestamp and the body, `<timestamp>.<body>`, so that neither can be changed, and an old
message cannot be sent again later: docs/line.md shows how to check it.
"""

import hashlib
import hmac
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from pipelines.core.stage import ServerAway
from pipelines.line.outputs import Messages, Refusal
from pipelines.line.settings import Webhook
from pipelines.line.verdict import as_text

RETRIED = (408, 429)  # of 4xx; and whatever is no 2xx or 4xx
SHOWN_CHARACTERS = 80
SOCKETS = threading.local()


class WebhookOutput:
    name, at_once = "webhook", 1

    def __init__(self, settings: Webhook, key: str) -> None:
        self.url, self.seconds, self.key = settings.url, settings.seconds, key.encode()
        self.host = urlsplit(settings.url).hostname  # all that messages say of the address

    def send(self, messages: Messages) -> None:
        (message,) = messages
        try:
            status, reason = self._post(as_text(message).encode(), message["idempotency_key"])
        except Exception as error:  # whatever a strange answer makes of these libraries
            raise ServerAway(f"{self.host}: {innermost(error)}") from error
        if 400 <= status < 500 and status not in RETRIED:
            raise Refusal(f"it answered {status} {reason}".strip())
        if not 200 <= status < 300:
            raise ServerAway(f"{self.host}: it answered {status} {reason}".strip())

    def idle(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing: each attempt has a connection of its own."""

    def _post(self, body: bytes, idempotency_key: str) -> tuple[int, str]:
        """The status and its name; what else is answered is not read."""
        timestamp = str(int(time.time()))
        headers = {
            "Content-Type": "application/json", "User-Agent": "fastflow", "Connection": "close",
            "Idempotency-Key": idempotency_key,
            "FastFlow-Timestamp": timestamp, "FastFlow-Signature": f"sha256={signature(self.key, timestamp, body)}",
        }  # fmt: skip
        options: dict[str, Any] = {"timeout": self.seconds, "allow_redirects": False, "stream": True}
        with (
            deadline(self.seconds),
            BoundedSession() as session,  # a new one: cookies are not kept
            session.post(self.url, data=body, headers=headers, **options) as answer,
        ):
            return answer.status_code, str(answer.reason or "")[:SHOWN_CHARACTERS]


def signature(key: bytes, timestamp: str, body: bytes) -> str:
    """Hex HMAC-SHA256 of the timestamp, a full stop and the body."""
    return hmac.new(key, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def innermost(error: BaseException) -> str:
    """What went wrong in the beginning: later texts repeat the address, which may hold a secret."""
    while (cause := error.__context__) is not None:
        error = cause
    return str(error) or type(error).__name__


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Ends the connections that this thread makes meanwhile after so many seconds: a timeout of requests is that of
    each part of an answer, and one that comes byte by byte would never end."""
    made: list[socket.socket] = []
    SOCKETS.made = made

    def cut() -> None:
        for one in list(made):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        SOCKETS.made = []
        for one in made:
            one.close()


class _Noted(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        found: socket.socket = super()._new_conn()
        SOCKETS.made.append(found.dup())  # the connection itself may become a part of TLS
        return found


class _NotedTls(_Noted, HTTPSConnection):
    """The same, encrypted."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Noted


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _NotedTls


class BoundedSession(requests.Session):
    """Connections that `deadline` ends; no body of an answer is read."""

    def __init__(self) -> None:
        super().__init__()
        for scheme in ("http://", "https://"):
            self.mount(scheme, BoundedAdapter())

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: to look where it leads, requests would read its body."""
        return None


class BoundedAdapter(HTTPAdapter):
    """Connections that `deadline` ends."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *arguments: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*arguments, **options)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager
