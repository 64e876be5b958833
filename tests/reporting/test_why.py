"""Reasons beside the cases of a report: what is compared, and a model that has none."""

from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from fastflow.model import FastFlow
from fastflow.tiles import Tiles
from pipelines.evaluate import reasons
from pipelines.reporting.why import MOST_COMPARED, Compared, spread, why
from tests.conftest import SIZE, detector_of, tiny_config


def test_so_many_are_compared_from_the_first_to_the_last() -> None:
    paths = [Path(f"{number}.png") for number in range(10 * MOST_COMPARED)]
    drawn = spread(paths)
    assert len(set(drawn)) == MOST_COMPARED
    assert (drawn[0], drawn[-1]) == (paths[0], paths[-1])
    assert spread(paths[:MOST_COMPARED]) == paths[:MOST_COMPARED]
    assert spread([]) == []


def test_a_model_that_looks_at_tiles_says_so_and_is_evaluated_without_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (2 * SIZE, 2 * SIZE)).save(path)
    detector = detector_of(FastFlow(tiny_config(tiles=Tiles((2 * SIZE, 2 * SIZE), 0.25), letterbox=True)))
    with pytest.raises(ValueError, match="a model that looks at tiles has no explanation yet"):
        why(detector, [path], Compared.of([tmp_path / "b.png"], []))
    assert reasons(detector, "plates", pd.DataFrame(), tmp_path, [path]) == {}
