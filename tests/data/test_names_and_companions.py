"""Images called other than their folder, and pictures made of others beside them: asked, and neither trained on."""

from pathlib import Path

import pytest
from PIL import Image

from fastflow.sources import Sources
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from tests.data.folders import bad, classes, good, names, photograph, save, stops


@pytest.mark.parametrize("word", ["NG", "nok", "Defect", "不良"])
def test_good_images_called_bad_are_a_doubt(tmp_path: Path, word: str) -> None:
    good(tmp_path / "good", name="OK_{:03}.png")
    bad(tmp_path / "good", 2, name=f"{word}_{{:03}}.png")
    bad(tmp_path / "bad", name="NG_1{:02}.png")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    said = f"2 images called {word.lower()} in folders of good ones, taken as good: good/{word}_000.png"
    assert doubt.startswith(said)
    glob = f"good/{word}_[0-9]*.png"
    assert doubt.endswith(f"--defects '{glob}' or --ignore '{glob}' or --good 'good/**'")
    goods, defects = names("good/", 6, name="OK_{:03}.png"), names("good/", 2, name=f"{word}_{{:03}}.png")
    others = {"bad": names("bad/", 3, name="NG_1{:02}.png")}
    for sources, expected in (
        (Sources(defects=(glob,)), {"good": goods, "defect": defects} | others),
        (Sources(ignore=(glob,)), {"good": goods} | others),
        (Sources(good=("good/**",)), {"good": goods | defects} | others),
    ):
        settled = read_folder(tmp_path, ReadingOptions(sources))
        assert (classes(settled, tmp_path), stops(settled)) == (expected, [])


def test_defective_images_called_good_are_a_doubt(tmp_path: Path) -> None:
    good(tmp_path / "good")
    good(tmp_path / "bad", 2, name="OK_5{}.png")
    bad(tmp_path / "bad")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith(
        "2 images called ok in folders of defects, taken as defective: bad/OK_50.png, bad/OK_51.png"
    )
    turned, defects = names("bad/", 2, name="OK_5{}.png"), names("bad/", 3)
    for option, sources, expected in (
        (
            "--good 'bad/OK_[0-9]*.png' --good 'good/**'",
            Sources(good=("bad/OK_[0-9]*.png", "good/**")),
            {"good": names("good/", 6) | turned, "bad": defects},
        ),
        ("--ignore 'bad/OK_[0-9]*.png'", Sources(ignore=("bad/OK_[0-9]*.png",)), None),
        ("--defects 'bad/**'", Sources(defects=("bad/**",)), {"good": names("good/", 6), "bad": defects | turned}),
    ):
        assert option in doubt
        settled = read_folder(tmp_path, ReadingOptions(sources))
        assert classes(settled, tmp_path) == (expected or {"good": names("good/", 6), "bad": defects})
        assert not stops(settled)


def test_a_folder_of_good_ones_all_called_bad_is_one_doubt(tmp_path: Path) -> None:
    good(tmp_path / "good", name="NG_{:03}.png")
    bad(tmp_path / "bad")
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("6 images called ng in folders of good ones")


@pytest.mark.parametrize(
    ("good_name", "bad_name"),
    [
        ("chip_{:03}.png", "chip_9{:02}.png"),
        ("hole_plate_{:03}.png", "golden_{:03}.png"),
        ("NGK_{:03}.png", "io_board_{:03}.png"),
        ("Bad_Homburg_{:03}.png", "Bad_Homburg_9{:02}.png"),  # all are called so
        ("ok_part_{:03}.png", "ok_scratch_{:03}.png"),
        ("no_defect_{:03}.png", "not_ok_{:03}.png"),
        ("defect_free_{:03}.png", "clean_room_{:03}.png"),
    ],
)
def test_a_name_of_a_product_is_no_doubt(tmp_path: Path, good_name: str, bad_name: str) -> None:
    good(tmp_path / "good", name=good_name)
    bad(tmp_path / "bad", name=bad_name)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {
        "good": names("good/", 6, name=good_name),
        "bad": names("bad/", 3, name=bad_name),
    }
    assert not stops(reading)


GOOD, BAD = names("good/", 6), names("bad/", 3)


def both(folder: Path) -> list[Path]:
    return [*good(folder / "good"), *bad(folder / "bad")]


@pytest.mark.parametrize("end", ["_result.png", "_preview.jpg", "-depth.tif", " thumb.png"])
def test_a_picture_beside_each_photograph_is_a_doubt(tmp_path: Path, end: str) -> None:
    for path in both(tmp_path):
        save(photograph(f"{path}{end}").resize((10, 8)), path.with_name(path.stem + end))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": GOOD, "bad": BAD}
    (doubt,) = stops(reading)
    assert doubt.startswith(
        f"9 files called <image>{end} could be made of the images beside them; left out: --ignore '*"
    )
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=(f"*{end}",))))
    assert (classes(settled, tmp_path), stops(settled)) == ({"good": GOOD, "bad": BAD}, [])
    kept = read_folder(tmp_path, ReadingOptions(Sources(good=("good/**",), defects=("bad/**",))))
    assert sum(map(len, classes(kept, tmp_path).values())) == 18
    assert not stops(kept)


@pytest.mark.parametrize("end", ["_2.png", " (1).png"])
def test_a_second_shot_of_each_part_is_no_doubt(tmp_path: Path, end: str) -> None:
    for path in both(tmp_path):
        save(photograph(f"{path}{end}"), path.with_name(path.stem + end))
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))


def test_names_that_happen_to_begin_alike_are_no_doubt(tmp_path: Path) -> None:
    for path in both(tmp_path)[:4]:
        save(photograph(f"{path}x"), path.with_name(f"{path.stem}_left.png"))
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert len(classes(reading, tmp_path)["good"]) == 10
    assert not stops(reading)


@pytest.mark.parametrize("place", ["good/thumbs", "good/preview", "good/augmented", "crops", "cropped", "bad/thumbs"])
def test_a_folder_of_pictures_made_of_the_photographs_is_a_doubt(tmp_path: Path, place: str) -> None:
    both(tmp_path)
    for number in range(3):
        save(photograph(f"{place}{number}").resize((8, 8)), tmp_path / place / f"{number:03}.png")
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert classes(reading, tmp_path) == {"good": GOOD, "bad": BAD}
    (doubt,) = stops(reading)
    assert doubt.startswith(f"3 images beside the good ones' folder, left out: {place}/000.png")
    assert f"--ignore '{place}/**'" in doubt
    assert not stops(read_folder(tmp_path, ReadingOptions(Sources(ignore=(place,)))))


@pytest.mark.parametrize("above", ["production", "results", "cropped"])
def test_good_ones_below_such_a_folder_are_photographs(tmp_path: Path, above: str) -> None:
    both(tmp_path / above)
    reading = read_folder(tmp_path, DEFAULT_OPTIONS)
    assert {kind: len(several) for kind, several in classes(reading, tmp_path).items()} == {"good": 6, "bad": 3}
    assert not stops(reading)


def test_each_photograph_in_two_formats_is_a_doubt(tmp_path: Path) -> None:
    for path in both(tmp_path):
        with Image.open(path) as image:
            image.resize((10, 10)).save(path.with_suffix(".jpg"))
    (doubt,) = stops(read_folder(tmp_path, DEFAULT_OPTIONS))
    assert doubt.startswith("12 good images called alike but for the suffix")
    assert "--ignore '*.jpg' or --ignore '*.png'" in doubt
    settled = read_folder(tmp_path, ReadingOptions(Sources(ignore=("*.jpg",))))
    assert (classes(settled, tmp_path), stops(settled)) == ({"good": GOOD, "bad": BAD}, [])
    for path in [*tmp_path.rglob("00[2-5].jpg")]:
        path.unlink()  # then a few are two images, or copies
    assert not stops(read_folder(tmp_path, DEFAULT_OPTIONS))
