"""Connections that send nothing, or little by little, beside requests as usual."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from pipelines.serving.connections import HEADER_SECONDS
from tests.serving.kit import plate, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder"), pytest.mark.filterwarnings("ignore")]


def opened(address: str) -> socket.socket:
    host, port = address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def seconds_until_closed(connection: socket.socket, *, send: bytes = b"") -> float:
    """How long a connection stays that sends one of these bytes each half second, and then nothing."""
    start, left = time.monotonic(), list(send)
    connection.settimeout(0.5)
    while time.monotonic() - start < 4 * HEADER_SECONDS:
        try:
            if left:
                connection.send(bytes([left.pop(0)]))
            if connection.recv(100) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    return time.monotonic() - start


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.01)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_connections_without_a_request_are_closed_and_take_no_place(plates: Path) -> None:
    with serving(plates, "--model", "plates", "--queue", "2", "--seconds", "20") as server, ExitStack() as stack:
        silent = stack.enter_context(opened(server.address))
        trickling = stack.enter_context(opened(server.address))
        slow = [stack.enter_context(opened(server.address)) for _ in range(4)]  # more than the places
        for connection in slow:
            connection.sendall(b"POST /score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\nx")
        assert server.score(plate(1)).status_code == 200  # bodies on their way take no place
        assert seconds_until_closed(trickling, send=b"GET /healthz HTTP/1.1\r\n" * 10) < 2 * HEADER_SECONDS
        assert seconds_until_closed(silent) < HEADER_SECONDS
        for connection in slow:
            connection.settimeout(60)
            assert b"504" in connection.recv(100)  # in --seconds
        with httpx.Client() as client:  # a connection may ask several times
            assert [client.get(f"{server.address}/healthz").status_code for _ in range(3)] == [200] * 3


def test_at_the_limit_of_open_files_the_server_answers_and_its_log_stays_small(plates: Path) -> None:
    with serving(plates, "--model", "plates", limit_files=200) as server, ExitStack() as stack:
        first = [
            stack.enter_context(opened(server.address)) for _ in range(130)
        ]  # half of the files may be connections
        time.sleep(HEADER_SECONDS / 4)
        assert 25 <= sum(map(is_closed, first)) <= 45
        for _ in range(300):
            stack.enter_context(opened(server.address))
        time.sleep(HEADER_SECONDS + 2)
        assert server.score(plate(1)).status_code == 200
        assert len((plates / "serve.log").read_text()) < 5000
