"""Labels of a table that say nothing, say good in other words, or could be turned round."""

from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, names, stops
from tests.data.test_table_or_folders import write

IMG, TORN = names("", 5), names("", 3, name="1{:02}.png")


def labelled(folder: Path, good_label: str, bad_label: str, header: str = "image_path,gt_label", **other: str) -> Path:
    """Five good images and three bad ones, which the table alone says; `other` labels of some images, by stem."""
    good(folder, 5)
    bad(folder, name="1{:02}.png")
    rows = {**dict.fromkeys(sorted(IMG), good_label), **dict.fromkeys(sorted(TORN), bad_label)}
    return write(folder, rows | {f"{stem[1:]}.png": label for stem, label in other.items()}, header)


@pytest.mark.parametrize("label", ["nan", "null", "-", "n/a", "none", "None", "?", "unknown", "to do", "unklar", "--"])
def test_a_label_that_says_nothing_is_refused(tmp_path: Path, label: str) -> None:
    labelled(tmp_path, "OK", "NOK", _003=label)
    with pytest.raises(
        BadData, match=r"labels\.csv, line 5: .*(which says nothing; allowed|write 0 or good)"
    ) as refused:
        read_folder(tmp_path, DEFAULT_OPTIONS)
    assert repr(label) in str(refused.value)


@pytest.mark.parametrize("kind", ["?", "unknown", "unklar"])
def test_an_unsure_kind_is_refused_where_nothing_else_says_defective(tmp_path: Path, kind: str) -> None:
    table = labelled(tmp_path, "none", "scratch", "image_path,defect_type", _003=kind)
    with pytest.raises(BadData, match=r"line 5: .* does not say what the image is"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    rows = {**dict.fromkeys(sorted(IMG), "0,"), **dict.fromkeys(sorted(TORN), f"1,{kind}")}
    write(table.parent, rows, "image_path,gt_label,defect_type")  # a defect that nobody has named is one
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found == {"good": IMG, "defect" if kind == "?" else kind: TORN}


@pytest.mark.parametrize("label", ["keine", "ohne Befund", "kein Fehler", "fehlerfrei"])
@pytest.mark.parametrize("column", ["gt_label", "defect_type"])
def test_no_defect_in_words_is_good(tmp_path: Path, label: str, column: str) -> None:
    labelled(tmp_path, label, "Kratzer", f"image_path,{column}", _000="gut")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": IMG, "Kratzer": TORN}
    assert not stops(reading)


@pytest.mark.parametrize("empty", ["", "-", "nan", "n/a", "null", "none"])
def test_an_empty_kind_of_defect_is_none(tmp_path: Path, empty: str) -> None:
    labelled(tmp_path, empty, "scratch", "image_path,defect_type")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": IMG, "scratch": TORN}
    assert not stops(reading)


def test_an_empty_kind_is_a_doubt_where_others_say_good(tmp_path: Path) -> None:
    labelled(tmp_path, "OK", "scratch", "image_path,defect_type", _003="")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("1 image without a value in labels.csv, where others say 'OK', taken as good: 003.png")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("003.png",))))
    assert classes(settled, tmp_path) == {"good": IMG - {"003.png"}, "scratch": TORN}
    assert not stops(settled)


@pytest.mark.parametrize(("zero", "one"), [("0", "1"), ("FALSE", "TRUE"), ("0.0", "1.0")])
@pytest.mark.parametrize("column", ["gt_label", "label", "class"])
def test_flags_that_make_most_images_defective_are_a_doubt(tmp_path: Path, zero: str, one: str, column: str) -> None:
    labelled(tmp_path, one, zero, f"image_path,{column}")  # 1 means good
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(f"labels.csv: {zero} taken as good, 3 images, and {one} as defective, 5 images: 000.png")
    assert f"where {one} means good, write good for {one} and bad for {zero}" in doubt
    text = (tmp_path / "labels.csv").read_text().replace(f",{one}\n", ",good\n").replace(f",{zero}", ",bad")
    (tmp_path / "labels.csv").write_text(text)
    settled = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(settled, tmp_path) == {"good": IMG, "defect": TORN}
    assert not stops(settled)


def test_flags_that_say_what_they_mean_are_no_doubt(tmp_path: Path) -> None:
    expected = {"good": TORN, "defect": IMG}
    for header in ("image_path,is_anomaly", "image_path,defect"):
        labelled(tmp_path, "1", "0", header)
        reading = read_folder(tmp_path, DEFAULT_OPTIONS)
        assert (classes(reading, tmp_path), stops(reading)) == (expected, [])
    labelled(tmp_path, "1,dent", "0,", "image_path,gt_label,defect_type")
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    labelled(tmp_path, "0", "1")
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))
