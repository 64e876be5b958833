"""The clock is set back by a day while things run: what was sent stays sent, what was started is found."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from pipelines.data.appearance import Appearance
from pipelines.monitoring.production_log import read_log
from pipelines.orchestration.services import Service, recorded, started
from pipelines.scoring.production import Production, Scored
from pipelines.tracking import journal

DAY = 86_400
pytestmark = pytest.mark.usefixtures("folder")


def set_back(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now, nanoseconds = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() - seconds)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() - int(seconds * 1e9))


def test_a_journal_that_is_the_oldest_by_its_name_is_not_forgotten_as_it_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in range(journal._DONE_KEPT):
        (journal.DONE / f"{time.time_ns() + number:020d}-before-1").mkdir(parents=True)
    set_back(monkeypatch, DAY)
    written = journal.Journal("night", key="k", name="n", time=journal.milliseconds(), tags={})
    written.close(status="FINISHED")
    journal.finish(written.folder, {"run_id": "1"})
    assert journal.result(written.folder) == {"run_id": "1"}
    assert journal.result_of("k") == {"run_id": "1"}


def test_a_service_is_known_again_after_the_clock_was_set(monkeypatch: pytest.MonkeyPatch) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        service = Service("mlflow", process.pid, started(process.pid))
        before = psutil.Process(process.pid).create_time()
        boot = psutil._pslinux.boot_time
        monkeypatch.setattr(psutil._pslinux, "boot_time", lambda: boot() - DAY)
        assert psutil.Process(process.pid).create_time() == pytest.approx(before - DAY, abs=1)
        assert service.alive()
        assert not service._replace(born=service.born + 1).alive()
    finally:
        process.kill()
        process.wait(30)
    assert not service.alive()


def test_scores_before_and_after_are_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = Appearance(640, 480, 90.0, 20.0, 0.5)
    pixels = np.zeros((4, 4, 3), np.uint8)

    def scored(name: str) -> Scored:
        return Scored(name, name, 0.25, 0, 0.5, "x", looks, pixels)

    for name in ("before", "after"):
        written = Production("plates", "score")  # each trims first
        written.add([scored(name)])
        written.close()
        set_back(monkeypatch, DAY)
    assert list(read_log("plates", since=time.time() - DAY)["name"]) == ["after", "before"]  # by the clock


def test_a_damaged_record_of_services_is_named(folder: Path) -> None:
    record = folder / ".state/services.json"
    record.parent.mkdir()
    record.write_text(json.dumps([{"name": "mlflow", "pid": -1, "born": 1.0}]))
    with pytest.raises(
        ValueError, match=r"services\.json is damaged: 0\.pid is -1; Input should be greater than 0; remove"
    ):
        recorded()
