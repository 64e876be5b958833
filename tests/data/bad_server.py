"""Servers that fail an MLflow client in each way a server can."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def bad_server(kind: str) -> Iterator[str]:
    """An address where nobody listens, nobody answers, each answer is an error, or each answer takes its time."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    address = f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"
    if kind == "refused":
        listener.close()
        yield address
        return
    listener.listen(64)
    held: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            held.append(connection)
            if kind in ("error", "slow"):
                threading.Thread(target=answer, args=[connection], daemon=True).start()

    def answer(connection: socket.socket) -> None:
        try:
            connection.recv(65536)
            time.sleep(3 if kind == "slow" else 0)
            connection.sendall(b"HTTP/1.1 500 Broken\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            connection.close()
        except OSError:
            pass

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield address
    finally:
        listener.close()
        for connection in held:
            connection.close()
