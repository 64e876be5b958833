"""Folders as people keep them: names in other languages, what is set aside, exports with odd numbers."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from fastflow import pairing
from fastflow.errors import BadData
from fastflow.sources import plain, regex
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, glob_of
from pipelines.data.layouts.recognise import read_folder
from pipelines.data.layouts.show import MAX_DOUBTS, table
from tests.conftest import fastflow
from tests.data.folders import SIDE, bad, classes, good, names, stops
from tests.data.test_add_category import here

__all__ = ["here"]  # the fixture
BOX = {"bbox": [4, 4, 8, 8], "segmentation": [[4, 4, 12, 4, 12, 12, 4, 12]], "category_id": 1}


@pytest.mark.parametrize(
    ("good_name", "bad_name"),
    [("{:03}OK.png", "1{:03}NG.png"), ("iO_{:03}.png", "niO_{:03}.png"), ("合格_{:03}.png", "不合格_{:03}.png"),
     ("in_Ordnung_{:03}.png", "nicht_in_Ordnung_{:03}.png"), ("bonne_{:03}.png", "mauvaise_{:03}.png")],
)  # fmt: skip
def test_names_of_files_say_what_they_are(tmp_path: Path, good_name: str, bad_name: str) -> None:
    good(tmp_path, name=good_name)
    bad(tmp_path, name=bad_name)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path)["good"] == names("", 6, name=good_name)
    assert not stops(reading)


def test_where_some_are_called_good_the_others_are_a_doubt(tmp_path: Path) -> None:
    good(tmp_path, name="OK_{:03}.png")
    bad(tmp_path, name="Abplatzer_{:03}.png")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("file names speak of good, those of others say nothing, taken as good: Abplatzer_000.png")


def test_letters_amid_digits_are_no_word(tmp_path: Path) -> None:
    good(tmp_path, name="{:03}_4f3bad81c.png")
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


@pytest.mark.parametrize("place", ["false NG", "overkill", "reference", "Neuer Ordner (2)", "do not use", "限度見本"])
def test_what_a_person_set_aside_is_no_kind_of_defect(tmp_path: Path, place: str) -> None:
    good(tmp_path / "OK")
    bad(tmp_path / "NG")
    good(tmp_path / place, 2)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("OK/", 6), "NG": names("NG/", 3)}
    assert [doubt for doubt in stops(reading) if f"left out: {place}/000.png" in doubt]


@pytest.mark.parametrize("place", ["eval", "holdout", "测试", "テスト", "Testdaten", "test_images", "prueba"])
def test_good_ones_for_the_test_in_any_language_are_not_trained_on(tmp_path: Path, place: str) -> None:
    good(tmp_path / "good/train")
    good(tmp_path / "good" / place, 2, name="t{}.png")
    bad(tmp_path / "bad")
    items = read_folder(tmp_path, DEFAULT_OPTIONS).items
    assert {item.image.name for item in items if item.target.startswith("test/good")} == {"t0.png", "t1.png"}


def test_good_ones_of_a_private_test_are_not_trained_on(tmp_path: Path) -> None:
    good(tmp_path)
    rows = [f"{number:03}.png,OK,{'test_private' if number < 2 else 'train'}" for number in range(6)]
    (tmp_path / "labels.csv").write_text("\n".join(["image_path,gt_label,split", *rows]))
    with pytest.raises(BadData, match="line 2: split is 'test_private'; allowed: train, test, validation or nothing"):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_a_folder_of_defects_alone_is_not_good_in_silence(tmp_path: Path) -> None:
    bad(tmp_path / "NG", 6)
    (doubt,) = stops(read_folder(tmp_path / "NG", DEFAULT_OPTIONS))
    assert doubt == "6 images taken as good, in a folder called NG: read the folder above it or --good '**'"


def coco(folder: Path, *, ids: list[Any], of: list[Any], label: str = "scratch", height: int = SIDE) -> None:
    """Good images g0 to g5 and defects d0 to d2, with the `ids`, and annotations `of` these ids."""
    files = [*(f"g{number}.png" for number in range(6)), *(f"d{number}.png" for number in range(3))]
    entries = [
        {"id": number, "file_name": name, "width": SIDE, "height": height if name.startswith("d") else SIDE}
        for number, name in zip(ids, files, strict=True)
    ]
    content = {
        "images": entries,
        "annotations": [{"id": number, "image_id": one, **BOX} for number, one in enumerate(of)],
        "categories": [{"id": 1, "name": label}],
    }
    good(folder, name="g{}.png")
    bad(folder, name="d{}.png")
    (folder / "_annotations.coco.json").write_text(json.dumps(content))


def test_a_label_without_a_name_is_a_defect(tmp_path: Path) -> None:
    coco(tmp_path, ids=list(range(9)), of=[6, 7, 8], label=" ")
    assert classes(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)["defect"] == names("", 3, name="d{}.png")


@pytest.mark.parametrize(
    ("ids", "of", "message"),
    [
        (list(range(9)), [6, "7", "8"], "annotates 2 images that it does not list, such as image_id '7'"),
        ([0, 1, 2, 3, 4, 5, 3, 4, 5], [3, 4, 5], r"gives g3\.png and d0\.png one id, 3"),
    ],
)
def test_annotations_of_no_image_or_of_two_are_refused(
    tmp_path: Path, ids: list[Any], of: list[Any], message: str
) -> None:
    coco(tmp_path, ids=ids, of=of)
    with pytest.raises(BadData, match=message):
        read_folder(tmp_path, DEFAULT_OPTIONS)


def test_outlines_drawn_on_an_image_of_another_shape_are_a_doubt(tmp_path: Path) -> None:
    """As of a camera whose pictures are turned by EXIF, which the tool did not heed."""
    coco(tmp_path, ids=list(range(9)), of=[6, 7, 8], height=16)
    doubts = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert [doubt for doubt in doubts if doubt.startswith("3 masks of another shape than the image, stretched: d0.png")]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("machine.log", "".join(f"12:00 {number:03}.png {'NG' if number < 2 else 'OK'}\n" for number in range(6))),
        ("README.md", "- 001.png: scratch\n- 002.png: dent\n"),
        ("set.xml", "<image file='001.png'><box/></image>\n<image file='002.png'/>\n"),
        ("all.xml", "<filename>001.png</filename><filename>002.png</filename>"),
        ("via.json", '{"003.png1": {"filename": "003.png", "regions": [{"shape_attributes": {}}]}}'),
    ],
)
def test_any_text_that_names_images_is_a_doubt(tmp_path: Path, name: str, text: str) -> None:
    good(tmp_path)
    (tmp_path / name).write_text(text)
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(f"{name} names ")
    assert f"--ignore '{name}'" in doubt


def test_columns_that_contradict_one_another_are_a_doubt(tmp_path: Path) -> None:
    good(tmp_path)
    rows = [f"{number:03}.png,OK,{'NG' if number < 2 else 'OK'},bracket" for number in range(6)]
    (tmp_path / "l.csv").write_text("\n".join(["image,label,class,label_index", *rows]))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("l.csv: the columns label and class contradict one another in line 2, and in 1 more")


def test_many_doubts_are_listed_in_few_lines(tmp_path: Path) -> None:
    good(tmp_path / "img")
    for number in range(MAX_DOUBTS + 5):
        (tmp_path / f"img/{number}").mkdir()
        (tmp_path / f"img/{number}/log.csv").write_text("a;b\n000.png;x\n001.png;x\n")
    shown = table(read_folder(tmp_path, DEFAULT_OPTIONS), tmp_path)
    assert shown.count("is not read") == MAX_DOUBTS
    assert shown.endswith("\n  and 5 more")


def test_a_copy_and_what_is_read_lie_apart(here: Path) -> None:
    good(here / "photos/OK")
    bad(here / "photos/NG")
    assert fastflow("init", "photos", "--name", "n") == 0
    shutil.rmtree(here / "photos")
    for source in ("data/own/n/train", "data/own/n/train/good", "data", "."):
        assert fastflow("init", source, "--name", "n", "--again") == 2, source
    assert len(list((here / "data/own/n").rglob("*.png"))) == 9


def test_one_name_in_a_folder_each_costs_no_square_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[Path] = []
    words = pairing._words

    def counted(path: Path, folder: Path) -> set[str]:
        looked_at.append(path)
        return words(path, folder)

    monkeypatch.setattr(pairing, "_words", counted)
    images = [tmp_path / f"part{number}/img/a.png" for number in range(50)]
    masks = [tmp_path / f"part{number}/mask/a.png" for number in range(50)]
    pairs = pairing.pair(images, masks, tmp_path)
    assert pairs.masks == {image: [mask] for image, mask in zip(images, masks, strict=True)}
    assert len(looked_at) <= 100


def test_what_a_share_keeps_is_passed_over(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "@Recently-Snapshot/1", tmp_path / "~snapshot/nightly.0"):
        good(place / "OK")
        bad(place / "NG")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": names("OK/", 6), "NG": names("NG/", 3)}
    assert not stops(reading)


def test_a_glob_that_is_offered_names_the_folder_whatever_it_is_called(tmp_path: Path) -> None:
    for name in ("Fotos [1]", "a*b", "who?"):
        offered = shlex.split(glob_of(tmp_path, tmp_path / name))[0]
        assert regex(offered, tmp_path).fullmatch(f"{plain(name)}/1.png")
        assert not regex(offered, tmp_path).fullmatch("fotos 1/1.png")
