"""The line as it runs: pictures in bursts, half-written, overwritten and damaged; kills, and other sides that fail.

At the end each picture has one verdict at each output, the right one, and in order.
"""

import hashlib
import itertools
import signal
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.line.state import opened, state_file
from pipelines.line.status import waiting
from tests.conftest import until
from tests.line.broker import IS_HERE, Broker, broker_in
from tests.line.kit import KEY, Line, Receiver, grey_of, lines, png, watching, write_model

FAULTS = ["500", "garbage", "lost", "302", "slow", "429", "huge 302"]
BURST = 100


class Camera:
    """Drops pictures into the folder; `dropped`: name and sha256 of each, in order; `late`: those not whole at once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._numbers = folder, itertools.count()
        self.dropped, self.late = list[tuple[str, str]](), set[tuple[str, str]]()

    def drop(self, name: str | None = None, *, half: bool = False, damaged: bool = False) -> tuple[Path, bytes]:
        """A new picture; `half`: only its first half now. Returns its file, and what is missing."""
        number = next(self._numbers)
        content = png(number)[: 40 if damaged else None]
        name = name or f"{number:05}.png"
        self.dropped.append((name, hashlib.sha256(content).hexdigest()))
        if half or damaged:
            self.late.add(self.dropped[-1])
        end = len(content) // 2 if half else len(content)
        (self.folder / name).write_bytes(content[:end])
        return self.folder / name, content[end:]

    def burst(self, count: int) -> None:
        for _ in range(count):
            self.drop()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_each_picture_has_one_verdict_at_each_output_and_in_order_whatever_happens(folder: Path) -> None:
    (folder / "in").mkdir()
    write_model(folder / "model")
    camera, receiver = Camera(folder / "in"), Receiver({25 * n: FAULTS[n % 7] for n in range(1, 60)})
    with ExitStack() as stack:
        stack.callback(receiver.stop)
        broker = stack.enter_context(broker_in(folder)) if IS_HERE else None
        settings: dict[str, Any] = {"station": "press-7", "webhook": {"url": receiver.url, "seconds": 1}}
        if broker:
            settings["mqtt"] = {"host": "127.0.0.1", "port": broker.port, "seconds": 2}
        (folder / "line.yaml").write_text(yaml.safe_dump(settings))
        work(folder, camera, receiver, broker)
        code, log = last_run(folder, camera, receiver, broker)
    assert code == 143, log
    assert "Traceback" not in log
    check(camera, lines(folder), once=True)
    check(camera, receiver.taken)
    if broker:
        check(camera, broker.verdicts)
        assert broker.statuses[-1] == "offline"
        assert "online" in broker.statuses


def watcher(folder: Path) -> Any:
    return watching(folder, "--settle", "0.2", FASTFLOW_LINE_SECRET=KEY)


def work(folder: Path, camera: Camera, receiver: Receiver, broker: Broker | None) -> None:
    """Three watchers, each killed while there is much to do."""
    camera.burst(BURST // 2)
    with watcher(folder) as line:
        judged(folder, 10, line)
        camera.burst(BURST)
        judged(folder, 60, line)
        line.end(signal.SIGKILL)
    receiver.stop()
    camera.burst(BURST // 3)
    with watcher(folder) as line:
        judged(folder, len(camera.dropped) - 20, line)
        camera.burst(BURST // 3)
        receiver.start()
        if broker:
            broker.stop()
        line.end(signal.SIGKILL)
    with watcher(folder) as line:
        camera.drop(damaged=True)
        judged(folder, len(camera.dropped) - 1, line)
        if broker:
            broker.start()
        for name in ("ring0.png", "ring1.png") * 3:  # a camera's ring of two
            camera.drop(name)
            judged(folder, len(camera.dropped) - 1, line)
        line.end(signal.SIGKILL)


def last_run(folder: Path, camera: Camera, receiver: Receiver, broker: Broker | None) -> tuple[int, str]:
    """A fourth, which is ended as one should be. Its exit code, and what all have said."""
    halves = [camera.drop(half=True) for _ in range(3)]
    with watcher(folder) as line:
        judged(folder, len(camera.dropped) - 4, line)
        for path, rest in halves:
            with path.open("ab") as file:
                file.write(rest)
        judged(folder, len(camera.dropped), line)
        until(lambda: not left(folder), line.process, seconds=90)
        keys = keys_of(lines(folder))
        until(lambda: all(keys_of(some) == keys for some in others(receiver, broker)), seconds=30)
        code = line.end(signal.SIGTERM)
        if broker:
            until(lambda: broker.statuses[-1] == "offline", seconds=30)
    return code, line.log.read_text()


def others(receiver: Receiver, broker: Broker | None) -> list[list[dict[str, Any]]]:
    return [receiver.taken, broker.verdicts] if broker else [receiver.taken]


def keys_of(messages: Sequence[dict[str, Any]]) -> set[str]:
    return {one["idempotency_key"] for one in messages}


def judged(folder: Path, count: int, line: Line) -> None:
    until(lambda: len(lines(folder)) >= count, line.process, seconds=90)


def left(folder: Path) -> dict[str, tuple[int, int]]:
    with opened(folder / state_file("plates")) as base:
        return waiting(base)


def check(camera: Camera, messages: Sequence[dict[str, Any]], *, once: bool = False) -> None:
    """Each picture once after its key, the right verdict, in order of arrival; `once`: also without looking at keys."""
    first = {one["idempotency_key"]: one for one in reversed(messages)}
    found = [first[key] for key in dict.fromkeys(one["idempotency_key"] for one in messages)]
    assert len(found) == len(messages) or not once
    numbers = [one["number"] for one in found]
    assert numbers == sorted(numbers)
    names = [(Path(one["path"]).name, one["sha256"]) for one in found]
    assert sorted(names) == sorted(camera.dropped)
    in_order = [name for name in names if name not in camera.late]
    assert in_order == [name for name in camera.dropped if name not in camera.late]
    for one in found:
        if one["error"] is None:
            grey = grey_of(camera.dropped.index((Path(one["path"]).name, one["sha256"]))) / 255
            assert one["pred_score"] == pytest.approx(grey, abs=1e-6)
            assert one["pred_label"] == int(one["pred_score"] > 0.5)
    assert len([one for one in found if one["error"]]) == 1
