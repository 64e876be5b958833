"""The list of master parts, as a file that others may have written."""

import hashlib
import json
from pathlib import Path

import pytest

from fastflow.errors import BadData
from pipelines.qualification.masters_store import folder_of, read_masters, remove_master, stored_shots

SOMETHING = b"something of this disk"


def write_list(file: str) -> None:
    one = {"part": "a", "expect": "good", "file": file, "sha256": hashlib.sha256(SOMETHING).hexdigest()}
    folder_of("plates").mkdir(parents=True, exist_ok=True)
    (folder_of("plates") / "masters.json").write_text(json.dumps({"format": 1, "masters": [one]}))


@pytest.mark.parametrize("file", ["../../../kept.png", "good/../../../../kept.png", "kept.png", "bad/kept.png", ""])
def test_a_photograph_elsewhere_is_neither_read_nor_deleted(folder: Path, file: str) -> None:
    (folder / "kept.png").write_bytes(SOMETHING)
    for name in (file, str(folder / "kept.png"), f"good\\{file}"):
        write_list(name)
        with pytest.raises(BadData, match=r"masters\.json is damaged: masters\.0\.file"):
            read_masters("plates")
        with pytest.raises(BadData):
            remove_master("plates", "a")
    assert (folder / "kept.png").read_bytes() == SOMETHING


def test_one_in_its_folder_is_both(folder: Path) -> None:
    write_list("good/a-0123.png")
    (folder_of("plates") / "good").mkdir()
    (folder_of("plates") / "good/a-0123.png").write_bytes(SOMETHING)
    (shot,) = stored_shots("plates", read_masters("plates"))
    assert shot.path.read_bytes() == SOMETHING
    assert remove_master("plates", "a") == 1
    assert not shot.path.exists()
