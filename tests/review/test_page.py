"""The page's server as a process, over HTTP: two inspectors, a restart, the token, and pages of other sites."""

import io
import re
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from pipelines.review.store import folder_of, opened, picture_file
from tests.conftest import fastflow, write_plates
from tests.review.kit import OWN, Server, decisions, judged, keep, plate, reviewing
from tests.stages import write_tiny_params

HOSTILE = '<img src=x onerror=alert(1)>".png'
TOKEN = "a-token-of-24-characters"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("review")
    write_plates(folder / "images/plates")
    write_tiny_params(folder)
    return folder


@pytest.fixture(scope="module")
def server(project: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        keep(
            *(judged(n, score=0.9, defect=True) for n in range(20)),
            *(judged(n, score=0.2) for n in range(20, 30)),
            judged(99, score=0.9, path=f"/mnt/{HOSTILE}"),
            judged(98, score=0.9, content=b"no picture at all"),
        )
    with reviewing(project) as server:
        yield server


@pytest.fixture(autouse=True)
def _here(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)


def test_two_inspectors_at_once_never_have_the_same_picture(server: Server) -> None:
    def work(name: str) -> list[str]:
        page, seen = server.page(name), []
        for _ in range(6):
            item = page.next()["item"]
            page.decide(item["sha256"], "good")
            seen.append(item["sha256"])
        return seen

    with ThreadPoolExecutor(3) as pool:
        seen = [sha256 for one in pool.map(work, ["Ana", "Ben", "Cem"]) for sha256 in one]
    assert len(set(seen)) == 18
    with opened("plates") as base:
        rows = base.execute("SELECT inspector, sha256, time FROM decisions WHERE inspector <> 'x'").fetchall()
    assert sorted(row["sha256"] for row in rows) == sorted(seen)
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", row["time"]) for row in rows)


def test_undo_brings_the_picture_back_and_all_of_it_is_kept(server: Server) -> None:
    page = server.page("Eva")
    item = page.next()["item"]
    page.decide(item["sha256"], "defect", "deep scratch")
    back = page.ask("undo").json()
    assert back["item"]["sha256"] == item["sha256"]
    page.decide(item["sha256"], "defect", "DENT")
    assert "DENT" in page.get("progress").json()["kinds"]
    with opened("plates") as base:
        rows = base.execute("SELECT * FROM decisions WHERE inspector = 'Eva' ORDER BY id").fetchall()
    assert decisions(rows) == [("Eva", "defect", "deep_scratch"), ("Eva", "undo", ""), ("Eva", "defect", "DENT")]
    other = server.page("Fay")
    assert other.ask("undo").json()["item"] is None
    other.decide(item["sha256"], "good")
    found = other.get("progress").json()
    assert found["disputed"] == 1
    assert [one["inspector"] for one in found["disagreements"][0]["said"]] == ["Eva", "Fay"]


def test_the_picture_its_map_and_a_good_one_are_shown(server: Server, project: Path) -> None:
    page = server.page("Gil")
    (sha256,) = [one.sha256 for one in [judged(1, score=0.9, defect=True)]]
    answer = page.get(f"picture/{sha256}")
    assert answer.headers["Content-Type"] == "image/jpeg"
    shown = np.asarray(Image.open(io.BytesIO(answer.content)), float)
    kept = np.asarray(Image.open(io.BytesIO(plate(1, defect=True))), float)
    assert shown.shape == kept.shape
    assert np.abs(shown - kept).mean() < 3
    assert page.get(f"heat/{sha256}").content.startswith(b"\x89PNG")
    near = np.asarray(Image.open(io.BytesIO(page.get(f"nearest/{sha256}").content)), float)
    train = [np.asarray(Image.open(path), float) for path in sorted((project / "images/plates/train/good").iterdir())]
    assert min(np.abs(near - one).mean() for one in train) < 3


def test_what_is_no_picture_or_is_gone_is_a_sentence(server: Server, project: Path) -> None:
    page = server.page("Hal")
    no_picture = judged(98, score=0.9, content=b"no picture at all").sha256
    answer = page.get(f"picture/{no_picture}")
    assert (answer.status_code, answer.json()["detail"][:27]) == (410, "the picture: not an image o")
    assert page.get(f"picture/{'0' * 64}").status_code == 404
    assert page.get("picture/..%2f..%2freview.sqlite").status_code in (404, 422)
    assert page.get("heat/" + "g" * 64).status_code == 422
    lost = judged(5, score=0.9, defect=True).sha256
    file = picture_file("plates", lost, ".png")
    content = file.read_bytes()
    file.write_bytes(b"x" + content)
    assert "is damaged; skip it" in page.get(f"picture/{lost}").json()["detail"]
    file.unlink()
    assert "is missing; skip it" in page.get(f"picture/{lost}").json()["detail"]
    file.write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        {"action": "good"}, {"sha256": "0" * 64}, {"sha256": "../x", "action": "good"},
        {"sha256": "0" * 64, "action": "undo"}, {"sha256": "0" * 64, "action": "good", "more": 1},
        {"sha256": "0" * 64, "action": "defect", "kind": "a/../b"}, {"sha256": "0" * 64, "action": "defect"},
        {"sha256": "0" * 64, "action": "good", "inspector": "a\nb"},
    ],
)  # fmt: skip
def test_a_decision_that_is_none_is_refused(server: Server, content: dict[str, Any]) -> None:
    assert server.page("x").ask("decide", **content).status_code in (400, 422)


FOREIGN = [
    {},
    OWN | {"Origin": "https://evil.example"},
    OWN | {"Origin": "null"},
    OWN | {"Sec-Fetch-Site": "cross-site"},
    OWN | {"Sec-Fetch-Site": "same-site"},
    OWN | {"Sec-Fetch-Site": "none"},
    {"FastFlow-Review": "2"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("path", ["decide", "next", "undo"])
def test_pages_of_other_sites_change_nothing(server: Server, path: str, headers: dict[str, str]) -> None:
    sha256 = judged(0, score=0.9, defect=True).sha256
    answer = server.page("Mallory").ask(path, headers=headers, sha256=sha256, action="good")
    assert (answer.status_code, answer.json()["detail"][:8]) == (403, "refused:")
    with opened("plates") as base:
        for table in ("decisions", "claims"):
            assert not base.execute(f"SELECT 1 FROM {table} WHERE inspector = 'Mallory'").fetchall()


def test_another_site_gets_no_leave_to_set_the_header_nor_to_read(server: Server) -> None:
    asked = {
        "Origin": "https://evil.example", "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "fastflow-review,content-type",
    }  # fmt: skip
    answer = httpx.options(f"{server.address}/decide", headers=asked, timeout=60)
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]
    answer = httpx.get(f"{server.address}/progress", headers={"Host": "evil.example"}, timeout=60)
    assert answer.status_code == 400  # DNS rebinding


def test_the_own_page_is_answered_and_says_what_may_be_shown(server: Server) -> None:
    own = OWN | {"Origin": server.address, "Sec-Fetch-Site": "same-origin"}
    assert server.page("Ivo").ask("next", headers=own).status_code == 200
    for path in ("", "page.js", "page.css", "progress", "about"):
        answer = httpx.get(f"{server.address}/{path}", timeout=60)
        assert answer.status_code == 200
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_hostile_name_stays_text(server: Server) -> None:
    sha256 = judged(99, score=0.9).sha256
    item = server.page("Jan").next(sha256=sha256)["item"]
    assert item["name"] == HOSTILE
    page = httpx.get(server.address, timeout=60).text
    script = httpx.get(f"{server.address}/page.js", timeout=60).text
    assert HOSTILE not in page
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    assert not re.search(r"\son\w+=|style=|javascript:", page)  # its own policy would refuse them


def test_a_restart_between_two_decisions_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_params(tmp_path)
    keep(*(judged(n, score=0.9) for n in range(4)))
    with reviewing(tmp_path) as server:
        page = server.page("Ana")
        first = page.next()["item"]["sha256"]
        page.decide(first, "good")
        held = page.next()["item"]["sha256"]
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(60)
    with reviewing(tmp_path) as server:
        assert server.page("Ana").next()["item"]["sha256"] == held
        assert server.page("Ben").next()["item"]["sha256"] not in (first, held)
        assert server.page("Ana").ask("undo").json()["item"]["sha256"] == first
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(60) in (0, -signal.SIGTERM)
    assert "Traceback" not in (tmp_path / "review.log").read_text()


def test_with_a_token_nobody_else_gets_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_tiny_params(tmp_path)
    (sha256,) = keep(judged(1, score=0.9))
    with reviewing(tmp_path, "--host", "0.0.0.0", FASTFLOW_TOKEN=TOKEN) as server:
        stranger = server.page("Mallory")
        for path in ("", "page.js", "progress", f"picture/{sha256}", f"heat/{sha256}", f"nearest/{sha256}", "nowhere"):
            assert stranger.get(path).status_code == 401, path
        for path in ("next", "decide", "undo"):
            assert stranger.ask(path, sha256=sha256, action="good").status_code == 401
        mine = server.page("Ana", Authorization=f"Bearer {TOKEN}")
        assert mine.next()["item"]["sha256"] == sha256
        forged = {"Authorization": f"Bearer {TOKEN}", "Origin": "https://evil.example", **OWN}
        assert mine.ask("decide", headers=forged, sha256=sha256, action="good").status_code == 403
    with opened("plates") as base:
        assert not base.execute("SELECT 1 FROM decisions").fetchall()


def test_other_addresses_need_a_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FASTFLOW_TOKEN", raising=False)
    assert fastflow("review", "plates") == 2  # no project
    write_tiny_params(tmp_path)
    assert fastflow("review", "plates", "--host", "0.0.0.0") == 2
    assert "a token is needed, as --host 0.0.0.0 can be reached by others" in capsys.readouterr().err
    assert fastflow("review", "plates", "--yes") == 2
    assert not folder_of("plates").exists()


def test_a_body_without_bound_is_not_read(server: Server) -> None:
    long = b'{"inspector": "' + b"x" * 20_000 + b'"}'
    for content in (long, iter([long[:10_000], long[10_000:]])):  # the latter without a length
        answer = httpx.post(f"{server.address}/undo", content=content, headers=OWN, timeout=60)
        assert (answer.status_code, answer.json()["detail"][:8]) == (413, "refused:")
