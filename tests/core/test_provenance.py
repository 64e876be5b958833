"""Where a result comes from: what dvc.lock says."""

from pathlib import Path

import yaml

from pipelines.core.provenance import data_hash


def test_the_images_hash_is_that_of_the_category_and_not_of_a_folder_of_code(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    deps = [("pipelines/core", "c" * 32 + ".dir"), ("pipelines/prepare.py", "p" * 32), ("zoo/bolt", "b" * 32 + ".dir")]
    stage = {"cmd": "x", "deps": [{"path": path, "hash": "md5", "md5": md5} for path, md5 in deps]}
    lock.write_text(yaml.safe_dump({"schema": "2.0", "stages": {"prepare@bolt": stage}}))
    assert data_hash("bolt", lock=lock) == "b" * 32 + ".dir"
    assert data_hash("nut", lock=lock) == "unknown"
    assert data_hash("bolt", lock=tmp_path / "none.lock") == "unknown"
