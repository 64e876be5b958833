"""Scanning and reading a category's index."""

import hashlib
from pathlib import Path

import pandas as pd
import pytest

from fastflow.errors import BadData
from fastflow.index import COLUMNS, list_category, read_index, seal_of, training_faults, verify_images, write_index
from tests.conftest import hashed_index


def test_every_image_has_its_row_mask_and_hash(plates: Path) -> None:
    index = hashed_index(plates)
    assert list(index.columns) == COLUMNS
    counts = index.groupby(["split", "defect_type", "gt_label"]).size().to_dict()
    assert counts == {("train", "good", 0): 8, ("test", "good", 0): 4, ("test", "square", 1): 4}
    row = index[index["image_path"] == "test/square/002.png"].iloc[0]
    assert row["mask_path"] == "ground_truth/square/002_mask.png"
    assert row["sha256"] == hashlib.sha256((plates / "test/square/002.png").read_bytes()).hexdigest()
    assert (index.loc[index["gt_label"] == 0, "mask_path"] == "").all()


def test_order_and_rows_do_not_depend_on_hidden_or_other_files(plates: Path) -> None:
    before = hashed_index(plates)
    (plates / "train/good/.hidden.png").write_bytes(b"x")
    (plates / "train/good/notes.txt").write_text("x")
    assert hashed_index(plates).equals(before)
    assert before["image_path"].is_monotonic_increasing or before["split"].tolist() == ["train"] * 8 + ["test"] * 8


def test_index_survives_the_file(plates: Path, tmp_path: Path) -> None:
    index = hashed_index(plates)
    write_index(index, tmp_path / "prepared/plates.csv")
    back = read_index(tmp_path / "prepared/plates.csv", split="test")
    assert back.equals(index[index["split"] == "test"].reset_index(drop=True).astype(back.dtypes.to_dict()))


def test_absent_and_empty_categories_are_named(plates: Path, tmp_path: Path) -> None:
    with pytest.raises(BadData, match=r"nothing does not exist; .* holds \['plates'\]"):
        list_category(tmp_path / "nothing")
    for path in (plates / "train/good").iterdir():
        path.unlink()
    ((where, fault),) = training_faults(plates, list_category(plates))
    assert where == "train/good"
    assert fault.startswith("has no image, at least 2")


def test_only_good_images_may_be_trained_on(plates: Path) -> None:
    (plates / "train/good").rename(plates / "train/bad")
    faults = training_faults(plates, list_category(plates))
    assert ("train/bad", "only train/good is trained on") in faults


def test_reading_a_foreign_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="run: dvc repro prepare@"):
        read_index(tmp_path / "none.csv", split="train")
    write_index(pd.DataFrame({"a": [1], "b": [2]}), tmp_path / "other.csv")
    with pytest.raises(BadData, match=r"has the columns \['a', 'b'\]; expected"):
        read_index(tmp_path / "other.csv", split="train")


def test_an_edited_or_damaged_index_is_refused(plates: Path, tmp_path: Path) -> None:
    path = tmp_path / "plates.csv"
    write_index(hashed_index(plates), path)
    whole = path.read_bytes()
    for spoiled in (whole[:-1], whole.replace(b"train/good/000", b"train/good/001"), whole[:40] + b"?" + whole[41:]):
        path.write_bytes(spoiled)
        with pytest.raises(BadData, match="is damaged or was edited"):
            read_index(path, split="train")
    path.write_bytes(whole)
    assert len(read_index(path, split="train")) == 8
    seal_of(path).unlink()
    with pytest.raises(BadData, match="is incomplete"):
        read_index(path, split="train")


def test_images_are_those_that_were_checked(plates: Path) -> None:
    index = hashed_index(plates)
    verify_images(index, plates)
    changed = plates / "train/good/002.png"
    content = bytearray(changed.read_bytes())
    content[len(content) // 2] ^= 1
    changed.write_bytes(content)
    (plates / "test/square/001.png").unlink()
    with pytest.raises(BadData, match=r"(?s)2 images.*train/good/002\.png is not what it was") as raised:
        verify_images(index, plates)
    assert "test/square/001.png is missing" in str(raised.value)
