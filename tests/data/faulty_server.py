"""A web server with the faults of real ones, run as a process: python -m tests.data.faulty_server FILE

It prints its port. The path's first part says how it behaves; each path counts its requests, for faults that pass.
"""

import os
import re
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONTENT = Path(sys.argv[1]).read_bytes() if __name__ == "__main__" else b""
ASKED: Counter[str] = Counter()


class Faulty(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def log_message(self, *args: object) -> None:
        return

    def do_GET(self) -> None:
        ASKED[self.path] += 1
        getattr(self, self.path.split("/")[1])(ASKED[self.path])

    def answer(self, status: int, body: bytes, *, length: int | None = None, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def start(self) -> int:
        found = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        return int(found[1]) if found else 0

    def good(self, turn: int, *, sent: int | None = None) -> None:
        """Ranges as the standard has them; at most `sent` bytes of what was promised."""
        first = self.start()
        if first >= len(CONTENT):
            self.answer(416, b"")
            return
        body = CONTENT[first:]
        note = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}" if first else ""
        self.answer(206 if first else 200, body[:sent], length=len(body), content_range=note)

    def slow(self, turn: int) -> None:
        """Whole, in twenty pieces over half a second."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        step = len(CONTENT) // 20 + 1
        for first in range(0, len(CONTENT), step):
            self.wfile.write(CONTENT[first : first + step])
            self.wfile.flush()
            time.sleep(0.025)

    def truncates(self, turn: int) -> None:
        self.good(turn, sent=len(CONTENT) // 3)

    def truncates_without_ranges(self, turn: int) -> None:
        self.answer(200, CONTENT[: len(CONTENT) * 3 // 5], length=len(CONTENT))

    def truncates_without_length(self, turn: int) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(CONTENT[: len(CONTENT) // 2])

    def stalls_once(self, turn: int) -> None:
        if turn > 1:
            return self.good(turn)
        self.good(turn, sent=1000)
        time.sleep(3)
        return None

    def stalls(self, turn: int) -> None:
        self.good(turn, sent=0)
        time.sleep(3)

    def promises_more(self, turn: int) -> None:
        first = self.start()
        if first >= len(CONTENT):
            return self.answer(416, b"")
        note = f"bytes {first}-{len(CONTENT) + 99}/{len(CONTENT) + 100}" if first else ""
        return self.answer(
            206 if first else 200, CONTENT[first:], length=len(CONTENT) - first + 100, content_range=note
        )

    def promises_less(self, turn: int) -> None:
        self.answer(200, CONTENT, length=len(CONTENT) - 100)

    def wrong_bytes(self, turn: int) -> None:
        self.answer(200, bytes(len(CONTENT)))

    def login_page(self, turn: int) -> None:
        self.answer(200, b"<html>Please sign in</html>")

    def without_ranges(self, turn: int) -> None:
        self.answer(200, CONTENT)

    def other_range(self, turn: int) -> None:
        """Answers a request for a range with one that starts elsewhere."""
        if not self.start():
            return self.good(turn)
        return self.answer(206, CONTENT[5:], content_range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")

    def mislabelled_range(self, turn: int) -> None:
        """Says that it sends the range, and sends the first bytes."""
        first = self.start()
        if not first:
            return self.good(turn)
        note = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
        return self.answer(206, CONTENT[: len(CONTENT) - first], content_range=note)

    def range_unasked(self, turn: int) -> None:
        self.answer(206, CONTENT[9:], content_range=f"bytes 9-{len(CONTENT) - 1}/{len(CONTENT)}")

    def range_without_a_word(self, turn: int) -> None:
        self.answer(206, CONTENT[self.start() :])

    def says_416_always(self, turn: int) -> None:
        self.answer(416, b"")

    def says_416_to_ranges(self, turn: int) -> None:
        self.answer(416, b"") if self.start() else self.good(turn)

    def busy_twice(self, turn: int) -> None:
        self.answer(503, b"later") if turn <= 2 else self.good(turn)

    def busy(self, turn: int) -> None:
        self.answer(503, b"later")

    def gone(self, turn: int) -> None:
        self.answer(404, b"no such share")

    def leads_to_a_file(self, turn: int) -> None:
        self.send_response(302)
        self.send_header("Location", f"file://{Path(sys.argv[1]).resolve()}")
        self.end_headers()

    def speaks_nonsense(self, turn: int) -> None:
        self.wfile.write(b"\x00\x01 what?\r\n\r\n")

    def hangs_up(self, turn: int) -> None:
        self.wfile.close()

    def dies(self, turn: int) -> None:
        self.good(turn, sent=1000)
        os._exit(1)


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Faulty)
    print(server.server_port, flush=True)
    server.serve_forever()
