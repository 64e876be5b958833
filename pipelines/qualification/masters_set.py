"""The master parts of a category: added, removed and listed by `fastflow masters`."""

import json
from pathlib import Path

from fastflow.index import read_index
from pipelines.core.names import counted
from pipelines.core.params import Params
from pipelines.core.paths import index_file
from pipelines.core.pixel_rule import stated_rule
from pipelines.core.stage import log
from pipelines.qualification.masters_record import read_last, when
from pipelines.qualification.masters_store import Expect, add_masters, folder_of, read_masters, remove_master
from pipelines.qualification.shots import listed, shots_of_masters


def add(category: str, folder: Path, params: Params, *, expect: Expect) -> None:
    """Raises BadData as `add_masters` and `shots_of_masters` do."""
    shots = shots_of_masters(folder)
    stored = {one.sha256: one.part for one in read_masters(category)}
    new = add_masters(category, shots, expect, rule=stated_rule(params, category))
    index = index_file(category)
    trained = set(read_index(index, split="train")["sha256"]) if index.is_file() else set()
    if seen := [shot.path for shot in shots if shot.sha256 in trained]:
        log.warning("%s: the model was trained on it, so that it proves less; photograph the part anew", listed(seen))
    for shot in shots:
        if stored.get(shot.sha256, shot.part) != shot.part:
            log.warning("%s is stored already, as part %s: no part was added", shot.path, stored[shot.sha256])
    print(f"{counted(len(new), 'photograph')} added, {len(shots) - len(new)} there already; {summary(category)}")
    log.info("to have them tracked: dvc add %s", folder_of(category))


def summary(category: str) -> str:
    masters = read_masters(category)
    parts = {one.part: one.expect for one in masters}
    return (
        f"{category} has {counted(len(parts), 'master part')}: {list(parts.values()).count('good')} good, "
        f"{list(parts.values()).count('defect')} defective"
    )


def show(category: str, *, as_json: bool) -> None:
    """Lists the master parts, and the result of the last check."""
    masters, last = read_masters(category), read_last(category)
    if as_json:
        check = None if last is None else last.model_dump(mode="json")
        print(json.dumps({"masters": [one.model_dump() for one in masters], "last_check": check}, indent=2))
        return
    print(summary(category))
    for part, expect in {one.part: one.expect for one in masters}.items():
        count = counted(sum(one.part == part for one in masters), "photograph")
        print(f"  {part:24} {expect:8} {count}")
    print(f"last check: {'none' if last is None else f'{when(last.time)}, {last.result}'}")


def remove(category: str, part: str) -> None:
    """Raises ValueError where there is no such master part."""
    print(f"{counted(remove_master(category, part), 'photograph')} of {part} removed; {summary(category)}")
