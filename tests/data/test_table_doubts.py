"""Tables that say something else than they seem to: nothing defective becomes good, and no other file is taken."""

import json
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.sources import Sources
from pipelines.data.add_category import add_category
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, mask_image, names, save, stops

KINDS = {"good": names("", 5), "crack": names("", 2, name="1{:02}.png")}
LABELS = {**dict.fromkeys(sorted(names("", 5)), "good"), "100.png": "crack", "101.png": "crack"}


def photographs(folder: Path) -> None:
    """Five good ones and two cracked ones; only a table can say so."""
    good(folder, 5)
    bad(folder, 2, name="1{:02}.png")


def lines(separator: str = ",", *, columns: tuple[str, str] = ("image_path", "label")) -> list[str]:
    return [separator.join(columns), *(separator.join(pair) for pair in LABELS.items())]


@pytest.mark.parametrize(
    "text",
    [
        "\n".join(["Line 4, shift 2", "image list", *lines()]),
        "\n".join(["# exported", "", *lines("\t")]),
        "\n".join(["sep=;", *lines(";")]),
        "\n".join(lines("|")),
        "\n".join(lines("  ")),
        "\n".join(f"{line}," for line in lines()),
        "\n".join(lines()).replace("crack", '"crack"'),
    ],
)
def test_titles_and_separators_are_found_out(tmp_path: Path, text: str) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text(text)
    assert classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path) == KINDS


@pytest.mark.parametrize("label", ["OK (scratch)", "OK with scratch", "good but dented", "OK?", "no crack but dent"])
def test_a_label_that_says_more_than_good_is_refused(tmp_path: Path, label: str) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text("\n".join(lines()).replace("101.png,crack", f"101.png,{label}"))
    with pytest.raises(BadData, match=r"list\.csv, line 8: .* says more; write 0 or good") as refused:
        read_folder(tmp_path, DEFAULT_OPTIONS)
    assert repr(label) in str(refused.value)


@pytest.mark.parametrize("label", ["OK", " ok!", "Pass", "i.O.", "IO", "no defect", "ohne Fehler", "Gut-Teil", "0"])
def test_words_for_good_are_good(tmp_path: Path, label: str) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text("\n".join(lines()).replace("good", label))
    assert classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path) == KINDS


def test_a_column_of_defects_may_hold_0_and_1(tmp_path: Path) -> None:
    photographs(tmp_path)
    text = "\n".join(lines(columns=("filename", "defect"))).replace("good", "0").replace("crack", "1")
    (tmp_path / "list.csv").write_text(text)
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found == {"good": KINDS["good"], "defect": KINDS["crack"]}


def test_a_table_without_good_images_says_what_it_holds(tmp_path: Path) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text("\n".join(lines()).replace("good", "1").replace("crack", "-1"))
    with pytest.raises(BadData, match=r"found are gt_label '1' \(5\), '-1' \(2\); good are, in gt_label, 0, false"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_a_moved_table_finds_files_whose_folders_agree(tmp_path: Path) -> None:
    photographs(tmp_path / "img")
    text = "\n".join(lines()).replace("\n", "\n/data/line/img/")
    (tmp_path / "list.csv").write_text(text)
    found = classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert found == {kind: {f"img/{name}" for name in several} for kind, several in KINDS.items()}


@pytest.mark.parametrize(
    ("there", "written"),
    [
        ("mk/101.png", "/data/img/101.png"),  # a mask elsewhere
        ("masks/101.png", "101.png"),
        ("day2/101.png", "day1/101.png"),
        ("100.png", "day1/100.png"),  # which is another row's
    ],
)
def test_no_other_file_of_that_name_is_taken(tmp_path: Path, there: str, written: str) -> None:
    photographs(tmp_path)
    (tmp_path / there).parent.mkdir(exist_ok=True)
    (tmp_path / "101.png").rename(tmp_path / there)
    (tmp_path / "list.csv").write_text("\n".join(lines()).replace("101.png", written))
    with pytest.raises(BadData, match=rf"names 1 file that are not there: .*{written}"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


UNREAD: dict[str, tuple[str, str, str]] = {
    "one value too many": ("list.csv", "\n".join(lines()) + ",dent", r"line 8 has 3 values, and there are 2 columns"),
    "an open quote": ("list.csv", "\n".join([*lines(), '"open,x']), r"line 9 has a quotation mark that is not closed"),
    "zero bytes": ("list.csv", "\n".join(lines()) + "\n\0\0", r"it holds a zero byte at byte 110"),
    "other columns": ("list.csv", "\n".join(lines(";", columns=("Datei", "Ergebnis"))), "has the columns Datei, Erg"),
    "its own column": ("list.csv", "\n".join(lines(columns=("filename", "bad"))), "has the columns filename, bad;"),
    "without suffix": ("list.csv", "\n".join(lines(columns=("id", "label"))).replace(".png", ""), "columns id, label"),
    "in a folder": ("lists/list.csv", "\n".join(lines()), "does not lie at the folder's top"),
    "text": ("labels.txt", "\n".join(lines(" ")), r"\.txt is not read: save it as CSV"),
    "defects alone": ("bad.txt", "100.png\n101.png\n", r"\.txt is not read"),
    "json": ("labels.json", json.dumps(LABELS), "JSON of neither COCO nor labelme"),
    "json lines": ("labels.jsonl", "\n".join(json.dumps({"file": k}) for k in LABELS), r"\.jsonl is not read"),
    "cut off": (
        "coco.json",
        '{"images": [{"file_name": "000.png"}, {"file_name": "100.png"',
        "it is no JSON: Expecting",
    ),
    "xml": ("all.xml", "".join(f'<image name="{name}"/>' for name in LABELS), "XML is not read: export it as COCO"),
}


@pytest.mark.parametrize("case", UNREAD)
def test_a_table_that_is_not_read_is_a_doubt(tmp_path: Path, case: str) -> None:
    name, text, why = UNREAD[case]
    photographs(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert re.match(rf"{re.escape(name)} names \d images and is not read, as .*{why}", doubt), doubt
    assert doubt.endswith(f"or --ignore '{name}'")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=(name,))))
    assert not stops(settled)
    assert settled.left_out["by --ignore"] == [tmp_path / name]


def workbook(path: Path, cells: Iterable[str]) -> None:
    """What matters of one, as programs save it: the cells' texts."""
    with zipfile.ZipFile(path, "w") as book:
        book.writestr("xl/sharedStrings.xml", "<sst>" + "".join(f"<si><t>{c}</t></si>" for c in cells) + "</sst>")


def test_a_workbook_is_a_doubt(tmp_path: Path) -> None:
    photographs(tmp_path)
    workbook(tmp_path / "labels.xlsx", [*LABELS, "good", "crack"])
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("labels.xlsx names 7 images and is not read, as .xlsx is not read: save it as CSV")
    (tmp_path / "labels.xlsx").write_bytes(b"PK\3\4" + bytes(60))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("labels.xlsx cannot be looked into")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("all.txt", "\n".join(LABELS)),  # says nothing of them
        ("train.txt", "000.png\n001.png\n"),
        ("readme.txt", "Images such as 000.png, 12 bit, line 4"),
        ("_classes.csv", "Pixel Value, Class\n0, background\n1, scratch\n"),
        ("camera.json", '{"exposure": [0, 1, 2, 100, 101]}'),
    ],
)
def test_files_that_do_not_label_are_no_doubt(tmp_path: Path, name: str, text: str) -> None:
    photographs(tmp_path)
    (tmp_path / name).write_text(text)
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


def test_an_option_that_leaves_out_keeps_the_table(tmp_path: Path) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text("\n".join(lines()))
    (tmp_path / "notes.txt").write_text("of May")
    found = read_folder(tmp_path, ReadingOptions(Sources(ignore=("notes.txt", "101.png"))))
    assert classes(found, tmp_path) == {**KINDS, "crack": {"100.png"}}
    by_options = stops(read_folder(tmp_path, ReadingOptions(Sources(defects=("100.png",)))))
    said = "list.csv names 7 images and is not read, as options say what the files are"
    assert any(doubt.startswith(said) for doubt in by_options)


def test_masks_that_the_table_does_not_name_are_a_doubt(tmp_path: Path) -> None:
    good(tmp_path, 5)
    bad(tmp_path, 2, name="1{:02}.png", masks="masks/1{:02}.png")
    (tmp_path / "list.csv").write_text("\n".join(lines()))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("2 files that the table does not name could be masks: masks/100.png, masks/101.png")
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("masks/**",))))
    assert classes(settled, tmp_path) == KINDS
    assert not stops(settled)


@pytest.mark.parametrize("marks", [True, False])
def test_a_good_row_with_a_mask_is_a_doubt_where_it_marks(tmp_path: Path, marks: bool) -> None:
    photographs(tmp_path)
    mask = mask_image("000") if marks else mask_image("000").point(lambda _: 0)
    save(mask, tmp_path / "mk/0.png")
    text = [f"{line},{'mk/0.png' if line.startswith('000') else ''}" for line in lines()]
    (tmp_path / "list.csv").write_text("\n".join([f"{text[0]}mask_path", *text[1:]]))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == KINDS
    assert reading.left_out["masks of good images"] == [tmp_path / "mk/0.png"]
    assert "not in the table" not in reading.left_out
    expected = "1 image good by the table, with a mask that marks a defect, taken as good: 000.png"
    assert [doubt.startswith(expected) for doubt in stops(reading)] == [True] * marks


def test_a_label_too_long_for_a_folder_is_refused_before_anything_is_copied(tmp_path: Path) -> None:
    photographs(tmp_path)
    (tmp_path / "list.csv").write_text("\n".join(lines()).replace("101.png,crack", "101.png," + "y" * 300))
    with pytest.raises(BadData, match=r"^101\.png: its kind of defect, 'y{40}'..., has 300 bytes .* allowed: 200"):
        read_folder(tmp_path, DEFAULT_OPTIONS)
    with pytest.raises(ValueError, match=r"has 260 letters, and becomes a folder's; allowed: 200"):
        add_category(tmp_path, "n" * 260, root=tmp_path / "own")
    assert not (tmp_path / "own").exists()
