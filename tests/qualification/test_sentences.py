"""A certificate in words: what its curves show together."""

import pytest

from pipelines.qualification.certificate import DetectionCurve, Step
from pipelines.qualification.sentences import headline


def curve(contrast: float, a90_95: float | None) -> DetectionCurve:
    """Of spots, all found, of which a90/95 says from which size on."""
    steps = [Step(size=size, drawn=9, found=9, located=9) for size in (2.0, 64.0)]
    return DetectionCurve(
        kind="spot", contrast=contrast, outcome="reached" if a90_95 else "not_shown", a90_95=a90_95, a90=a90_95,
        intercept=-3.0, slope=1.0, steps=steps, sizes=[2.0, 64.0], lower=[0.1, 0.8], upper=[0.9, 0.99],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sizes", "chance"),
    [((8, 12, 20), False), ((8, 8, None), False), ((12, 8, 20), True), ((None, 8, None), True), ((8, 20, 12), True)],
)
def test_fainter_defects_that_seem_easier_are_called_chance(sizes: tuple[float | None, ...], chance: bool) -> None:
    curves = [curve(contrast, size) for contrast, size in zip((0.5, 0.25, 0.1), sizes, strict=True)]
    assert headline(curves, None).endswith("so what differs here is chance") == chance
