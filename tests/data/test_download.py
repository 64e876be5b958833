"""The download stage from archive to category: tiny archives, real processes."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from fastflow.errors import BadData
from pipelines import download
from pipelines.core.params import read_params
from pipelines.data.data_sets import DATA_SETS, Counts
from pipelines.download import provide
from tests.conftest import ROOT
from tests.data.download_kit import COUNTS, TARGET, TINY, source_of, tree

pytestmark = pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")


def test_a_category_is_fetched_counted_placed_and_its_licence_recorded(
    folder: Path, archive: Path, server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    provide(TINY, "plates", source_of(archive, f"{server}/good"), archive=None, target=TARGET)
    placed, original = tree(TARGET), tree(archive.parent / "plates")
    assert {k: v for k, v in placed.items() if k not in ("source.json", "license.txt")} == original
    assert "license.txt" in placed
    record = json.loads((TARGET / "source.json").read_text())
    assert record["licence"] == "CC BY-NC-SA 4.0"
    assert record["archive_sha256"] == source_of(archive).sha256
    assert "non-commercial" in caplog.messages[0]
    assert [p.name for p in Path("data/mvtec_ad").iterdir()] == ["plates"]


def test_a_whole_category_is_kept_without_any_archive_and_a_spoiled_one_is_replaced(
    folder: Path, archive: Path
) -> None:
    source = source_of(archive)
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    before = tree(TARGET)
    provide(TINY, "plates", source, archive=folder / "absent.tar", target=TARGET)
    image = TARGET / "train/good/000.png"
    image.write_bytes(image.read_bytes()[:-1] + b"?")
    (TARGET / "test/good/000.png").unlink()
    with pytest.raises(BadData, match=r"absent\.tar does not exist"):
        provide(TINY, "plates", source, archive=folder / "absent.tar", target=TARGET)
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    assert tree(TARGET) == before


def test_what_a_person_put_there_is_never_lost(folder: Path, archive: Path) -> None:
    source = source_of(archive)
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    (TARGET / "train/good/mine.png").write_bytes(b"mine")
    with pytest.raises(BadData, match=r"train/good/mine\.png"):
        provide(TINY, "plates", source, archive=archive, target=TARGET)
    (TARGET / "source.json").unlink()
    with pytest.raises(BadData, match="was not downloaded by this command"):
        provide(TINY, "plates", source, archive=archive, target=TARGET)
    assert (TARGET / "train/good/mine.png").read_bytes() == b"mine"


@pytest.mark.parametrize("record", ["{", "{}", "[]", '{"files": 3}', "\x00", '{"files": {}}'])
def test_a_damaged_record_is_not_whole_and_nothing_of_a_person_is_lost(
    folder: Path, archive: Path, record: str
) -> None:
    source = source_of(archive)
    provide(TINY, "plates", source, archive=archive, target=TARGET)
    before = tree(TARGET)
    (TARGET / "source.json").write_text(record)
    if record != '{"files": {}}':  # which is a record, of no file: all that is there is a stranger
        provide(TINY, "plates", source, archive=archive, target=TARGET)
        assert tree(TARGET) == before
        (TARGET / "source.json").write_text(record)
    (TARGET / "train/good/mine.png").write_bytes(b"mine")
    with pytest.raises(BadData, match=r"not downloaded \(.*\.png"):
        provide(TINY, "plates", source, archive=archive, target=TARGET)
    assert (TARGET / "train/good/mine.png").read_bytes() == b"mine"
    assert [p.name for p in TARGET.parent.iterdir()] == ["plates"]


def test_a_wrong_archive_is_found_at_every_use(folder: Path, archive: Path, server: str) -> None:
    source = source_of(archive, f"{server}/good")
    other = folder / "other.tar.xz"
    other.write_bytes(archive.read_bytes() + b"x")
    with pytest.raises(BadData, match=r"other\.tar\.xz has the sha256 .*, expected"):
        provide(TINY, "plates", source, archive=other, target=TARGET)
    stored = download.ARCHIVES / f"{source.sha256}.tar"
    stored.parent.mkdir(exist_ok=True)
    stored.write_bytes(archive.read_bytes()[:-100])
    provide(TINY, "plates", source, archive=None, target=TARGET)
    assert stored.read_bytes() == archive.read_bytes()
    stored.write_bytes(b"spoiled since")
    provide(TINY, "tiles", source, archive=None, target=TARGET.with_name("tiles"))
    assert stored.read_bytes() == archive.read_bytes()


def test_wrong_counts_and_unknown_categories_are_refused(folder: Path, archive: Path) -> None:
    wanting = TINY._replace(counts={"plates": COUNTS._replace(train=9)})
    with pytest.raises(BadData, match=r"not whole: Counts\(train=8.*official are Counts\(train=9"):
        provide(wanting, "plates", source_of(archive), archive=archive, target=TARGET)
    assert not list(Path("data/mvtec_ad").iterdir())
    with pytest.raises(ValueError, match="'spoon' is not in MVTec AD; allowed: plates, tiles"):
        provide(TINY, "spoon", source_of(archive), archive=archive, target=TARGET)


@pytest.mark.parametrize(("fault", "code"), [("busy", 5), ("wrong_bytes", 3)])
def test_the_command_ends_with_one_sentence_and_the_houses_exit_code(
    folder: Path, archive: Path, server: str, fault: str, code: int
) -> None:
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["download"]["mvtec_ad"]["mirrors"] = [f"{server}/gone" if fault == "busy" else f"{server}/{fault}"]
    (folder / "params.yaml").write_text(yaml.safe_dump(values))
    command = [sys.executable, "-m", "pipelines.download", "--category", "bottle"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert "CC BY-NC-SA 4.0" in done.stdout
    assert "error: cannot download" in done.stderr
    assert "Traceback" not in done.stderr
    assert not Path("data/mvtec_ad/bottle").exists()


def test_visa_becomes_the_same_layout(folder: Path) -> None:
    rng = np.random.default_rng(0)
    rows = ["object,split,label,image,mask"]
    files: dict[str, bytes] = {}
    for i in range(5):
        name = f"candle/Data/Images/Normal/{i:04}.JPG"
        files[name] = encoded(rng.integers(0, 255, (20, 30, 3), np.uint8), "JPEG")
        rows.append(f"candle,{'train' if i < 3 else 'test'},normal,{name},")
    for i in range(2):
        image, mask = f"candle/Data/Images/Anomaly/{i:03}.JPG", f"candle/Data/Masks/Anomaly/{i:03}.png"
        marks = np.zeros((20, 30), np.uint8)
        marks[3:6, 4:9] = i + 1
        files |= {image: encoded(rng.integers(0, 255, (20, 30, 3), np.uint8), "JPEG"), mask: encoded(marks, "PNG")}
        rows.append(f"candle,test,anomaly,{image},{mask}")
    files["split_csv/1cls.csv"] = "\n".join(rows).encode()
    path = folder / "visa.tar"
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    visa = DATA_SETS["visa"]._replace(counts={"candle": Counts(3, 2, 2, 1)})
    provide(visa, "candle", source_of(path), archive=path, target=Path("data/visa/candle"))
    placed = Path("data/visa/candle")
    for new, old in (
        ("train/good/0001", "Normal/0001"),
        ("test/good/0004", "Normal/0004"),
        ("test/bad/001", "Anomaly/001"),
    ):
        assert (placed / f"{new}.JPG").read_bytes() == files[f"candle/Data/Images/{old}.JPG"]
    converted = np.asarray(Image.open(placed / "ground_truth/bad/001_mask.png"))
    assert set(np.unique(converted)) == {0, 255}
    assert (converted > 0).sum() == 15
    assert json.loads((placed / "source.json").read_text())["licence"] == "CC BY 4.0"


def encoded(pixels: np.ndarray, form: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def test_official_tables_add_up_to_the_published_totals() -> None:
    mvtec, visa = (list(DATA_SETS[name].counts.values()) for name in ("mvtec_ad", "visa"))
    assert [sum(c[i] for c in mvtec) for i in range(4)] == [3629, 467, 1258, 73]
    assert [sum(c[i] for c in visa) for i in range(3)] == [8659, 962, 1200]
    assert set(DATA_SETS) <= set(type(read_params(ROOT / "params.yaml").download).model_fields)
