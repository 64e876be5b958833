"""Charts: deterministic, in the page's colours, and true to what they count."""

import io
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines.reporting.pages import charts
from pipelines.reporting.pages.drawing import png, svg
from tests.reporting.report_kit import THRESHOLD, scores_of


def test_charts_are_deterministic_and_take_the_colour_of_the_page() -> None:
    scores = scores_of(("crack",))
    drawn = svg(charts.score_histogram(scores, threshold=THRESHOLD))
    assert drawn == svg(charts.score_histogram(scores, threshold=THRESHOLD))
    assert 'fill="currentColor"' in drawn or 'stroke="currentColor"' in drawn
    assert not re.search(r"#000000|black|font-family|style=| id=|href", drawn)


def test_a_chart_alone_is_a_picture_on_white() -> None:
    content = png(charts.score_histogram(scores_of(("crack",)), threshold=THRESHOLD))
    with Image.open(io.BytesIO(content)) as picture:
        assert picture.size[0] == 2 * 560
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_the_threshold_is_marked_where_it_lies() -> None:
    scores = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": np.linspace(0, 1, 9)})
    figure = charts.score_histogram(scores, threshold=3.0).figure
    lines = [line for axes in figure.axes for line in axes.lines if line.get_linestyle() == "--"]
    assert [np.asarray(line.get_xdata()).tolist() for line in lines] == [[3, 3], [3, 3]]
    assert all(axes.get_xlim()[1] > 3 for axes in figure.axes)
    bars = [patch.get_extents() for patch in figure.axes[0].patches]
    assert all(figure.axes[0].bbox.x0 - 1 <= bar.x0 and bar.x1 <= figure.axes[0].bbox.x1 + 1 for bar in bars)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(-5, 5), st.integers(12, 40))
def test_no_bar_stands_on_both_sides_of_the_threshold(values: list[float], threshold: float, bins: int) -> None:
    low, high = charts.span(values, threshold)
    edges = charts.bin_edges((low, high), bins, threshold)
    assert threshold in edges
    assert edges[0] <= low + 1e-6 * (high - low)
    assert edges[-1] >= high - 1e-6 * (high - low)
    assert np.diff(edges) == pytest.approx((high - low) / bins)
    assert bins <= len(edges) - 1 <= bins + 2
    assert np.histogram(values, edges)[0].sum() == len(values)


def test_histogram_counts_every_image() -> None:
    scores = pd.DataFrame({"defect_type": "good", "gt_label": 0, "pred_score": [2.0] * 5})
    drawn = svg(charts.score_histogram(scores, threshold=None))
    assert "good (5)" in drawn
    assert "defective (0)" in drawn
