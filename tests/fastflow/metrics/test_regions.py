"""Maps and masks are checked before anything is counted, and the error names the image."""

import numpy as np
import pytest

from fastflow.metrics.pixel import pixel_metrics, pro_curve


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [pixel_metrics, pro_curve])
def test_scores_that_are_not_finite_are_refused(function: object, bad: float) -> None:
    assert callable(function)
    maps, masks = [np.ones((2, 2)), np.array([[1, bad], [1, 1]])], [None, np.eye(2)]
    with pytest.raises(ValueError, match="image 1: 1 of 4 scores of the anomaly map are NaN or infinite"):
        function(maps, masks)
    with pytest.raises(ValueError, match=r"^bad\.png: 1 of 4 scores"):
        function(maps, masks, image_paths=["good.png", "bad.png"])


def test_shapes_and_limits_are_checked() -> None:
    ones = np.ones((4, 4))
    with pytest.raises(ValueError, match=r"image 0: the anomaly map is \(4, 4\) and its mask \(8, 8\)"):
        pixel_metrics([ones], [np.ones((8, 8))])
    with pytest.raises(ValueError, match=r"image 0: the anomaly map has shape \(1, 4, 4\)"):
        pixel_metrics([ones[None]], [None])
    with pytest.raises(ValueError, match="2 anomaly maps but 1 masks"):
        pixel_metrics([ones, ones], [None])
    with pytest.raises(ValueError, match="1 anomaly maps but 2 image paths"):
        pixel_metrics([ones], [None], image_paths=["a", "b"])
    for limit in (0, -0.1, 1.5, float("nan")):
        with pytest.raises(ValueError, match="fpr_limit: got"):
            pixel_metrics([ones], [None], fpr_limits=[0.3, limit])
