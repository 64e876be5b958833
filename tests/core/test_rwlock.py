"""Who works on a category: what DVC's file of readers and writers says."""

import json
import os
from pathlib import Path

from pipelines.core.rwlock import process_of


def test_a_folder_of_code_that_a_stage_reads_is_no_category(folder: Path) -> None:
    (folder / ".dvc/tmp").mkdir(parents=True)
    user = {"pid": os.getpid(), "cmd": "dvc repro"}
    read = {str(folder / "pipelines/demo"): [user], str(folder / "fastflow/flow.py"): [user]}
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {str(folder / "models/bolt"): user}, "read": read}))
    assert process_of("bolt") == os.getpid()
    assert process_of("demo") is None
    assert process_of("flow") is None
