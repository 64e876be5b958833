"""Addresses in the environment: the store's as people write it, and proxies that are not for this machine."""

import os
import pwd
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from pipelines.core.environment import corrections, no_proxy_here
from pipelines.core.tracking_uri import is_on_this_disk, tracking_uri
from tests.conftest import free_port


@pytest.mark.parametrize("empty", [None, "", " "])
def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch, empty: str | None) -> None:
    if empty is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", empty)
    assert tracking_uri() is None
    assert is_on_this_disk(None)


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "https://mlflow", "sqlite:////tmp/a b.db"])
def test_an_address_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert tracking_uri() == uri
    assert is_on_this_disk(uri) == uri.startswith("sqlite")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("localhost:5000", "is 'localhost:5000'; allowed: .*for a server: http://localhost:5000"),
        ("me:secret@host:5000", "is 'host:5000'; allowed"),
        ("postgresql://me:secret@host/mlflow", r"driver psycopg2 is not installed; run: .*'\.\[postgresql\]'"),
        ("mysql+pymysql://me:secret@host/mlflow", "driver pymysql is not installed; run: .*pip install pymysql"),
    ],
)
def test_a_slip_is_one_sentence_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch, uri: str, said: str) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ValueError, match=said) as error:
        tracking_uri()
    assert "secret" not in str(error.value)


def test_a_proxy_is_not_asked_for_servers_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
        monkeypatch.setenv("no_proxy", "intranet")
        with pytest.raises(requests.exceptions.ProxyError):
            requests.get(address, timeout=10)
        added = no_proxy_here({"no_proxy": "intranet", "NO_PROXY": "127.0.0.1"})
        for name, value in added.items():
            monkeypatch.setenv(name, value)
        assert requests.get(address, timeout=10).status_code == 204
        server.shutdown()
    assert added["no_proxy"] == added["NO_PROXY"] == "127.0.0.1,intranet,localhost,::1"


def test_a_user_without_an_entry_in_passwd_has_a_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(uid: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    assert not {"HOME", "USER"} & corrections(os.environ).keys()
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    added = corrections(os.environ)
    assert (added["HOME"], added["USER"]) == (str(folder.resolve() / ".state/home"), f"uid{os.getuid()}")
