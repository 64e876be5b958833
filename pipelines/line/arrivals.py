"""Which files of the folder are pictures that wait for their verdict: whole ones, in order of arrival.

A file is whole once its size and times have stayed the same for a while. Nothing here reads a file.
"""

import os
import stat
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastflow.decode import SUFFIXES
from fastflow.files import is_leftover, printable
from pipelines.line.verdict import Picture, Signature

AWAY_SECONDS = 5.0  # between two looks at a file that the share does not show now


class _Changing(NamedTuple):
    """A file that may still be written. `due`: when it is looked at again; `order`: of its last change seen."""

    signature: Signature
    seen: float
    due: float
    order: int
    tries: int = 0


class Arrivals:
    """`known`: the files that have their verdict, by name. `overtaken`: how many pictures were whole, and overwritten
    before they could be read. `present`: names and times of the last scan. Of one thread, but for `note`."""

    def __init__(self, folder: Path, known: Mapping[str, Signature], *, settle: float) -> None:
        self.folder, self.known, self.settle = folder, known, settle
        self.overtaken = 0
        self.present: set[tuple[str, int]] = set()
        self._noted: dict[str, None] = {}  # in order, each once
        self._lock = threading.Lock()
        self._changing: dict[str, _Changing] = {}
        self._whole: dict[str, Picture] = {}
        self._order = 0

    def note(self, name: str) -> None:
        """Something happened to the file of this name; of any thread."""
        if is_picture(name):
            with self._lock:
                self._noted[name] = None

    def scan(self) -> dict[str, Signature]:
        """Notes every file that has no verdict; the files there are, by name. Raises OSError: the folder is away."""
        found = list_pictures(self.folder)
        self.present = {(printable(name), signature.mtime_ns) for name, signature in found.items()}
        for name in sorted(found, key=lambda name: (found[name].mtime_ns, name)):
            if self.known.get(printable(name)) != found[name]:
                self.note(name)
        return found

    def take(self, limit: int, max_bytes: int) -> list[Picture]:
        """The next pictures, the first to arrive first: at most `limit`, and of so many bytes, but one at least."""
        self._look()
        taken: list[Picture] = []
        size = 0
        for name, picture in list(self._whole.items())[:limit]:
            size += picture.signature.size
            if taken and size > max_bytes:
                break
            taken.append(self._whole.pop(name))
        return taken

    def again(self, picture: Picture, *, seconds: float, counts: bool) -> None:
        """A picture that could not be judged now is looked at again so much later; `counts`: as a further try."""
        if picture.path.name not in self._changing:
            again = self._changed(picture.signature)
            self._changing[picture.path.name] = again._replace(
                seen=picture.seen, due=time.monotonic() + seconds, tries=picture.tries + counts
            )

    def waiting(self) -> int:
        """Pictures that are whole, and those that may not be yet."""
        return len(self._whole) + len(self._changing)

    def oldest(self) -> float | None:
        """When the picture that has waited longest was noticed."""
        seen = [one.seen for one in self._whole.values()] + [one.seen for one in self._changing.values()]
        return min(seen, default=None)

    def _look(self) -> None:
        with self._lock:
            noted, self._noted = self._noted, {}
        for name in noted:
            self._notice(name)
        now, settled = time.monotonic(), list[tuple[int, int, Picture]]()
        for name, one in [(name, one) for name, one in self._changing.items() if one.due <= now]:
            try:
                signature = self._signature(name)
            except OSError:  # the share is away: nothing can be said of it
                self._changing[name] = one._replace(due=now + AWAY_SECONDS)
                continue
            del self._changing[name]
            if signature == one.signature:
                picture = Picture(self.folder / name, signature, one.seen, one.tries)
                settled.append((signature.mtime_ns, one.order, picture))
            elif signature is not None:  # else removed, or renamed
                self._changing[name] = self._changed(signature)
        self._whole.update((picture.path.name, picture) for *_, picture in sorted(settled, key=lambda one: one[:2]))

    def _notice(self, name: str) -> None:
        """Looks at a file that something happened to."""
        try:
            signature = self._signature(name)
        except OSError:  # the next scan that succeeds finds it
            return
        before = self._whole.get(name) or self._changing.get(name)
        if before is not None and signature == before.signature:
            return
        if self._whole.pop(name, None):
            self.overtaken += 1
        self._changing.pop(name, None)
        if signature is not None and signature != self.known.get(printable(name)):
            self._changing[name] = self._changed(signature)

    def _changed(self, signature: Signature) -> _Changing:
        self._order += 1
        return _Changing(signature, time.time(), time.monotonic() + self.settle, self._order)

    def _signature(self, name: str) -> Signature | None:
        """None: there is no such file. Raises OSError: it cannot be looked at now."""
        try:
            found = (self.folder / name).stat()
        except FileNotFoundError:
            return None
        return signature_of(found) if stat.S_ISREG(found.st_mode) else None


def is_picture(name: str) -> bool:
    """By its name: hidden files, and those of another suffix, such as .part, are passed over."""
    return Path(name).suffix.lower() in SUFFIXES and not is_leftover(name)


def list_pictures(folder: Path) -> dict[str, Signature]:
    """Files of the folder itself, by name. Raises OSError."""
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_picture(entry.name):
                try:
                    if entry.is_file():
                        found[entry.name] = signature_of(entry.stat())
                except FileNotFoundError:  # removed meanwhile
                    continue
    return found


def signature_of(found: os.stat_result) -> Signature:
    return Signature(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
