"""The gate's rule on a certificate: the size from which on drawn defects are found, of this model at this threshold."""

from pathlib import Path
from typing import Any

import pytest

from pipelines.core.paths import certificate_file
from pipelines.promotion.certified import certified_rules
from pipelines.promotion.rules import Outcome
from pipelines.qualification.certificate import Certificate, DetectionCurve, FalseCalls, Step, write_certificate

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


def test_a_missing_and_a_damaged_certificate_say_what_to_run(folder: Path) -> None:
    (missing,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert missing.sentence == "there is no certificate; run: fastflow certify plates, and promote again"
    write()
    certificate_file("plates").write_text(certificate_file("plates").read_text().replace('"threshold":', '"treshold":'))
    (damaged,) = certified_rules("plates", {"scratch": 20.0}, weights=WEIGHTS, threshold=THRESHOLD)
    assert damaged.outcome == missing.outcome == Outcome.INCONCLUSIVE
    assert "reports/plates/certificate.json is damaged: threshold: Field required" in damaged.sentence
