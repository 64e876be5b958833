"""A review in small: pictures kept as the watcher keeps them, and the page's server as a process of its own."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import numpy as np
from PIL import Image

from fastflow.decode import AS_MEANT
from fastflow.regions import Region, find_regions
from pipelines.review.keep import Judged, Keeper
from pipelines.review.rule import Rule
from tests.conftest import SIZE, draw_square, free_port

OWN = {"FastFlow-Review": "1"}
MODEL, THRESHOLD = "models:/fastflow-plates/3", 0.5


def plate(seed: int, *, defect: bool) -> bytes:
    file = io.BytesIO()
    Image.fromarray(draw_square(seed=seed, defect=defect)[0]).save(file, "PNG")
    return file.getvalue()


def regions_of(seed: int) -> list[Region]:
    """Of a plate with a square: that square."""
    return find_regions(draw_square(seed=seed, defect=True)[1].astype(np.float32), (SIZE, SIZE), threshold=0.5)


def heat() -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (SIZE, SIZE), (200, 80, 20, 120)).save(file, "PNG")
    return file.getvalue()


def judged(seed: int, *, score: float, defect: bool = False, path: str = "", content: bytes = b"") -> Judged:
    """A picture with this verdict; `defect`: it shows one, whatever the verdict."""
    content = content or plate(seed, defect=defect)
    return Judged(
        path=path or f"/mnt/camera/{seed:04}.png", suffix=".png", content=content,
        sha256=hashlib.sha256(content).hexdigest(), shape=(SIZE, SIZE), model=MODEL, pred_score=score,
        threshold=THRESHOLD, pred_label=int(score > THRESHOLD), reading=AS_MEANT,
        regions=regions_of(seed) if defect else [], heat=heat,
    )  # fmt: skip


def keep(*pictures: Judged, rule: Rule = Rule()) -> list[str]:  # noqa: B008
    """Kept in the current folder's project; their sha256."""
    keeper = Keeper("plates", rule)
    keeper.wants(pictures)
    keeper.close()
    return [one.sha256 for one in pictures]


class Page(NamedTuple):
    """An inspector at the page."""

    address: str
    inspector: str
    headers: dict[str, str]

    def ask(self, path: str, *, headers: dict[str, str] | None = None, **content: Any) -> httpx.Response:
        own = OWN | self.headers if headers is None else headers
        return httpx.post(
            f"{self.address}/{path}", json={"inspector": self.inspector} | content, headers=own, timeout=60
        )

    def next(self, **content: Any) -> dict[str, Any]:
        answer = self.ask("next", **content)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def decide(self, sha256: str, action: str, kind: str = "") -> None:
        answer = self.ask("decide", sha256=sha256, action=action, kind=kind)
        assert answer.status_code == 200, answer.text

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.address}/{path}", headers=self.headers, timeout=60, **options)


class Server(NamedTuple):
    address: str
    process: "subprocess.Popen[bytes]"

    def page(self, inspector: str, **headers: str) -> Page:
        return Page(self.address, inspector, headers)


@contextmanager
def reviewing(folder: Path, *options: str, **environment: str) -> Iterator[Server]:
    """The server of plates in `folder`; killed at the end."""
    port = free_port()
    command = [sys.executable, "-m", "pipelines.cli.app", "review", "plates", "--port", str(port), *options]
    log = folder / "review.log"
    with log.open("ab") as said:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdout=said, stderr=said, start_new_session=True
        )
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while not answers(address):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield Server(address, process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def decisions(rows: Sequence[Any]) -> list[tuple[str, str, str]]:
    return [(row["inspector"], row["action"], row["kind"]) for row in rows]
