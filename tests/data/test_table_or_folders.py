"""A table beside folders that say something else, or hold more, and paths that are written otherwise."""

from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, names, stops

OK, NG = names("OK/", 5), names("NG/", 3)


def in_folders(folder: Path) -> None:
    good(folder / "OK", 5)
    bad(folder / "NG")


def write(folder: Path, rows: dict[str, str], header: str = "image_path,gt_label") -> Path:
    (folder / "labels.csv").write_text("\n".join([header, *(f"{path},{label}" for path, label in rows.items())]))
    return folder / "labels.csv"


def as_folders() -> dict[str, str]:
    return {**dict.fromkeys(sorted(OK), "good"), **dict.fromkeys(sorted(NG), "NG")}


@pytest.mark.parametrize(
    ("turned", "said"),
    [
        ({"NG/000.png": "good"}, "1 image good by it in folders of defects (NG/000.png)"),
        ({"OK/001.png": "scratch"}, "1 image defective by it in folders of good ones (OK/001.png)"),
        (
            {"NG/000.png": "0", "NG/001.png": "0", "OK/001.png": "1"},
            "2 images good by it in folders of defects and 1 image defective by it in folders of good ones "
            "(NG/000.png, NG/001.png, OK/001.png)",
        ),
    ],
)
def test_a_table_that_contradicts_the_folders_is_a_doubt(tmp_path: Path, turned: dict[str, str], said: str) -> None:
    in_folders(tmp_path)
    table = write(tmp_path, as_folders() | turned)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(f"labels.csv says other than the folders, and is believed: {said}: --ignore 'labels.csv'")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("labels.csv",))))
    assert classes(settled, tmp_path) == {"good": OK, "NG": NG}
    assert not stops(settled)
    (doubt,) = stops(read_folder(table, DEFAULT_OPTIONS))  # the table itself is given: the folder must be
    assert f"fastflow init {tmp_path} --ignore 'labels.csv'" in doubt


def test_a_table_that_agrees_with_the_folders_is_none(tmp_path: Path) -> None:
    in_folders(tmp_path)
    write(tmp_path, as_folders())
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize("folder", ["hole plate", "Defects dataset v2", "line 7/2024", "ng"])
def test_a_folder_called_after_a_product_contradicts_no_table(tmp_path: Path, folder: str) -> None:
    good(tmp_path / folder, 5)
    bad(tmp_path / folder, name="1{:02}.png")
    rows = {
        **dict.fromkeys(names(f"{folder}/", 5), "OK"),
        **dict.fromkeys(names(f"{folder}/", 3, name="1{:02}.png"), "d"),
    }
    write(tmp_path, rows)
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize(
    ("named", "said", "option", "ignore"),
    [
        (OK, "3 images that labels.csv does not name, left out: NG/000.png, NG/001.png", "--ignore 'NG/**'", "NG/**"),
        (
            (OK | NG) - {"OK/003.png"},
            "1 image that labels.csv does not name, left out: OK/003.png: ",
            "--ignore 'OK/003.png'",
            "OK/003.png",
        ),
        (OK, "3 images that labels.csv does not name", "or --ignore 'labels.csv' or name them", "labels.csv"),
    ],
)
def test_images_that_a_table_does_not_name_are_a_doubt(
    tmp_path: Path, named: set[str], said: str, option: str, ignore: str
) -> None:
    in_folders(tmp_path)
    write(tmp_path, {path: label for path, label in as_folders().items() if path in named})
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(said)
    assert option in doubt
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=(ignore,))))
    assert set().union(*classes(settled, tmp_path).values()) == (OK | NG if ignore == "labels.csv" else named)
    assert not stops(settled)


def test_empty_masks_of_good_images_need_not_be_named(tmp_path: Path) -> None:
    good(tmp_path / "img", 5)
    bad(tmp_path / "img", name="1{:02}.png", masks="../masks/1{:02}.png")
    for path in good(tmp_path / "masks", 5):
        path.write_bytes((tmp_path / "masks/100.png").read_bytes())
    rows = dict.fromkeys(names("img/", 5), "0,") | {f"img/10{n}.png": f"1,masks/10{n}.png" for n in range(3)}
    write(tmp_path, rows, "image_path,gt_label,mask_path")
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize(
    "written", ["img/{}.PNG", "C:\\Daten\\IMG\\{}.Png", "img/{}", "{}", "/data/line/img/{}.png", "Img/{}.png"]
)
def test_a_path_is_found_without_its_suffix_and_in_other_case(tmp_path: Path, written: str) -> None:
    good(tmp_path / "img", 5)
    bad(tmp_path / "img", name="1{:02}.png")
    stems = {**{f"00{n}": "OK" for n in range(5)}, **{f"10{n}": "NOK" for n in range(3)}}
    write(tmp_path, {written.format(stem): label for stem, label in stems.items()})
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found == {"good": names("img/", 5), "defect": names("img/", 3, name="1{:02}.png")}


@pytest.mark.parametrize(
    ("there", "written", "said"),
    [
        (("a/000.png", "b/000.png"), "000", "called alike: a/000.png, b/000.png"),  # which of them?
        (("000.png", "000.jpg"), "000", "called alike: 000.jpg, 000.png"),
        (("000.PNG", "000.Png"), "000.png", "called alike: 000.PNG, 000.Png"),
        (("img/000.jpg",), "img/000.png", "called alike: img/000.jpg"),  # another file
        (("day2/000.PNG",), "day1/000.png", "called alike: day2/000.PNG"),
    ],
)
def test_of_files_that_do_not_fit_or_several_none_is_taken(
    tmp_path: Path, there: tuple[str, ...], written: str, said: str
) -> None:
    for path in there:
        good(tmp_path, 1, name=path)
    good(tmp_path, 1, name="g.png")
    write(tmp_path, {written: "1", "g.png": "0"})
    with pytest.raises(BadData, match=rf"names 1 file that are not there: .*{written}; ") as refused:
        read_folder(tmp_path, DEFAULT_OPTIONS)
    assert str(refused.value).endswith(said)


def test_a_mask_that_an_option_leaves_out_is_no_images(tmp_path: Path) -> None:
    good(tmp_path, 5)
    bad(tmp_path, 2, name="1{:02}.png", masks="masks/1{:02}.png")
    rows = dict.fromkeys(sorted(names("", 5)), "0,") | {f"10{n}.png": f"1,masks/10{n}.png" for n in range(2)}
    write(tmp_path, rows, "image_path,gt_label,mask_path")
    reading = read_folder(tmp_path, ReadingOptions(Sources(ignore=("masks/100.png",))))
    found = {item.image.name: item.masks for item in reading.items if item.defect_type != "good"}
    assert found == {"100.png": (), "101.png": (tmp_path / "masks/101.png",)}


def test_of_several_tables_one_must_be_given(tmp_path: Path) -> None:
    in_folders(tmp_path)
    table = write(tmp_path, as_folders())
    (tmp_path / "more.csv").write_bytes(table.read_bytes())
    with pytest.raises(BadData) as refused:
        read_folder(tmp_path, DEFAULT_OPTIONS)
    assert str(refused.value) == (
        f"labels.csv, more.csv: several tables name images; give one: fastflow init {table}, or --ignore the others"
    )


@pytest.mark.parametrize("header", ["image_path,operator", "Datei,gt_label"])
def test_a_table_that_is_given_and_lacks_a_column_is_refused(tmp_path: Path, header: str) -> None:
    in_folders(tmp_path)
    table = write(tmp_path, as_folders(), header)
    with pytest.raises(BadData, match=rf"labels\.csv has the columns {header.replace(',', ', ')}; needed are "):
        read_folder(table, DEFAULT_OPTIONS)


def test_a_category_that_visas_split_does_not_name_is_read_by_its_folders(tmp_path: Path) -> None:
    images = tmp_path / "own/Data/Images"
    good(images / "Normal", 5)
    bad(images / "Anomaly")
    (tmp_path / "split_csv").mkdir()
    one = "candle,train,normal,candle/Data/Images/Normal/0000.JPG,"
    (tmp_path / "split_csv/1cls.csv").write_text(f"object,split,label,image,mask\n{one}")
    reading = read_folder(tmp_path / "own", DEFAULT_OPTIONS)
    assert reading.layout != "VisA, split of 1cls.csv"
    assert {item.image.parent.name for item in reading.items if item.defect_type == "good"} == {"Normal"}
