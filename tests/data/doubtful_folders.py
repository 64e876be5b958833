"""Folders that could be meant in two ways, and the option that settles each."""

from collections.abc import Callable
from pathlib import Path

from fastflow.sources import Sources
from tests.data.folders import bad, good, mask_image, names, photograph, save


def two_good(f: Path) -> None:
    good(f / "good")
    good(f / "good_2024", 2)
    bad(f / "ng")


def two_exact(f: Path) -> None:
    good(f / "ok")
    good(f / "Normal", 2)
    bad(f / "ng")


def images_beside_good(f: Path) -> None:
    good(f / "ok")
    good(f / "images", 2)


def in_the_root_beside_good(f: Path) -> None:
    good(f / "good")
    good(f, 2)


def rejected_in_good(f: Path) -> None:
    good(f / "good")
    good(f / "good/rejected", 2)


def beside_unknown(f: Path) -> None:
    good(f)
    bad(f / "line 7")


def flat_masks(f: Path) -> None:
    good(f)
    bad(f, name="d{:02}.png", masks="masks/d{:02}.png")


def flat_beside(f: Path) -> None:
    """As Roboflow exports label masks."""
    good(f, name="{:03}.jpg")
    bad(f, name="d{:02}.jpg", masks="d{:02}_mask.png")
    (f / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, scratch\n")


def unknown_suffix(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch", masks="{:03}-x.png")


def unknown_folder(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch", masks="../export 3/{:03}.png")


def labels_are_photographs(f: Path) -> None:
    good(f / "good")
    good(f / "labels", 2)


def masks_are_photographs(f: Path) -> None:
    good(f / "good")
    bad(f / "scratch")
    for number in range(3):
        save(photograph(f"m{number}"), f / f"masks/{number:03}.png")


def masks_of_nobody(f: Path) -> None:
    """As Label Studio names them."""
    good(f / "good")
    bad(f / "scratch", name="a1b2-part_{:03}.png")
    for number in range(3):
        save(mask_image(f"a1b2-part_{number:03}"), f / f"masks/task-{number}-annotation-1-by-1-tag-scratch-0.png")


def good_with_marks(f: Path) -> None:
    good(f / "good", 3)
    bad(f / "good", 1, name="d.png", masks="../masks/d.png")
    bad(f / "scratch", masks="../masks/{:03}.png")


def two_places(f: Path) -> None:
    good(f / "good")
    bad(f / "bad", 1, masks="../masks/{:03}.png")
    save(mask_image("000"), f / "GT/000.png")


def in_two_cases(f: Path) -> None:
    good(f / "good")
    bad(f / "Scratch", 1)
    bad(f / "scratch", 2, name="1{:02}.png")


def another_format(f: Path) -> None:
    good(f / "good")
    (f / "good/x.heic").write_bytes(b"x")


def yolo(f: Path) -> None:
    for path in good(f / "images", 4):
        text = f / "labels" / f"{path.stem}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text("0 0.5 0.5 0.25 0.25\n")


def all_named_after_a_defect(f: Path) -> None:
    good(f, name="scratch_{:03}.png")


def thumbnails(f: Path) -> None:
    for path in good(f / "good"):
        save(photograph(path.name).resize((8, 8)), f / "thumbnails" / path.name)


def not_sorted(f: Path) -> None:
    good(f / "golden sample")
    good(f / "production", 2)


def by_product(f: Path) -> None:
    for product in ("lid", "bracket"):
        good(f / product / "good")
        bad(f / product / "ng")


# what is drawn; the doubt; the option that settles it, as it stands in the doubt; what is then read
Case = tuple[Callable[[Path], None], str, str, Sources, dict[str, set[str]]]
GOOD, NG = names("good/", 6), {"ng": names("ng/", 3)}
SCRATCH = {"scratch": names("scratch/", 3)}
DOUBTS: dict[str, Case] = {
    "two good folders": (
        two_good, "more than one folder could be the good one, all taken as good: good (6), good_2024 (2)",
        "--defects 'good_2024/**'", Sources(defects=("good_2024/**",)),
        {"good": GOOD, "defect": names("good_2024/", 2)} | NG,
    ),
    "two good folders, both": (
        two_good, "more than one folder could be the good one", "--good 'good/**' --good 'good_2024/**'",
        Sources(good=("good/**", "good_2024/**")), {"good": GOOD | names("good_2024/", 2)} | NG,
    ),
    "two good folders of other words": (
        two_exact, "more than one folder could be the good one", "--ignore 'Normal/**'",
        Sources(ignore=("Normal/**",)), {"good": names("ok/", 6)} | NG,
    ),
    "images beside good": (
        images_beside_good, "2 images beside the good ones' folder, left out: images/000.png", "--good 'images/**'",
        Sources(good=("images/**", "ok/**")), {"good": names("ok/", 6) | names("images/", 2)},
    ),
    "images in the root beside good": (
        in_the_root_beside_good, "2 images beside the good ones' folder, left out: 000.png, 001.png", "--defects '/*'",
        Sources(defects=("/*.png",)), {"good": GOOD, "defect": names("", 2)},
    ),
    "rejected in good": (
        rejected_in_good, "2 images beside the good ones' folder, left out: good/rejected/000.png",
        "--defects 'good/rejected/**'", Sources(defects=("good/rejected/**",)),
        {"good": GOOD, "rejected": names("good/rejected/", 2)},
    ),
    "beside a name of its own": (
        beside_unknown, "6 images beside line 7, taken as good: 000.png", "--good '/*'", Sources(good=("/*.png",)),
        {"good": names("", 6), "line 7": names("line 7/", 3)},
    ),
    "without a mask": (
        flat_masks, "6 images without a mask, where others have one, taken as good: 000.png",
        "--good '[0-9]*.png'", Sources(good=("[0-9]*.png",)),
        {"good": names("", 6), "defect": names("", 3, name="d{:02}.png")},
    ),
    "label masks of Roboflow": (
        flat_beside, "6 images without a mask, where others have one, taken as good: 000.jpg",
        "--good '[0-9]*.jpg'", Sources(good=("[0-9]*.jpg",)),
        {"good": names("", 6, name="{:03}.jpg"), "defect": names("", 3, name="d{:02}.jpg")},
    ),
    "masks of an unknown suffix": (
        unknown_suffix, "3 files called <image>-x.png look like masks; taken as such", "--masks '*-x.png'",
        Sources(masks=("*-x.png",)), {"good": GOOD} | SCRATCH,
    ),
    "masks in an unknown folder": (
        unknown_folder, "3 files in export 3/ look like masks, and are called as images are; taken as masks",
        "--masks 'export 3/**'", Sources(masks=("export 3/**",)), {"good": GOOD} | SCRATCH,
    ),
    "labels": (
        labels_are_photographs, "2 files in labels/ look like photographs; left out", "--defects 'labels/**'",
        Sources(defects=("labels/**",)), {"good": GOOD, "defect": names("labels/", 2)},
    ),
    "photographs in masks": (
        masks_are_photographs, "3 files in masks/ look like photographs; taken as masks", "--ignore 'masks/**'",
        Sources(ignore=("masks/**",)), {"good": GOOD} | SCRATCH,
    ),
    "masks of nobody": (
        masks_of_nobody, "3 masks called as no image: masks/task-0-", "--ignore 'masks/**'",
        Sources(ignore=("masks/**",)), {"good": GOOD, "scratch": names("scratch/", 3, name="a1b2-part_{:03}.png")},
    ),
    "a good image with a mask": (
        good_with_marks, "1 good image with masks that mark a defect: good/d.png", "--defects 'good/d.png'",
        Sources(defects=("good/d.png",)), {"good": names("good/", 3), "defect": {"good/d.png"}} | SCRATCH,
    ),
    "masks in two places": (
        two_places, "1 image with masks in several folders, united: GT/000.png, masks/000.png", "--ignore 'GT/**'",
        Sources(ignore=("GT/**",)), {"good": GOOD, "bad": {"bad/000.png"}},
    ),
    "another format": (
        another_format, "1 .heic file of a format that is not read: good/x.heic", "--ignore '*.heic'",
        Sources(ignore=("*.heic",)), {"good": GOOD},
    ),
    "YOLO": (
        yolo, "4 files of text (YOLO) called as images, not read: labels/000.txt", "--ignore '*.txt'",
        Sources(ignore=("*.txt",)), {"good": names("images/", 4)},
    ),
    "thumbnails": (
        thumbnails, "6 images beside the good ones' folder, left out: thumbnails/000.png", "--ignore 'thumbnails/**'",
        Sources(ignore=("thumbnails",)), {"good": GOOD},
    ),
    "not sorted": (
        not_sorted, "2 images beside the good ones' folder, left out: production/000.png", "--ignore 'production/**'",
        Sources(ignore=("production",)), {"good": names("golden sample/", 6)},
    ),
    "all called scratch": (
        all_named_after_a_defect, "6 images all called after a defect, taken as good", "--good '/*'",
        Sources(good=("/*",)), {"good": names("", 6, name="scratch_{:03}.png")},
    ),
}  # fmt: skip
