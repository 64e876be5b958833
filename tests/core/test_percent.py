"""Figures that stand beside their limit never read as it."""

import pytest

from pipelines.core.percent import apart


@pytest.mark.parametrize(("values", "form", "texts"), [
    ([0.1034, 0.1], ".{}%", ["10.3%", "10.0%"]), ([0.10004, 0.1], ".{}%", ["10.004%", "10.000%"]),
    ([0.1, 0.1], ".{}%", ["10.0%", "10.0%"]), ([0.0996, 0.0996, 0.1], ".{}%", ["9.96%", "9.96%", "10.00%"]),
    ([-0.02001, -0.02], "+.{}f", ["-0.02001", "-0.02000"]), ([0.1 + 1e-15, 0.1], ".{}%", ["10.00000000%"] * 2),
])  # fmt: skip
def test_what_differs_reads_differently(values: list[float], form: str, texts: list[str]) -> None:
    assert apart(*values, form=form, digits=1) == texts
