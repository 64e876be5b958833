"""The scoring service as a process of its own, asked over HTTP."""

import base64
import http.client
import io
import os
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import pack

import httpx
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from pipelines.registry.detectors import open_detector
from tests.conftest import FULL, SIZE, draw_square
from tests.serving.kit import plate, serving

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("folder"), pytest.mark.filterwarnings("ignore")]


def bomb(width: int, height: int) -> bytes:
    """A PNG of black pixels, some hundred kB long."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return pack(">I", len(content)) + kind + content + pack(">I", zlib.crc32(kind + content))

    line = zlib.compressobj(9)
    body = b"".join(line.compress(b"\0" * (width + 1)) for _ in range(height)) + line.flush()
    header = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def test_verdicts_limits_and_pages(plates: Path) -> None:
    with serving(plates, "--model", "plates", "--max-bytes", "1000000") as server:
        detector = open_detector("plates")
        for seed in range(4):
            found = server.score(plate(seed, defect=seed > 1), map="true").json()
            pixels = draw_square(seed=seed, defect=seed > 1)[0].transpose(2, 0, 1)[None]
            assert found["pred_score"] == pytest.approx(float(detector.predict(pixels).pred_score[0]), rel=1e-4)
            assert found["pred_label"] == int(found["pred_score"] > 0.5)
            assert found["category"] == "plates"
            with Image.open(io.BytesIO(base64.b64decode(found["anomaly_map"]))) as heat:
                assert (heat.size, heat.mode) == ((SIZE, SIZE), "RGBA")
        assert server.score(plate(0, kind="JPEG")).status_code == 200
        assert server.score(plate(0), category="spoons").status_code == 404
        assert server.score(b"").status_code == 400
        assert server.score(b"<svg onload=alert(1)>").status_code == 415
        assert server.score(plate(0)[:300]).status_code == 400
        assert server.score(os.urandom(1_000_001)).status_code == 413
        assert httpx.post(f"{server.address}/score", content=iter([b"x" * 600_000] * 2)).status_code == 413
        assert httpx.get(f"{server.address}/score").status_code == 405
        assert httpx.get(server.address, headers={"Host": "evil.example"}).status_code == 400

        memory, large = psutil.Process(server.process.pid), bomb(20_000, 20_000)
        before, start = memory.memory_info().rss, time.perf_counter()
        refused = server.score(large)
        assert (refused.status_code, "400000000 pixels" in refused.text) == (413, True)
        assert time.perf_counter() - start < 1
        assert memory.memory_info().rss - before < 100e6

        assert "10000x8000 pixels" in server.score(bomb(10_000, 8_000)).text
        metrics = httpx.get(f"{server.address}/metrics").text
        assert 'fastflow_requests_total{category="plates",status="413"} 4.0' in metrics
        assert 'fastflow_requests_total{category="unknown",status="404"} 1.0' in metrics
        assert "unknown" not in httpx.get(f"{server.address}/version").text
        page = httpx.get(server.address)
        assert "Drop a photograph here" in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "/score" in httpx.get(f"{server.address}/openapi.json").json()["paths"]
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) in (0, -signal.SIGTERM)


def test_what_was_taken_in_is_answered_and_what_is_too_much_is_refused(plates: Path) -> None:
    with serving(plates, "--model", "plates", "--queue", "6", "--threads", "1") as server:
        image = plate(1, size=1500)  # long enough to decode that they pile up

        def ask(_: int) -> int:
            try:
                return server.score(image).status_code
            except httpx.TransportError:  # not taken in: the socket was closed already
                return 0

        with ThreadPoolExecutor(24) as pool:
            statuses = list(pool.map(ask, range(48)))
            assert set(statuses) == {200, 429}
        begun = http.client.HTTPConnection(server.address.removeprefix("http://"), timeout=60)
        begun.putrequest("POST", "/score")
        begun.putheader("Content-Length", str(len(image)))
        begun.endheaders(image[:1000])
        time.sleep(0.5)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert ask(0) == 0  # no new ones
        begun.send(image[1000:])
        assert begun.getresponse().status == 200
        assert server.process.wait(30) in (0, -signal.SIGTERM)


FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "TIFF")
BODIES = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.sampled_from(FORMATS), st.integers(0, 3), st.integers(0, 20_000), st.binary(max_size=40)).map(
        lambda drawn: spoiled(plate(drawn[1], kind=drawn[0]), at=drawn[2], by=drawn[3])
    ),
)
TEXTS = st.one_of(st.none(), st.sampled_from(["plates", "true", "1", ""]), st.text(max_size=20))


def spoiled(content: bytes, *, at: int, by: bytes) -> bytes:
    """An image file, with other bytes somewhere in it; cut off there where `by` is empty."""
    at %= len(content)
    return content[:at] + by + content[at + len(by) :] if by else content[:at]


def test_no_request_whatever_ends_in_an_error_of_ours(plates: Path) -> None:
    with serving(plates, "--model", "plates") as server, httpx.Client(timeout=60) as client:
        counted: Counter[int] = Counter()

        @settings(
            max_examples=6000 if FULL else 1500, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(body=BODIES, category=TEXTS, heat=TEXTS, kind=st.sampled_from(["image/png", "application/json", "a/b"]))
        def fuzz(body: bytes, category: str | None, heat: str | None, kind: str) -> None:
            query = {k: v for k, v in (("category", category), ("map", heat)) if v is not None}
            answer = client.post(f"{server.address}/score", content=body, params=query, headers={"Content-Type": kind})
            counted[answer.status_code] += 1
            assert answer.status_code in (200, 400, 404, 413, 415, 422), (answer.text, body, query)
            assert answer.json()

        fuzz()
        assert {200, 400, 404, 415, 422} <= set(counted)
        assert server.score(plate(1)).status_code == 200


def test_strangers_need_a_token_and_a_port_is_ours_alone(plates: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "pipelines.cli.app", "serve", "--model", "plates", "--host", "0.0.0.0"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (refused.returncode, "set FASTFLOW_TOKEN" in refused.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused = subprocess.run(
            [sys.executable, "-m", "pipelines.cli.app", "serve", "--model", "no model is opened", "--port", port],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert refused.returncode == 2
    assert "Address already in use" in refused.stderr
    with serving(plates, "--model", "plates", FASTFLOW_TOKEN="a-secret-of-24-letters") as server:
        assert server.score(plate(1)).status_code == 401
        bearer = {"Authorization": "Bearer a-secret-of-24-letters"}
        assert httpx.post(f"{server.address}/score", content=plate(1), headers=bearer, timeout=60).status_code == 200
