"""Masks of what inspectors called a defect: proposals, which count no pixel until a person has drawn them."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastflow.decode import read_mask
from pipelines.core.params import read_params
from pipelines.data.checks.policy import check_and_decide
from pipelines.data.reviewed import summary
from pipelines.review.store import folder_of
from tests.conftest import draw_square, hashed_index, write_plates
from tests.review.kit import judged, keep
from tests.review.test_apply import PLATES, applied, decided
from tests.stages import write_tiny_params


@pytest.fixture(autouse=True)
def _project(folder: Path) -> None:
    write_plates(PLATES)
    write_tiny_params(folder)


def test_a_proposed_mask_counts_no_pixel_and_its_regions_lie_beside(capsys: pytest.CaptureFixture[str]) -> None:
    (dent,) = keep(judged(102, score=0.9, defect=True))
    decided(dent, "defect", "dent")
    applied(capsys)
    name = f"dent/line-{dent[:16]}_mask.png"
    mask = read_mask(PLATES / "ground_truth" / name)
    assert np.ma.getmaskarray(mask).all()
    proposal = np.asarray(Image.open(folder_of("plates") / "proposals" / name))
    assert np.array_equal(proposal > 0, draw_square(seed=102, defect=True)[1])
    _, findings, _ = check_and_decide(PLATES, read_params().findings)
    assert [finding for finding in findings["refuse"] if "line-" in finding.path] == []
    shutil.copy(folder_of("plates") / "proposals" / name, PLATES / "ground_truth" / name)
    assert read_mask(PLATES / "ground_truth" / name).sum() == 196


def test_a_card_names_what_is_still_there_and_masks_that_nobody_has_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    good, dent, hole = keep(*(judged(n, score=0.9, defect=n > 101) for n in (101, 102, 103)))
    assert summary(PLATES, hashed_index(PLATES)) is None
    decided(good, "good")
    decided(dent, "defect", "dent")
    decided(hole, "defect", "hole")
    applied(capsys)
    found = summary(PLATES, hashed_index(PLATES))
    assert found
    assert (found["good"], found["defects"], found["proposed_masks"]) == (1, {"dent": 1, "hole": 1}, 2)
    name = f"dent/line-{dent[:16]}_mask.png"
    shutil.copy(folder_of("plates") / "proposals" / name, PLATES / "ground_truth" / name)
    (PLATES / f"train/good/line-{good[:16]}.png").unlink()
    found = summary(PLATES, hashed_index(PLATES))
    assert found
    assert (found["good"], found["defects"], found["proposed_masks"]) == (0, {"dent": 1, "hole": 1}, 1)
    assert found["files"] == [f"test/dent/line-{dent[:16]}.png", f"test/hole/line-{hole[:16]}.png"]
