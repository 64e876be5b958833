"""The test images that the gate judges on."""

from pathlib import Path

import numpy as np
import pandas as pd

from fastflow.index import COLUMNS, write_index
from pipelines.core.params import read_params
from pipelines.core.paths import index_file
from pipelines.promotion.evaluation_set import EvaluationSet
from tests.stages import write_tiny_params


def test_copies_of_one_image_count_once_where_that_is_asked_for(folder: Path) -> None:
    """Thirty copies of a good image are one; what lies in good and in a defect's folder is of both."""
    write_tiny_params(folder)
    content = np.array(["a"] * 30 + ["b", "a", "c", "c"])
    label = np.repeat([0, 1], [31, 3])
    rows = [
        (f"test/{kind}/{i}.png", "test", ("good", "dent")[kind], kind, "", digest)
        for i, (kind, digest) in enumerate(zip(label, content, strict=True))
    ]
    index_file("plates").parent.mkdir(parents=True)
    write_index(pd.DataFrame(rows, columns=COLUMNS), index_file("plates"))
    images = EvaluationSet("plates", read_params(), distinct=True)
    assert list(zip(images.index["sha256"], images.index["gt_label"], strict=True)) == [
        ("a", 0), ("b", 0), ("a", 1), ("c", 1),
    ]  # fmt: skip
    assert list(images.index.index) == [0, 1, 2, 3]
    assert len(images.paths) == 4
    assert len(EvaluationSet("plates", read_params()).paths) == 34
