"""Tables that a person's folder holds, the prepared index, and files that name images and are not read."""

import hashlib
import io
import zipfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from pyarrow import parquet

from fastflow.errors import BadData
from fastflow.index import COLUMNS, read_index, seal_of
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, Reading
from pipelines.data.layouts.table_files import MAX_BYTES
from pipelines.data.layouts.tables import VISA_SPLIT, find_table, read_table, read_visa
from pipelines.data.layouts.unread_tables import unread_tables
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import ODD_TEXTS, files, json_files, mutated_bytes

NAMES = ("good/0.png", "good/1.png", "bad/2.png")
CSV = b"image_path;gt_label;mask_path;split\ngood/0.png;OK;;train\ngood/1.png;OK;;\nbad/2.png;NOK;;test\n"
HEADERS = ("image_path", "Image_Path", "path", "gt_label", "GT_LABEL", "label", "defect_type", "split", "mask", "", " ")
CELLS = st.one_of(st.sampled_from((*NAMES, "0", "1", "good", "scratch", "train", "test", "nan")), ODD_TEXTS)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    for name in NAMES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(name.encode())
    return tmp_path


@st.composite
def grids(draw: DrawFn) -> list[list[str]]:
    """Cells below columns that a table of images may have, also twice."""
    columns = draw(st.lists(st.sampled_from(HEADERS), min_size=1, max_size=5))
    row = st.lists(CELLS, min_size=len(columns), max_size=len(columns))
    return [columns, *draw(st.lists(row, max_size=4))]


def as_csv(grid: list[list[str]]) -> bytes:
    return "".join(",".join(row) + "\n" for row in grid).encode()


def as_parquet(grid: list[list[str]]) -> bytes:
    file = io.BytesIO()
    columns = dict(
        zip(grid[0], map(list, zip(*grid[1:], strict=True)) if grid[1:] else [[]] * len(grid[0]), strict=False)
    )
    pd.DataFrame(columns).to_parquet(file)
    return file.getvalue()


def check_reading(reading: Reading | None, folder: Path) -> None:
    """Each image once, and as good or not; none that is not there."""
    if reading is not None:
        images = [item.image for item in reading.items]
        assert len(set(images)) == len(images)
        assert all(image.is_file() and image.is_relative_to(folder) for image in images)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_tables_of_images(pictures: Path, suffix: str) -> None:
    path = pictures / f"list.{suffix}"
    drawn = grids().map(as_parquet if suffix == "parquet" else as_csv)
    valid = as_parquet([["image_path", "gt_label"], *[[name, "0"] for name in NAMES]]) if suffix == "parquet" else CSV

    def check(content: bytes) -> None:
        path.write_bytes(content)
        found = read_or_refused(lambda: find_table(pictures), path.name)
        assert found in (None, path)
        check_reading(read_or_refused(lambda: read_table(path, DEFAULT_OPTIONS), path.name), pictures)
        list(unread_tables([pictures / name for name in NAMES], [path], pictures, options=False))

    fuzz(f"tables, {suffix}", st.one_of(drawn, drawn.flatmap(mutated_bytes), files(valid)), check)


def test_the_table_of_visa(pictures: Path) -> None:
    folder = pictures / "candle"
    for name in ("Data/Images/Normal/0.JPG", "Data/Images/Anomaly/1.JPG", "Data/Masks/Anomaly/1.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    path = pictures / VISA_SPLIT
    path.parent.mkdir()
    valid = (
        b"object,split,label,image,mask\n"
        b"candle,train,normal,candle/Data/Images/Normal/0.JPG,\n"
        b"candle,test,anomaly,candle/Data/Images/Anomaly/1.JPG,candle/Data/Masks/Anomaly/1.png\n"
    )

    def check(content: bytes) -> None:
        path.write_bytes(content)
        check_reading(read_or_refused(lambda: read_visa(folder, DEFAULT_OPTIONS), path.name, "VisA"), pictures)

    fuzz("VisA's table", files(valid), check)


INDEX = (
    ",".join(COLUMNS) + "\n"
    f"train/good/0.png,train,good,0,,{'0' * 64}\n"
    f'"test/cut/ü, 1.png",test,cut,1,ground_truth/cut/1_mask.png,{"1" * 64}\n'
).encode()


@pytest.mark.parametrize("sealed", [False, True])
def test_the_index(tmp_path: Path, sealed: bool) -> None:
    path = tmp_path / "plates.csv"

    def check(content: bytes) -> None:
        path.write_bytes(content)
        seal_of(path).write_text(hashlib.sha256(content if sealed else INDEX).hexdigest() + "\n")
        for split in ("train", "test"):
            found = read_or_refused(lambda split=split: read_index(path, split=split), path)  # type: ignore[misc]
            if found is not None:
                assert set(found["gt_label"]) <= {0, 1}
                assert set(found["split"]) <= {split}
                assert sealed or content == INDEX

    fuzz(f"the index, {sealed=}", files(INDEX), check)


def test_the_seal_of_the_index(tmp_path: Path) -> None:
    path = tmp_path / "plates.csv"
    path.write_bytes(INDEX)
    valid = f"{hashlib.sha256(INDEX).hexdigest()}\n".encode()

    def check(content: bytes) -> None:
        seal_of(path).write_bytes(content)
        read_or_refused(lambda: read_index(path, split="train"), path)

    fuzz("the seal of the index", files(valid), check)


def a_book() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        cells = "".join(f"<c><v>{name}</v></c>" for name in NAMES)
        book.writestr("xl/worksheets/sheet1.xml", f"<worksheet>{cells}</worksheet>")
    return file.getvalue()


UNREAD = {
    "list.xlsx": files(a_book()),
    "list.json": json_files([{"image": name, "label": "ok"} for name in NAMES]),
    "list.jsonl": json_files({"image": NAMES[0], "label": "ok"}, {"image": NAMES[2]}),
    "list.xml": files("".join(f'<image name="{name}"/>\n' for name in NAMES).encode()),
    "list.txt": files("".join(f"{name} 1\n" for name in NAMES).encode()),
}


@pytest.mark.parametrize("name", UNREAD)
def test_files_that_name_images_and_are_not_read(pictures: Path, name: str) -> None:
    images = [pictures / one for one in NAMES]

    def check(content: bytes) -> None:
        (pictures / name).write_bytes(content)
        doubts = list(unread_tables(images, [pictures / name], pictures, options=False))
        assert all(name in doubt.text for doubt in doubts)

    fuzz(f"files that are not read, {name}", UNREAD[name], check)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image_path,gt_label,GT_LABEL\ngood/0.png,0,1\n", "columns whose names are one but for case and spaces"),
        (b"image_path,gt_label\n" + b"n" * 300 + b".png,0\n", r"line 2: 'n+'\.\.\. is longer than the name of a file"),
        (b"image_path,gt_label\n" + b"n/" * 600 + b"0.png,0\n", r"line 2: .* is longer than the name of a file"),
    ],
)
def test_a_table_that_cannot_be_meant_is_refused(pictures: Path, content: bytes, message: str) -> None:
    (pictures / "list.csv").write_bytes(content)
    with pytest.raises(BadData, match=rf"list\.csv.*{message}"):
        read_table(pictures / "list.csv", DEFAULT_OPTIONS)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 20 + b"PAR1", b"\xff" * 50])
def test_a_damaged_parquet_is_named_and_says_so_where_it_is_found(pictures: Path, content: bytes) -> None:
    path = pictures / "list.parquet"
    path.write_bytes(content)
    with pytest.raises(BadData, match=r"list\.parquet is no table that can be read"):
        read_table(path, DEFAULT_OPTIONS)
    (doubt,) = unread_tables([pictures / name for name in NAMES], [path], pictures, options=False)
    assert "list.parquet cannot be looked into, and may say what the images are" in str(doubt)


def test_a_parquet_of_bytes_that_are_no_text_is_refused_by_name(pictures: Path) -> None:
    path = pictures / "list.parquet"
    parquet.write_table(pa.table({"image_path": ["good/0.png"] * 3, "gt_label": ["0"] * 3}), path, compression="none")
    path.write_bytes(path.read_bytes().replace(b"good/0.png", b"\xe7ood/0.png"))
    with pytest.raises(BadData, match=r"list\.parquet is no table that can be read"):
        read_table(path, DEFAULT_OPTIONS)


@pytest.mark.parametrize(
    ("rows", "value", "message"),
    [
        (3_000_000, "0.png", "3,000,000 rows of 2 columns; allowed: 5,000,000 cells"),
        (30_000, "n" * 20_000, "more than 250,000,000 bytes"),
    ],
)
def test_a_parquet_that_would_fill_the_memory_is_refused_early(
    pictures: Path, rows: int, value: str, message: str
) -> None:
    """One value, a million times, takes a few hundred bytes."""
    path = pictures / "list.parquet"
    column = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), rows), [value])
    parquet.write_table(pa.table({"image_path": column, "gt_label": column}), path)
    assert path.stat().st_size < 100_000
    before = pa.total_allocated_bytes()
    with pytest.raises(BadData, match=message):
        read_table(path, DEFAULT_OPTIONS)
    assert pa.total_allocated_bytes() - before < 2 * MAX_BYTES


def test_a_book_with_a_damaged_sheet_is_not_passed_over(pictures: Path) -> None:
    """It may say which images are defective: without a word all would be good."""
    path = pictures / "list.xlsx"
    content = bytearray(a_book())
    content[content.index(b"sheet1.xml") + len(b"sheet1.xml") + 4] ^= 0xFF  # in the packed cells
    path.write_bytes(content)
    assert zipfile.is_zipfile(path)
    (doubt,) = unread_tables([pictures / name for name in NAMES], [path], pictures, options=False)
    assert "list.xlsx cannot be looked into, and may say what the images are" in str(doubt)


@pytest.mark.parametrize(
    "content", [b"", b"object,label\ncandle,normal\n", b"object,split,label,image,mask\ncandle\n", b"\xff"]
)
def test_a_table_of_visa_that_is_none_is_named(pictures: Path, content: bytes) -> None:
    (pictures / "candle/Data/Images").mkdir(parents=True)
    (pictures / VISA_SPLIT).parent.mkdir()
    (pictures / VISA_SPLIT).write_bytes(content)
    with pytest.raises(BadData, match=r"1cls\.csv is not VisA's table"):
        read_visa(pictures / "candle", DEFAULT_OPTIONS)


@pytest.mark.parametrize("content", [b"", b"\xff\n", INDEX.replace(b",cut,1,", b",cut,2,")])
def test_an_index_of_other_labels_is_named_whoever_sealed_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "plates.csv"
    path.write_bytes(content)
    seal_of(path).write_text(hashlib.sha256(content).hexdigest())
    with pytest.raises(BadData, match=r"prepared index .*plates\.csv"):
        read_index(path, split="test")
