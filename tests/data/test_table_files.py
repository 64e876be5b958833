"""Tables of images as programs save them: encodings, separators, line ends, names in the other Unicode form."""

import shutil
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Literal

import pytest

from pipelines.data.layouts.reading import DEFAULT_OPTIONS, Reading
from pipelines.data.layouts.recognise import read_folder
from tests.conftest import write_plates

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]


def listed(
    folder: Path, encoding: str, *, separator: str = ";", end: str = "\r\n", form: Literal["NFC", "NFD"] = "NFC"
) -> Path:
    """Images beside a table that alone says which are defective; its names are composed, the files' as `form` says."""
    plates = write_plates(folder / "plates", num_train=8, num_test=3)
    target = folder / "mine"
    (target / "Bilder").mkdir(parents=True)
    lines = [separator.join(("image_path", "gt_label", "mask_path"))]
    sources = [*sorted((plates / "train/good").iterdir()), *sorted((plates / "test/square").iterdir())]
    for number, source in enumerate(sources):
        name, mask = f"Prüfling_{number}.png", ""
        shutil.copy(source, target / "Bilder" / unicodedata.normalize(form, name))
        if "square" in source.parts:
            mask = f"Bilder\\Lücke_{number}.png"
            file = target / unicodedata.normalize(form, mask.replace("\\", "/"))
            shutil.copy(plates / f"ground_truth/square/{source.stem}_mask.png", file)
        lines.append(separator.join((f"Bilder\\{name}", "NOK" if mask else "OK", mask)))
    (target / "list.csv").write_bytes(end.join([*lines, ""]).encode(encoding))
    return target


def counted(reading: Reading) -> dict[tuple[str, bool], int]:
    """Images and whether they have a mask, by what they are."""
    return dict(Counter((item.defect_type, bool(item.masks)) for item in reading.items))


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_in_any_encoding_says_what_its_images_are(
    tmp_path: Path, encoding: str, form: Literal["NFC", "NFD"]
) -> None:
    folder = listed(tmp_path, encoding, form=form)
    assert counted(read_folder(folder, DEFAULT_OPTIONS)) == {("good", False): 8, ("defect", True): 3}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_separators_and_line_ends_are_found_out(tmp_path: Path, separator: str, end: str) -> None:
    folder = listed(tmp_path, "utf-8", separator=separator, end=end)
    assert counted(read_folder(folder, DEFAULT_OPTIONS)) == {("good", False): 8, ("defect", True): 3}
