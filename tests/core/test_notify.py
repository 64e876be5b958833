"""A message to a webhook."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pipelines.core.notify import notify


@pytest.mark.parametrize("answer", [200, 500])
def test_a_message_goes_to_the_webhook_and_its_secret_to_no_log(
    answer: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    got = []

    class Chat(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answer)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            return

    server = HTTPServer(("127.0.0.1", 0), Chat)
    thread = threading.Thread(target=server.handle_request)
    thread.start()
    monkeypatch.setenv("FASTFLOW_WEBHOOK", f"http://127.0.0.1:{server.server_port}/hooks/secret")
    assert notify("failed", "bottle failed (no masks)") is (answer == 200)
    thread.join(120)
    server.server_close()
    assert got[0]["text"] == "FastFlow, failed: bottle failed (no masks)"
    assert ("was not sent" in caplog.text) is (answer != 200)
    assert "secret" not in caplog.text
    monkeypatch.setenv("FASTFLOW_WEBHOOK", "file:///etc/passwd")
    assert not notify("failed", "x")


@pytest.mark.parametrize(
    "address",
    [
        "http://user:secret@127.0.0.1/hook",
        "http://user:secret@127.0.0.1:9/hook",
        "http://127.0.0.1/hooks/secret of ours",
        "http://127.0.0.1:secret/hook",
        "http://[secret/hook",
        "secret",
    ],
)
def test_a_wrong_address_ends_nothing_and_is_in_no_log(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("FASTFLOW_WEBHOOK", address)
    assert not notify("failed", "x")
    assert "was not sent" in caplog.text
    assert "secret" not in caplog.text
