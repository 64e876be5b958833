"""Downloads from a real server process with every fault: the right file, or an error and nothing to trust."""

import hashlib
import logging
import random
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastflow.errors import BadData
from pipelines.core.stage import ServerAway
from pipelines.data.fetch import fetch
from tests.data.download_kit import serving

CONTENT = random.Random(0).randbytes(600_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(scope="module")
def content_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("served") / "file"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture(scope="module")
def server(content_file: Path) -> Iterator[str]:
    with serving(content_file) as url:
        yield url


@pytest.fixture
def mortal(content_file: Path) -> Iterator[str]:
    """A server for one test, which may end it."""
    with serving(content_file) as url:
        yield url


def get(url: str | list[str], folder: Path) -> Path:
    target = folder / "archive.tar"
    mirrors = [url] if isinstance(url, str) else url
    fetch(mirrors, target, sha256=SHA256, what="a tree", timeout=0.5, attempts=3, pause=0.01)
    return target


BEGUN = {"nothing": b"", "a right part": CONTENT[:50_000], "a wrong part": bytes(50_000), "too much": CONTENT + b"xyz"}
CURED = (
    "good",
    "truncates",
    "stalls_once",
    "promises_more",
    "without_ranges",
    "mislabelled_range",
    "says_416_to_ranges",
    "busy_twice",
)
GIVEN_UP = {
    "truncates_without_ranges": ServerAway,
    "truncates_without_length": BadData,
    "stalls": ServerAway,
    "promises_less": BadData,
    "wrong_bytes": BadData,
    "login_page": BadData,
    "range_unasked": ServerAway,
    "says_416_always": ServerAway,
    "busy": ServerAway,
    "gone": ServerAway,
    "leads_to_a_file": ServerAway,
    "speaks_nonsense": ServerAway,
    "hangs_up": ServerAway,
    "dies": ServerAway,
}


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("fault", CURED)
def test_a_fault_that_patience_or_a_fresh_start_cures(server: str, tmp_path: Path, fault: str, begun: str) -> None:
    (tmp_path / "archive.tar.part").write_bytes(BEGUN[begun])
    assert get(f"{server}/{fault}/{begun.replace(' ', '-')}", tmp_path).read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["archive.tar"]


@pytest.mark.parametrize("begun", ["nothing", "a wrong part"])
@pytest.mark.parametrize("fault", GIVEN_UP)
def test_a_fault_that_stays_ends_in_an_error_and_a_good_mirror_then_cures_it(
    server: str, request: pytest.FixtureRequest, tmp_path: Path, fault: str, begun: str
) -> None:
    (tmp_path / "archive.tar.part").write_bytes(BEGUN[begun])
    expected = GIVEN_UP[fault]
    with pytest.raises((BadData, ServerAway), match=fault) as raised:
        get(f"{request.getfixturevalue('mortal') if fault == 'dies' else server}/{fault}", tmp_path)
    assert begun != "nothing" or type(raised.value) is expected
    assert not (tmp_path / "archive.tar").exists()
    assert get([f"{server}/gone", f"{server}/good"], tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("fault", ["other_range", "range_without_a_word"])
def test_an_answer_with_another_range_is_not_appended(server: str, tmp_path: Path, fault: str) -> None:
    (tmp_path / "archive.tar.part").write_bytes(CONTENT[:50_000])
    if fault == "other_range":
        assert get(f"{server}/{fault}", tmp_path).read_bytes() == CONTENT
    else:
        with pytest.raises(ServerAway, match="another range"):
            get(f"{server}/{fault}", tmp_path)
        assert not (tmp_path / "archive.tar").exists()


def test_a_second_call_goes_on_where_the_first_was_cut(server: str, mortal: str, tmp_path: Path) -> None:
    with pytest.raises(ServerAway):
        get(f"{mortal}/dies", tmp_path)
    assert (tmp_path / "archive.tar.part").read_bytes() == CONTENT[:1000]
    assert get(f"{server}/good", tmp_path).read_bytes() == CONTENT


def test_no_mirror_and_no_server_are_said(tmp_path: Path) -> None:
    with pytest.raises(ServerAway, match="no mirror is given"):
        get([], tmp_path)
    with pytest.raises(ServerAway, match="no answer"):
        get("http://127.0.0.1:9/good", tmp_path)


def test_a_name_without_an_address_is_tried_twice_and_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    asked = []
    real = socket.getaddrinfo

    def counting(host: str, *rest: object, **more: object) -> object:
        asked.append(host)
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", counting)
    with pytest.raises(ServerAway, match=r"one\.invalid has no address.*\n.*two\.invalid has no address") as failure:
        get(["http://one.invalid/archive", "http://two.invalid/archive"], tmp_path)
    assert asked == ["one.invalid"] * 2 + ["two.invalid"] * 2
    assert str(failure.value).count("\n") == 2
    assert caplog.text.count("now the next mirror") == 1


def test_the_server_of_these_tests_serves(server: str) -> None:
    with urllib.request.urlopen(f"{server}/good") as response:
        assert response.read() == CONTENT


def test_a_password_of_a_mirror_is_said_to_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    mirrors = [f"http://user:secret@127.0.0.1:9/{number}" for number in range(2)]  # nothing listens there
    with pytest.raises(ServerAway, match=r"http://127\.0\.0\.1:9/1") as error:
        fetch(mirrors, tmp_path / "a", sha256="0" * 64, what="it", attempts=1)
    assert "http://127.0.0.1:9/0: " in caplog.text
    assert "secret" not in f"{error.value} {caplog.text}"
