"""Who the scoring service answers, and the address that it prints."""

import socket
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.middleware.trustedhost import TrustedHostMiddleware
from fastapi.testclient import TestClient

from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.guard import check_token, is_local, own_names, url_of
from pipelines.serving.models import Models
from pipelines.serving.serve import bind, category_of
from pipelines.serving.verdicts import Limits
from tests.registry.kit import checkpoint
from tests.serving.kit import DecodersHere
from tests.serving.test_batching import HeldDetector

TOKEN = "a-secret-of-24-letters"
IN_BASE64 = b64encode(f"x:{TOKEN}".encode()).decode()


@pytest.fixture
def client() -> Iterator[TestClient]:
    models = Models.__new__(Models)
    models.detectors, models.failures = {"plates": HeldDetector()}, {}
    limits = Limits(max_bytes=1000, max_pixels=1000, seconds=1, at_once=1)
    batcher = Batcher(batch_size=1, max_waiting=1)
    with TestClient(build_app(models, batcher, DecodersHere(max_pixels=1000), limits=limits, token=TOKEN)) as client:
        yield client
    batcher.end()


def paths(client: TestClient) -> list[str]:
    """All that the service answers to, by its own description, and what that leaves out."""
    described = client.get("/openapi.json", auth=("x", TOKEN)).json()["paths"]
    return [*described, "/", "/page.js", "/page.css", "/openapi.json", "/nowhere"]


def test_nothing_but_liveness_answers_without_the_token(client: TestClient) -> None:
    found = {path: {client.get(path).status_code, client.post(path).status_code} for path in paths(client)}
    assert len(found) > 8
    assert 401 not in found.pop("/healthz")
    assert set(map(frozenset, found.values())) == {frozenset({401})}
    assert client.get("/").json() == {"detail": "a token is needed"}
    assert client.get("/").headers["WWW-Authenticate"].startswith("Basic ")
    assert client.get("/").headers["X-Content-Type-Options"] == "nosniff"


OWN = [
    {},  # of curl and of programs
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "none"},
    {"Origin": "http://testserver"},
    {"Origin": "https://TestServer"},
    {"Host": "127.0.0.1:8000", "X-Forwarded-Host": "scores.example:8443", "Origin": "https://scores.example:8443"},
]
FOREIGN = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another port of this machine is another site's page, too
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"},
    {"Sec-Fetch-Site": "anything new"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://testserver.evil.example"},
    {"Origin": "http://evil.example/http://testserver"},
    {"Origin": "http://testserver:8000"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://["},
]


@pytest.mark.parametrize("headers", OWN, ids=str)
def test_own_pages_and_programs_may_send_pictures(client: TestClient, headers: dict[str, str]) -> None:
    assert client.post("/score", content=b"no image", auth=("x", TOKEN), headers=headers).status_code == 415


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_page_of_another_site_may_not(client: TestClient, headers: dict[str, str]) -> None:
    """A browser sends what its page asks for, and a password that it knows; the page only cannot read the answer."""
    found = client.post("/score", content=b"no image", auth=("x", TOKEN), headers=headers)
    assert (found.status_code, found.json()) == (403, {"detail": "refused: sent by a page of another site"})
    assert client.get("/readyz", auth=("x", TOKEN), headers=headers).status_code == 200, "a link to a page opens"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_token_opens_all(client: TestClient, scheme: str) -> None:
    for path in paths(client):
        assert client.get(path, headers={"Authorization": f"{scheme} {TOKEN}"}).status_code != 401
        assert client.get(path, auth=("any name", TOKEN)).status_code != 401


@pytest.mark.parametrize(
    "value",
    [
        f"Bearer {TOKEN}x",
        f"Bearer {TOKEN[:-1]}",
        "Bearer ",
        TOKEN,
        "Basic",
        "Basic !!",
        "Basic YQ==",
        f"Basic {IN_BASE64[:4]}!{IN_BASE64[4:]}",
        f"Digest {TOKEN}",
    ],
)
def test_any_other_one_is_refused(client: TestClient, value: str) -> None:
    assert client.get("/readyz", headers={"Authorization": value}).status_code == 401
    assert client.get("/readyz", auth=(TOKEN, "")).status_code == 401


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f"{TOKEN}\r", f"a {TOKEN}", f"{TOKEN}é", f"{TOKEN}\0", "\n"])
@pytest.mark.parametrize("local", [True, False])
def test_a_token_that_no_request_can_bear_is_refused_at_start(token: str, local: bool) -> None:
    with pytest.raises(ValueError, match="not ASCII; allowed: ! to ~"):
        check_token(token, host="here", local=local)


def test_a_short_token_is_none() -> None:
    check_token("", host="::1", local=True)
    check_token("x" * 16, host="0.0.0.0", local=False)
    for token in ("", "x" * 15):
        with pytest.raises(ValueError, match=r"--host 0\.0\.0\.0 can be reached by others: set FASTFLOW_TOKEN"):
            check_token(token, host="0.0.0.0", local=False)
    with pytest.raises(ValueError, match="is too short"):
        check_token("x", host="::1", local=True)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", "127.0.0.1"), ("localhost", None), ("LOCALHOST", None), ("::1", "[::1]"),
        ("0:0:0:0:0:0:0:1", "[::1]"), ("127.1", "127.0.0.1"), ("127.0.0.2", "127.0.0.2"),
        ("0.0.0.0", "127.0.0.1"), ("::", "[::1]"),        ("0", "127.0.0.1"),
    ],
)  # fmt: skip
def test_the_address_that_is_printed_opens(host: str, name: str | None) -> None:
    with bind(host, 0) as bound:
        bound.listen()
        address, port = bound.getsockname()[:2]
        printed = url_of(address, port)
        assert name is None or printed == f"http://{name}:{port}/"
        opened = printed.removeprefix("http://").removesuffix(f":{port}/").strip("[]")
        socket.create_connection((opened, port), timeout=5).close()
        assert is_local(address) == (host not in ("0.0.0.0", "::", "0"))


@pytest.mark.parametrize(("host", "status"), [
    ("localhost:80", 200), ("LOCALHOST", 200), ("localhost.", 200), ("127.0.0.1:9", 200), ("[::1]:8080", 200),
    ("[::1]", 200), ("evil.example", 400), ("evil.example:80", 400), ("[::2]:80", 400),
    ("", 400), ("localhost.evil.example", 400),
])  # fmt: skip
def test_only_a_name_of_this_machine_is_answered(host: str, status: int) -> None:
    models = Models.__new__(Models)
    models.detectors, models.failures = {"plates": HeldDetector()}, {}
    batcher = Batcher(batch_size=1, max_waiting=1)
    app = build_app(models, batcher, DecodersHere(max_pixels=1), limits=Limits(1, 1, 1, at_once=1))
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=own_names("127.0.0.1", "LocalHost"))
    with TestClient(app) as client:
        assert client.get("/healthz", headers={"Host": host}).status_code == status
    batcher.end()


def test_the_names_of_a_service_are_those_that_it_was_started_with() -> None:
    local = ["127.0.0.1", "[::1]", "localhost", "localhost."]
    assert own_names("192.0.2.7", "Line-3.example") == sorted([*local, "192.0.2.7", "line-3.example"])
    assert own_names("2001:db8::7", "2001:DB8::7") == sorted([*local, "[2001:db8::7]"])


def test_a_model_that_names_no_category_is_refused(tmp_path: Path) -> None:
    checkpoint(tmp_path / "mine", 1)
    with pytest.raises(ValueError, match="mine does not say which category it is of"):
        category_of(str(tmp_path / "mine"), "")
