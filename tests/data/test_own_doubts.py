"""What could be meant in two ways is asked in one line, and the option that stands there settles it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.doubtful_folders import DOUBTS, SCRATCH, by_product, in_two_cases
from tests.data.folders import assert_masks_are_true, bad, classes, good, names, stops


@pytest.mark.parametrize("case", DOUBTS)
def test_a_doubt_stops_and_its_option_settles_it(tmp_path: Path, case: str) -> None:
    draw, message, option, sources, expected = DOUBTS[case]
    draw(tmp_path)
    (doubt,) = (doubt for doubt in stops(read_folder(tmp_path, DEFAULT_OPTIONS)) if doubt.startswith(message))
    assert option in doubt.partition(message)[2]
    settled = read_folder(tmp_path, ReadingOptions(sources))
    assert classes(settled, tmp_path) == expected
    assert not stops(settled)


@pytest.mark.parametrize(
    ("draw", "message", "option"),
    [
        (in_two_cases, "Scratch and scratch differ in case alone; taken as one kind of defect", "rename one"),
        (by_product, "good images lie in 2 folders (bracket, lid), taken as one product", "fastflow init"),
    ],
)
def test_a_doubt_that_a_person_settles_elsewhere(
    tmp_path: Path, draw: Callable[[Path], None], message: str, option: str
) -> None:
    draw(tmp_path)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(message)
    assert option in doubt


def test_a_mask_that_could_be_of_two_images_is_refused_with_the_ways_out(tmp_path: Path) -> None:
    good(tmp_path / "good", 3)
    good(tmp_path / "good", 3, name="{:03}.jpg")  # two images of one stem are two images
    bad(tmp_path / "scratch")
    bad(tmp_path / "scratch", name="{:03}.jpg", masks="../masks/{:03}.png")
    message = r"masks/000.png would be the mask of .*000.jpg and of .*000.png, .* 2 more; .*--ignore 'scratch/\*.jpg'"
    with pytest.raises(BadData, match=message):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    reading = read_folder(tmp_path, ReadingOptions(Sources(ignore=("scratch/*.jpg",))))
    assert classes(reading, tmp_path) == {"good": names("good/", 3) | names("good/", 3, name="{:03}.jpg")} | SCRATCH
    assert_masks_are_true(reading)
    assert len({item.name for item in reading.items if item.defect_type == "good"}) == 6
