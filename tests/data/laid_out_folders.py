"""Folders as people and data sets lay them out, and what each must be read as."""

import unicodedata
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.data.folders import bad, good, mask_image, names, photograph, save

Built = tuple[str, dict[str, set[str]], bool]  # the layout's name, images by class, whether defects have masks


def mvtec(f: Path) -> Built:
    good(f / "train/good")
    good(f / "test/good", 2)
    bad(f / "test/scratch", masks="../../ground_truth/scratch/{:03}_mask.png")
    for number in range(2):
        save(Image.new("L", (24, 24)), f / f"ground_truth/good/{number:03}.png")
    kinds = {"good": names("train/good/", 6) | names("test/good/", 2), "scratch": names("test/scratch/", 3)}
    return "MVTec AD", kinds, True


def capitals(f: Path) -> Built:
    good(f / "Train/Good")
    good(f / "Test/Good", 2)
    bad(f / "Test/Scratch", masks="../../Ground_Truth/scratch/{:03}_MASK.png")
    kinds = {"good": names("Train/Good/", 6) | names("Test/Good/", 2), "Scratch": names("Test/Scratch/", 3)}
    return "MVTec AD", kinds, True


def masks_inside(f: Path) -> Built:
    good(f / "train/good")
    good(f / "test/good", 2)
    bad(f / "test/scratch/images", masks="../masks/{:03}.png")
    kinds = {"good": names("train/good/", 6) | names("test/good/", 2), "scratch": names("test/scratch/images/", 3)}
    return "MVTec AD", kinds, True


def normal_abnormal(f: Path) -> Built:
    good(f / "train/normal")
    good(f / "test/normal", 2)
    bad(f / "test/abnormal")
    kinds = {"good": names("train/normal/", 6) | names("test/normal/", 2), "abnormal": names("test/abnormal/", 3)}
    return "MVTec AD", kinds, False


def train_has_defects(f: Path) -> Built:
    good(f / "train/good")
    good(f / "test/good", 2)
    bad(f / "train/scratch")
    kinds = {"good": names("train/good/", 6) | names("test/good/", 2), "scratch": names("train/scratch/", 3)}
    return "MVTec AD", kinds, False


def mvtec_ad_2(f: Path) -> Built:
    lights = [f"{number:03}_{light}.png" for number in range(2) for light in ("regular", "overexposed")]
    for place in ("train/good", "validation/good", "test_public/good", "test_private"):
        for name in lights:
            save(photograph(place + name), f / place / name)
    for name in lights:
        save(photograph(Path(name).stem, defect=True), f / "test_public/bad" / name)
        save(mask_image(Path(name).stem), f / "test_public/ground_truth/bad" / name.replace(".", "_mask."))
    kinds = {"bad": {f"test_public/bad/{name}" for name in lights}}
    kinds["good"] = {f"{p}/{n}" for p in ("train/good", "validation/good", "test_public/good") for n in lights}
    return "MVTec AD 2", kinds, True


def loco(f: Path) -> Built:
    good(f / "train/good")
    good(f / "validation/good", 2)
    good(f / "test/good", 2)
    for path in bad(f / "test/logical_anomalies"):
        whole = mask_image(path.stem)
        for number, box in enumerate([(0, 0, 10, 24), (10, 0, 24, 24)]):  # two masks an image, each with a part
            part = Image.new("L", whole.size)
            part.paste(whole.crop(box), box[:2])
            save(part, f / f"ground_truth/logical_anomalies/{path.stem}/{number:03}.png")
    kinds = {"good": names("train/good/", 6) | names("validation/good/", 2) | names("test/good/", 2)}
    return "MVTec LOCO AD", kinds | {"logical_anomalies": names("test/logical_anomalies/", 3)}, True


def btad(f: Path) -> Built:
    good(f / "train/ok", name="{:03}.bmp")
    good(f / "test/ok", 2, name="{:03}.bmp")
    bad(f / "test/ko", name="{:03}.bmp", masks="../../ground_truth/ko/{:03}.png")
    kinds = {"good": names("train/ok/", 6, name="{:03}.bmp") | names("test/ok/", 2, name="{:03}.bmp")}
    return "BTAD", kinds | {"ko": names("test/ko/", 3, name="{:03}.bmp")}, True


def visa(f: Path) -> Built:
    images = f / "Data/Images"
    good(images / "Normal", name="{:04}.JPG")
    bad(images / "Anomaly", name="{:03}.JPG", masks="../../Masks/Anomaly/{:03}.png")
    (f / "image_anno.csv").write_text("image,label,mask\n")
    kinds = {"good": names("Data/Images/Normal/", 6, name="{:04}.JPG")}
    return "VisA", kinds | {"Anomaly": names("Data/Images/Anomaly/", 3, name="{:03}.JPG")}, True


def kolektor(f: Path) -> Built:
    for number in range(5):
        for part in range(2):
            defect = part == 1 and number < 2
            save(
                photograph(f"Part{part}" if defect else f"{number}{part}", defect=defect),
                f / f"kos{number:02}/Part{part}.jpg",
            )
            mask = mask_image("Part1") if defect else Image.new("L", (24, 24))
            save(mask, f / f"kos{number:02}/Part{part}_label.bmp")
    every = {f"kos{number:02}/Part{part}.jpg" for number in range(5) for part in range(2)}
    defects = {"kos00/Part1.jpg", "kos01/Part1.jpg"}
    return "KolektorSDD", {"good": every - defects, "defect": defects}, True


def kolektor_2(f: Path) -> Built:
    for split in ("train", "test"):
        for path in good(f / split, 3, name="1{:04}.png"):
            save(Image.new("L", (24, 24)), path.with_name(f"{path.stem}_GT.png"))
        bad(f / split, 2, name="2{:04}.png", masks="2{:04}_GT.png")
    goods = names("train/", 3, name="1{:04}.png") | names("test/", 3, name="1{:04}.png")
    defects = names("train/", 2, name="2{:04}.png") | names("test/", 2, name="2{:04}.png")
    return "KolektorSDD2", {"good": goods, "defect": defects}, True


def magnetic_tiles(f: Path) -> Built:
    for number in range(5):
        save(photograph(f"free{number}"), f / f"MT_Free/Imgs/exp{number}.jpg")
        save(Image.new("L", (24, 24)), f / f"MT_Free/Imgs/exp{number}.png")
    for kind in ("Blowhole", "Break"):
        bad(f / f"MT_{kind}/Imgs", 2, name=f"{kind}{{}}.jpg", masks=f"{kind}{{}}.png")
    kinds = {f"MT_{kind}": names(f"MT_{kind}/Imgs/", 2, name=f"{kind}{{}}.jpg") for kind in ("Blowhole", "Break")}
    return "magnetic tiles", kinds | {"good": names("MT_Free/Imgs/", 5, name="exp{}.jpg")}, True


def roboflow_classes(f: Path) -> Built:
    for split in ("train", "valid", "test"):
        good(f / split / "good", 2)
        bad(f / split / "defect", 1)
    goods = {path for split in ("train", "valid", "test") for path in names(f"{split}/good/", 2)}
    defects = {f"{split}/defect/000.png" for split in ("train", "valid", "test")}
    return "train, valid and test by class", {"good": goods, "defect": defects}, False


def by_words(good_word: str, bad_word: str) -> Callable[[Path], Built]:
    def build(f: Path) -> Built:
        good(f / good_word)
        bad(f / bad_word)
        return "by class", {"good": names(f"{good_word}/", 6), bad_word: names(f"{bad_word}/", 3)}, False

    return build


def days(f: Path) -> Built:
    good(f / "good", 2)
    good(f / "good/2024-01-01", 3)
    good(f / "good/2024-01-02", 3)
    bad(f / "scratch/2024-01-01")
    goods = names("good/", 2) | names("good/2024-01-01/", 3) | names("good/2024-01-02/", 3)
    return "by class", {"good": goods, "scratch": names("scratch/2024-01-01/", 3)}, False


def in_days(f: Path) -> Built:
    for day in ("2024-01-01", "2024-01-02"):
        good(f / day / "ok", 3)
        bad(f / day / "dent", 1)
    goods = names("2024-01-01/ok/", 3) | names("2024-01-02/ok/", 3)
    return "by class", {"good": goods, "dent": {"2024-01-01/dent/000.png", "2024-01-02/dent/000.png"}}, False


def root_and_defects(f: Path) -> Built:
    good(f)
    bad(f / "defects")
    return "by class", {"good": names("", 6), "defects": names("defects/", 3)}, False


def names_of_files(f: Path) -> Built:
    good(f, name="OK_{:03}.png")
    bad(f, name="NG_{:03}.png")
    return "flat", {"good": names("", 6, name="OK_{:03}.png"), "ng": names("", 3, name="NG_{:03}.png")}, False


def no_suffix(f: Path) -> Built:
    good(f / "good", 2)
    for number in range(2):
        save(photograph(f"j{number}"), f / f"good/x{number}.jpg").rename(f / f"good/x{number}.jfif")
        save(photograph(f"n{number}"), f / f"good/y{number}.png").rename(f / f"good/y{number}")
    return "by class", {"good": names("good/", 2) | {f"good/{n}" for n in ("x0.jfif", "x1.jfif", "y0", "y1")}}, False


def several_masks(f: Path) -> Built:
    good(f / "good")
    for path in bad(f / "scratch"):
        whole = mask_image(path.stem)
        for number, box in enumerate([(0, 0, 10, 24), (10, 0, 24, 24)]):
            part = Image.new("L", whole.size)
            part.paste(whole.crop(box), box[:2])
            save(part, f / f"masks/{path.stem}_mask_{number}.png")
    return "by class", {"good": names("good/", 6), "scratch": names("scratch/", 3)}, True


def leftovers(f: Path) -> Built:
    good(f / "good")
    bad(f / "scratch")
    for place in ("__MACOSX/good/._000.png", "good/._000.png", "good/@eaDir/000.png/THUMB_M.jpg", "#recycle/x.png"):
        (f / place).parent.mkdir(parents=True, exist_ok=True)
        (f / place).write_bytes(b"\0\5\26\7")
    return "by class", {"good": names("good/", 6), "scratch": names("scratch/", 3)}, False


def composed_and_decomposed(f: Path) -> Built:
    stem = "Prüfling_{:03}"
    good(f / "gut")
    bad(f / "Kratzer", name=unicodedata.normalize("NFD", f"{stem}.png"))
    for path in (f / "Kratzer").iterdir():
        save(mask_image(path.stem), f / "masks" / unicodedata.normalize("NFC", path.name))
    kinds = {"Kratzer": names("Kratzer/", 3, name=unicodedata.normalize("NFD", f"{stem}.png"))}
    return "by class", kinds | {"good": names("gut/", 6)}, True


def long_names(f: Path) -> Built:
    name = "x" * 243 + "{:03}.png"
    good(f / "good")
    bad(f / "scratch", 2, name=name, masks=f"../masks/{name}")
    return "by class", {"good": names("good/", 6), "scratch": names("scratch/", 2, name=name)}, True


def fewer(f: Path) -> Built:
    good(f, 2)
    return "flat", {"good": names("", 2)}, False


LAYOUTS: dict[str, Callable[[Path], Built]] = {
    "mvtec": mvtec, "capitals": capitals, "masks inside test": masks_inside, "normal, abnormal": normal_abnormal,
    "defects in train": train_has_defects, "mvtec 2": mvtec_ad_2, "loco": loco, "btad": btad, "visa": visa,
    "kolektor": kolektor, "kolektor 2": kolektor_2, "magnetic tiles": magnetic_tiles, "roboflow": roboflow_classes,
    "german": by_words("gut", "schlecht"), "i.O.": by_words("i.O", "n.i.O"),
    "words": by_words("OK_images", "NG_images"), "chinese": by_words("良品", "缺陷"), "days": days,
    "in days": in_days, "root and defects": root_and_defects,
    "names of files": names_of_files, "no suffix": no_suffix, "several masks": several_masks, "leftovers": leftovers,
    "unicode forms": composed_and_decomposed, "long names": long_names, "two": fewer,
}  # fmt: skip
