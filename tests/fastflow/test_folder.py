"""The library's own reading of a folder: as globs say, and refused where they do not say all."""

from pathlib import Path

import numpy as np
import pytest

from fastflow.api import arrange
from fastflow.decode import read_mask
from fastflow.errors import BadData
from fastflow.index import list_category
from fastflow.sources import plain, regex
from tests.data.folders import bad, good, photograph, save, truth


def test_globs_say_what_each_image_is(tmp_path: Path) -> None:
    good(tmp_path / "photos/ok/day 1", 5)
    good(tmp_path / "photos/held out", 2)
    bad(tmp_path / "photos/ng/dent", masks="{:03}_gt.png", change=lambda mask: mask.point(lambda level: 255 - level))
    save(photograph("x"), tmp_path / "photos/junk/x.png")
    made = arrange(
        tmp_path / "photos", tmp_path / "made", good="ok", test_good=["held*"], defects="ng/**", masks="*_gt.png",
        ignore="junk", masks_inverted=True,
    )  # fmt: skip
    index = list_category(made)
    counts = {key: len(rows) for key, rows in index.groupby(["split", "defect_type"])}
    assert counts == {("train", "good"): 5, ("test", "good"): 2, ("test", "dent"): 3}
    for path in index.loc[index["mask_path"] != "", "mask_path"]:
        assert np.array_equal(read_mask(made / path), truth(Path(path).stem.removesuffix("_mask")))


@pytest.mark.parametrize(
    ("globs", "message"),
    [
        ({"good": "ok"}, r"no glob names ng/000.png, ng/000_gt.png, ng/001.png and 3 more; good, defects, masks"),
        ({"good": "ok", "defects": "ng", "masks": "nothing*"}, r"--masks 'nothing\*' names none of the 8 files"),
        ({"good": "ok", "masks": "*_gt.png", "ignore": "ng/0*[0-9].png"}, "masks of no image: ng/002_gt.png"),
        ({"good": "ok", "masks": "*0_gt.png", "ignore": ["*1*", "*2*", "ng/000.png"]}, "mark a defect of a good image"),
        ({"good": "o", "defects": "*"}, "--good 'o' names none"),
        ({"good": "ok", "defects": "*"}, "is named by --good and by --defects"),
        ({"good": [], "defects": "*"}, "no image is good"),
    ],
)
def test_what_is_not_said_is_refused(tmp_path: Path, globs: dict[str, object], message: str) -> None:
    good(tmp_path / "photos/ok", 2)
    bad(tmp_path / "photos/ng", masks="{:03}_gt.png")
    with pytest.raises(BadData, match=message):
        arrange(tmp_path / "photos", tmp_path / "made", **globs)  # type: ignore[arg-type]
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("*.png", "a/b.png", True),
        ("/*.png", "a/b.png", False),
        ("/*.png", "b.png", True),
        ("./*.png", "a/b.png", False),
        ("ok", "x/ok/1/2.png", True),
        ("ok", "okay/1.png", False),
        ("ok/*", "ok/1.png", True),
        ("ok/*", "ok/1/2.png", False),
        ("good/**", "good/1/2.png", True),
        ("good/*/x.png", "good/1/2/x.png", False),
        ("good/**/x.png", "good/x.png", True),
        ("**/*_gt.*", "a_gt.png", True),
        ("[0-9]*.png", "d1.png", False),
        ("[!d]*.png", "a.png", True),
        ("what?.png", "what?.png", True),
        ("Fotos [[]1]/**", "Fotos [1]/a.png", True),
        ("Fotos [[]1]/**", "Fotos 1/a.png", False),
        ("x[?].png", "xa.png", False),
        ("#1 (a+b)/", "#1 (a+b)/c.png", True),
        ("OK/*.PNG", "ok/1.png", True),
        ("Prüf/*", "Pru\u0308f/1.png", True),
        ("/x/y/ok/*", "ok/1.png", True),
    ],
)
def test_globs_are_those_of_gitignore(glob: str, name: str, fits: bool) -> None:
    assert bool(regex(glob, Path("/x/y")).fullmatch(plain(name))) == fits
