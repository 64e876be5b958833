"""Tables that say something else than they seem to: nothing defective becomes good, and no other file is taken."""

from pathlib import Path

import pytest

from fastflow.errors import BadData
from pipelines.data.layouts.reading import DEFAULT_OPTIONS
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, names

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
        "\n".join(["Line 4, shift 2", *lines()]),
        "\n".join(["# exported", "", *lines("\t")]),
        "\n".join(["sep=;", *lines(";")]),
        "\n".join(lines("|")),
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
