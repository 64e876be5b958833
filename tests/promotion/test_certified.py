"""The gate's rule on a certificate: the size from which on drawn defects are found, of this model at this threshold."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.core.paths import MODEL_ID, certificate_file
from pipelines.promotion.certified import NO_VERSION, certified_rules, champion_certificate
from pipelines.promotion.rules import Outcome, Rule
from pipelines.qualification.certificate import (
    Certificate,
    DetectionCurve,
    FalseCalls,
    Step,
    read_certificate,
    write_certificate,
)
from pipelines.registry import aliases

WEIGHTS, THRESHOLD = "0123456789ab", 0.5
SIZES = (4.0, 8.0, 16.0, 32.0)


def curve(kind: str, contrast: float, a90_95: float | None) -> DetectionCurve:
    steps = [Step(size=size, drawn=8, found=4, located=4) for size in SIZES]
    outcome: Any = "not_shown" if a90_95 is None else "reached"
    return DetectionCurve(
        kind=kind, contrast=contrast, outcome=outcome, a90_95=a90_95, a90=a90_95, intercept=-3.0, slope=1.0,
        steps=steps, sizes=list(SIZES), lower=[0.1] * 4, upper=[0.9] * 4,
    )  # fmt: skip


def write(**changes: Any) -> None:
    """A certificate by which strong scratches are found from 12 pixels on, faint ones from 30, and no spot."""
    values: dict[str, Any] = {
        "category": "plates", "model": WEIGHTS, "weights": WEIGHTS, "threshold": THRESHOLD, "seed": 0, "images": "a",
        "height": 64, "width": 64, "part_share": 1.0, "per_step": 8, "mm_per_pixel": None,
        "false_calls": FalseCalls(count=0, total=12, low=0.0, high=0.3),
        "curves": [curve("scratch", 0.1, 30.0), curve("scratch", 0.5, 12.0), curve("spot", 0.5, None)],
    }  # fmt: skip
    write_certificate(Certificate(**values | changes))


def outcomes(**limits: float) -> dict[str, str]:
    found = certified_rules("plates", limits, weights=WEIGHTS, threshold=THRESHOLD)
    return {rule.name: rule.outcome.value for rule in found}


def test_the_strongest_contrast_decides_and_the_limit_itself_is_allowed(folder: Path) -> None:
    write()
    assert outcomes(scratch=12) == {"certified_scratch": "passed"}
    assert outcomes(scratch=11.9) == {"certified_scratch": "failed"}
    (rule,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert (
        rule.sentence
        == "drawn with 50% contrast, 9 of 10 are found from 12 pixels on, with 95% confidence; allowed: 20"
    )
    assert rule.figures == {"a90_95": 12.0, "contrast": 0.5, "allowed": 20.0}


def test_what_was_not_shown_fails_only_where_the_limit_was_tried(folder: Path) -> None:
    write()
    assert outcomes(spot=32) == {"certified_spot": "failed"}
    assert outcomes(spot=33) == {"certified_spot": "inconclusive"}
    assert outcomes(dent=20) == {"certified_dent": "inconclusive"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"weights": "ba9876543210", "model": "other"}, "of another model or threshold (other); run: fastflow certify"),
        ({"threshold": 0.51}, "of another model or threshold"),
    ],
)
def test_another_models_certificate_says_nothing(folder: Path, changes: dict[str, Any], said: str) -> None:
    write(**changes)
    (rule,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert rule.outcome == Outcome.INCONCLUSIVE
    assert said in rule.sentence


def beside(champion: Certificate | str, kind: str = "scratch") -> Rule:
    limits: dict[str, Any] = {kind: "champion"}
    (rule,) = certified_rules("plates", limits, weights=WEIGHTS, threshold=THRESHOLD, champion=champion)
    return rule


def certificate_with(*curves: DetectionCurve, **changes: Any) -> Certificate:
    """The champion's, of the same trial."""
    write()
    own = read_certificate("plates")
    assert own
    return own.model_copy(update={"curves": list(curves), "weights": "c0ffee", **changes})


@pytest.mark.parametrize(
    ("size", "outcome"),
    [
        (12.0, "passed"),
        (11.9, "inconclusive"),
        (9.0, "inconclusive"),
        (8.9, "failed"),
        (40.0, "passed"),
        (None, "passed"),
    ],
)
def test_no_worse_than_the_champion(folder: Path, size: float | None, outcome: str) -> None:
    """The challenger's a90/95 is 12, and its a90, without limits, 9."""
    champion = certificate_with(curve("scratch", 0.1, 1.0), curve("scratch", 0.5, size))
    write(curves=[curve("scratch", 0.5, 12.0).model_copy(update={"a90": 9.0})])
    assert beside(champion).outcome.value == outcome


def test_a_challenger_that_finds_it_at_no_size_is_worse(folder: Path) -> None:
    champion = certificate_with(curve("spot", 0.5, 30.0))
    rule = beside(champion, "spot")
    assert rule.outcome == Outcome.FAILED
    assert rule.sentence == "drawn with 50% contrast, 9 of 10 seem to be found at no size; the champion's: 30"


@pytest.mark.parametrize("changes", [{"images": "b"}, {"seed": 1}, {"per_step": 9}, {"height": 65}, {"width": 1}])
def test_certificates_of_other_trials_are_not_compared(folder: Path, changes: dict[str, Any]) -> None:
    rule = beside(certificate_with(curve("scratch", 0.5, 12.0), **changes))
    assert rule.outcome == Outcome.INCONCLUSIVE
    assert "of other pictures" in rule.sentence
    other_contrast = beside(certificate_with(curve("scratch", 0.4, 12.0)))
    assert other_contrast.outcome == Outcome.INCONCLUSIVE


def test_a_champion_without_certificate_decides_nothing_and_none_at_all_is_no_hindrance(folder: Path) -> None:
    write()
    lacking = beside("version 3, the champion, has no certificate in its run")
    assert lacking == Rule(
        "certified_scratch", Outcome.INCONCLUSIVE, "version 3, the champion, has no certificate in its run"
    )
    assert beside(NO_VERSION).outcome == Outcome.PASSED


def test_a_missing_and_a_damaged_certificate_say_what_to_run(folder: Path) -> None:
    (missing,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert missing.sentence == "there is no certificate; run: fastflow certify plates, and promote again"
    write()
    certificate_file("plates").write_text(certificate_file("plates").read_text().replace('"threshold":', '"treshold":'))
    (damaged,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert damaged.outcome == missing.outcome == Outcome.INCONCLUSIVE
    assert "reports/plates/certificate.json is damaged: threshold is missing" in damaged.sentence


@pytest.mark.parametrize(
    ("tags", "is_its_own"),
    [
        ({MODEL_ID: WEIGHTS, "threshold": "0.5"}, True),
        ({MODEL_ID: WEIGHTS, "threshold": "0.500001"}, True),  # a tag has six digits
        ({MODEL_ID: WEIGHTS, "threshold": "0.51"}, False),  # another version of the same training
        ({MODEL_ID: "f" * 12, "threshold": "0.5"}, False),
        ({MODEL_ID: WEIGHTS, "threshold": "nan"}, False),
        ({"threshold": "0.5"}, False),
        ({MODEL_ID: WEIGHTS}, False),
    ],
)
def test_a_run_holds_the_certificate_of_its_last_threshold(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tags: dict[str, str], is_its_own: bool
) -> None:
    write()
    content = certificate_file("plates").read_bytes()
    monkeypatch.setattr(aliases, "get_version", lambda *_: SimpleNamespace(tags=tags))
    monkeypatch.setattr(aliases, "file_of_run", lambda *_: content)
    client: Any = None
    found = champion_certificate(client, "plates", "3")
    assert isinstance(found, Certificate) == is_its_own, found
    if not is_its_own:
        assert beside(found).outcome == Outcome.INCONCLUSIVE
