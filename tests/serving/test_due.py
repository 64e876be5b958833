"""A server is ready only after today's check of master parts, by the model that it serves, where that is required."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient

from fastflow.sealed import write_threshold
from pipelines.core.params import Masters, read_params
from pipelines.core.params_edit import write_values
from pipelines.qualification.masters_record import Judged, MastersCheck, record_file, why_not_ready, write_check
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.due import required_checks
from pipelines.serving.models import Models
from pipelines.serving.verdicts import Limits
from tests.conftest import ROOT, fastflow
from tests.qualification.kit import MODEL, write_project
from tests.qualification.test_masters import add_parts, write_today
from tests.qualification.test_repeatability import CLEAR
from tests.serving.kit import DecodersHere, plate, serving
from tests.serving.test_batching import HeldDetector

NOW = datetime(2026, 3, 1, 6, 0, tzinfo=UTC)
RULE = Masters(required=True, hours=12)


def judged(part: str, expect: Any, score: float) -> Judged:
    label: Any = int(score > 0.5)
    sha256 = part.encode().hex().ljust(64, "0")
    return Judged(part=part, expect=expect, file=f"{part}.png", sha256=sha256, pred_score=score, pred_label=label)


def write(**changes: Any) -> None:
    """A check that all parts passed, at `NOW`, of version 3, whose weights are 0123456789ab."""
    values: dict[str, Any] = {
        "category": "plates", "time": NOW, "since": NOW, "model": "fastflow-plates/3", "weights": "0123456789ab",
        "threshold": 0.5, "new_photographs": False, "shots": [judged("a", "good", 0.2), judged("b", "defect", 0.9)],
    }  # fmt: skip
    write_check(MastersCheck(**values | changes))


def why(rule: Masters = RULE, **changes: Any) -> str | None:
    asked: dict[str, Any] = {"model": "fastflow-plates/3 onnx-fp32", "threshold": 0.5, "now": NOW + timedelta(hours=12)}
    return why_not_ready("plates", rule, **asked | changes)


def test_a_check_of_the_served_model_holds_so_many_hours(folder: Path) -> None:
    assert "there is no check of master parts; run: fastflow masters plates check" in str(why())
    write()
    assert why() is None
    assert why(model="0123456789ab openvino-fp32") is None
    assert "is 12.0 hours old; allowed: 12" in str(why(now=NOW + timedelta(hours=12, seconds=1)))
    assert why(now=NOW - timedelta(minutes=5)) is None
    assert "-0.1 hours old" in str(why(now=NOW - timedelta(minutes=6)))


def test_another_model_or_threshold_needs_its_own_check(folder: Path) -> None:
    write()
    assert "is of model fastflow-plates/3, and fastflow-plates/4 onnx-fp32 is served" in str(
        why(model="fastflow-plates/4 onnx-fp32")
    )
    assert why(threshold=0.5 * (1 + 1e-7)) is None
    assert "is of threshold 0.5, and 0.51 is served" in str(why(threshold=0.51))
    write(model="exported onnx-int8", weights="")
    assert why(model="exported onnx-int8") is None
    assert why(model=" onnx-int8") is not None


def test_a_wrong_verdict_a_damaged_record_and_old_photographs(folder: Path) -> None:
    write(shots=[judged("a", "good", 0.7), judged("b", "defect", 0.9)])
    assert "1 of 2 master parts got the wrong verdict: a; see masters/plates.html" in str(why())
    new = Masters(required=True, hours=12, new_photographs=True)
    write()
    assert "was of stored photographs, and new ones are required" in str(why(new))
    write(new_photographs=True, time=NOW + timedelta(hours=11))
    assert why(new) is None
    assert "12.5 hours old" in str(why(new, now=NOW + timedelta(hours=12.5)))  # of the photographs, not of the check
    for text in ("{", '{"format": 1}', record_file("plates").read_text().replace("0.2", "NaN")):
        record_file("plates").write_text(text)
        assert "masters/plates.json is damaged" in str(why())


@pytest.fixture
def models() -> Models:
    made = Models.__new__(Models)
    made.detectors, made.failures = {"plates": HeldDetector(), "gears": HeldDetector()}, {}
    return made


@pytest.fixture
def held(folder: Path, models: Models) -> Iterator[TestClient]:
    """A server of version 1 of plates, checked by masters, and of gears, which is not."""
    limits, batcher = Limits(10_000, 10_000, 30, at_once=4), Batcher(batch_size=1, max_waiting=4)
    app = build_app(models, batcher, DecodersHere(max_pixels=10_000), limits=limits, masters={"plates": RULE})
    with TestClient(app) as client:
        yield client
    batcher.end()


def test_readiness_says_no_with_the_reason_then_yes_and_no_for_a_new_champion(held: TestClient, models: Models) -> None:
    answer = held.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["status"] == "not ready"
    assert list(answer.json()["masters"]) == ["plates"]
    assert "there is no check of master parts" in answer.json()["masters"]["plates"]
    assert held.get("/healthz").status_code == 200
    now = datetime.now(UTC)
    write(model="1", time=now, since=now, threshold=float(HeldDetector().threshold["image"]))
    assert held.get("/readyz").json() == {"status": "ready", "categories": ["plates", "gears"], "not_replaced": {}}
    champion = HeldDetector()
    champion.version = "2"
    models.detectors["plates"] = champion
    answer = held.get("/readyz")
    assert answer.status_code == 503
    assert "is of model 1, and 2 is served" in answer.json()["masters"]["plates"]


def test_params_without_the_section_require_nothing(folder: Path) -> None:
    served = dict.fromkeys(("plates", "gears", "bolts"), HeldDetector())
    assert required_checks(served) == {}
    text = (ROOT / "params.yaml").read_text()
    line = next(line for line in text.splitlines(keepends=True) if line.startswith("masters:"))
    (folder / "params.yaml").write_text(text.replace(line, ""))
    assert read_params().masters == {}
    assert required_checks(served) == {}
    (folder / "params.yaml").write_text(text)
    write_values({"masters": {"plates": {"required": True, "hours": 8}, "gears": {"hours": 8}}})
    assert required_checks(served) == {"plates": Masters(required=True, hours=8)}
    with pytest.raises(ValueError, match=r"masters\.plates\.hours is 0"):
        write_values({"masters": {"plates": {"required": True, "hours": 0}}})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_real_server_waits_for_the_check(folder: Path) -> None:
    write_project(folder)
    write_threshold(MODEL, CLEAR)
    write_values({"masters": {"plates": {"required": True, "new_photographs": True}}})
    add_parts(folder)
    today = write_today(folder / "today", shot=1)
    with serving(folder, "--model", "plates") as server:

        def ready() -> tuple[int, str]:
            answer = httpx.get(f"{server.address}/readyz", timeout=30)
            return answer.status_code, answer.json().get("masters", {}).get("plates", "")

        assert ready()[0] == 503
        assert "there is no check" in ready()[1]
        assert fastflow("masters", "plates", "check") == 0
        assert "new ones are required" in ready()[1]
        assert fastflow("masters", "plates", "check", today) == 0
        assert ready() == (200, "")
        write_threshold(MODEL, CLEAR | {"image": 5.0})  # accepts all, and is not what is served
        assert fastflow("masters", "plates", "check", today) == 1
        assert ready()[0] == 503
        assert "is of threshold 5, and 0.9 is served" in ready()[1]
        assert server.score(plate(1)).status_code == 200
        assert "Do not start the shift" in httpx.get(f"{server.address}/masters/plates.html", timeout=30).text
    assert "not ready: there is no check" in (folder / "serve.log").read_text()
