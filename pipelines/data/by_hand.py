"""What a person changed by hand in a category's folder is kept when the folder is copied anew."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from fastflow.files import file_sha256, walk, write_text


def hashes(folder: Path, *, known: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """The sha256 of each file of a folder, by its path relative to it; links that lead nowhere are left out. `known`
    ones are not read."""
    names = {path.relative_to(folder).as_posix(): path for path in walk(folder) if path.is_file()}
    unread = [name for name in names if name not in known]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = dict(zip(unread, pool.map(lambda name: file_sha256(names[name]), unread), strict=True))
    return {name: found.get(name) or known[name] for name in names}


def write_copied(copied: Mapping[str, str], path: Path) -> None:
    """Keeps what was copied, as `hashes` has it: the next copy tells by it what a person added."""
    write_text(path, json.dumps(copied, indent=0))


def keep_by_hand(old: Path, new: Mapping[str, str], copied: Path) -> tuple[Path, list[str]]:
    """Copies what a person added to `old` or changed in it into a folder beside it; returns that folder and the files.

    These are all files that neither `copied`, what the last copy wrote, nor the `new` copy has with this content at
    this place; where nothing was kept of the last copy, files that it made may be among them.
    """
    known = _read(copied)
    own = [name for name, value in hashes(old).items() if value not in (known.get(name), new.get(name))]
    number = 1
    while (aside := old.with_name(f"{old.name}.by-hand-{number}")).exists():
        number += 1
    for name in own:
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old / name, aside / name)  # the content, also of a link into DVC's cache
    return aside, own


def come_back(old: Path, new: Sequence[str], copied: Path) -> list[str]:
    """Which files of a `new` copy the last one wrote, too, and a person has removed from `old` since."""
    known = _read(copied)
    return [name for name in new if name in known and not (old / name).exists()]


def _read(copied: Path) -> dict[str, str]:
    """Nothing where it is damaged: then more is kept than need be, never less."""
    try:
        known = json.loads(copied.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}
