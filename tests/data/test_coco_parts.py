"""COCO's files of several parts of a data set, whose images have the same names: each keeps to its own."""

from pathlib import Path
from typing import Any

import pytest

from fastflow.errors import BadData
from pipelines.data.layouts.reading import DEFAULT_OPTIONS
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good
from tests.data.test_annotations import box, coco


def in_two_parts(folder: Path, *, other: str = "images/val") -> None:
    """Images of the same names in train and another part, and outlines for the one that is good in the other."""
    for number, part in enumerate(("images/train", other)):
        good(folder / part, 3)
        bad(folder / part, 1, name=f"{number}.png")
        good(folder / part, 1, name=f"{1 - number}.png")
        listed: dict[str, list[dict[str, Any]]] = {path.name: [] for path in sorted((folder / part).iterdir())}
        listed[f"{number}.png"] = [{"category_id": 1, "segmentation": [box(str(number))[0]]}]
        file = folder / f"annotations/instances_{'val' if number else 'train'}.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(coco(listed))


def test_coco_files_of_train_and_val_keep_to_their_own_images(tmp_path: Path) -> None:
    in_two_parts(tmp_path)
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found["scratch"] == {"images/train/0.png", "images/val/1.png"}
    assert len(found["good"]) == 8
    (tmp_path / "images/val/1.png").unlink()  # train's is not it
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found["scratch"] == {"images/train/0.png"}


@pytest.mark.parametrize(
    ("other", "rename", "message"),
    [
        (
            "images/test",
            "",
            r"instances_val\.json lists no image of its own part of the data set; .*images/test/0\.png is called",
        ),
        (
            "images/val",
            "all.json",
            r"all\.json names 0\.png, which could be .*/train/0\.png or .*/val/0\.png; write its",
        ),
    ],
)
def test_coco_that_could_be_of_several_images_is_refused(tmp_path: Path, other: str, rename: str, message: str) -> None:
    in_two_parts(tmp_path, other=other)
    if rename:
        (tmp_path / "annotations/instances_val.json").rename(tmp_path / "annotations" / rename)
    with pytest.raises(BadData, match=message):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_a_folder_in_file_name_says_which_is_meant(tmp_path: Path) -> None:
    in_two_parts(tmp_path, other="images/test")
    file = tmp_path / "annotations/instances_val.json"
    file.write_text(file.read_text().replace('"file_name": "', '"file_name": "test/'))
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found["scratch"] == {"images/train/0.png", "images/test/1.png"}
