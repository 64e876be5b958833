"""Connections that cost little until they have sent a request: limited in number, and in the time that headers take.

uvicorn limits neither: its `limit_concurrency` answers each further connection, and one that sends nothing stays.
"""

import asyncio
import errno
import socket
import time
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipelines.core.stage import log

HEADER_SECONDS = 10.0
MAX_CONNECTIONS = 512
BACKLOG = 128
"""Connections that the system holds until they are accepted; asyncio accepts so many before any of them is counted."""
REMINDER_SECONDS = 60.0


def max_connections() -> int:
    """As many as half of the files that this process may open allow, so that a model can be replaced meanwhile."""
    try:
        from resource import RLIM_INFINITY, RLIMIT_NOFILE, getrlimit
    except ImportError:  # Windows
        return MAX_CONNECTIONS
    soft, _ = getrlimit(RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == RLIM_INFINITY else max(1, min(MAX_CONNECTIONS, soft // 2))


class BoundedProtocol(H11Protocol):
    """HTTP as uvicorn speaks it. One connection too many is closed at once, and one whose headers do not come is closed
    after `HEADER_SECONDS`, both in silence: a log that every stranger can fill is another way to fill a disk."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            transport.abort()
        else:
            self._expect_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_waiting():
            self._expect_headers()
        else:
            self._forget()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _is_waiting(self) -> bool:
        """Whether no request is under way."""
        return self.cycle is None or self.cycle.response_complete

    def _expect_headers(self) -> None:
        """Starts the time, unless it runs: what trickles in does not start it again."""
        if self._overdue is None:
            self._overdue = self.loop.call_later(HEADER_SECONDS, self._close_late)

    def _forget(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None

    def _close_late(self) -> None:
        if self._is_waiting():
            self.transport.close()


class BoundedServer(uvicorn.Server):
    """uvicorn's server, which says once a minute that files are used up; asyncio says it at each try, in many lines."""

    _said = -REMINDER_SECONDS

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(self._complain)
        await super().startup(sockets)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if getattr(context.get("exception"), "errno", None) not in (errno.EMFILE, errno.ENFILE):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._said >= REMINDER_SECONDS:
            self._said = time.monotonic()
            log.warning("no connection can be taken: as many files are open as may be (ulimit -n)")
