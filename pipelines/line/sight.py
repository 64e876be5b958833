"""The folder under watch: what happens in it is noted at once, and all of it is looked through now and then.

The look finds what no event told of: what came while nobody watched, while the share was away, or in a burst that
overflowed the system's queue.
"""

import os
import time
from pathlib import Path
from typing import Any

from watchdog.events import FileClosedEvent, FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileSystemEvent
from watchdog.events import FileSystemEventHandler as Handler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

from pipelines.core.stage import log
from pipelines.line.arrivals import Arrivals

SCAN_SECONDS, AWAY_SECONDS = 10.0, 2.0
SCAN_SHARE = 0.1  # of the time, at most: a folder of many files on a slow share takes long to look through
ENDING_SECONDS = 5
EVENTS: list[type[FileSystemEvent]] = [FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileClosedEvent]


class Sight(Handler):
    """`poll`: compare listings, as shares tell of no events. `is_there`: whether the folder was, at the last look."""

    def __init__(self, arrivals: Arrivals, *, poll: bool) -> None:
        self.arrivals, self.poll = arrivals, poll
        self.is_there = True
        self._observer: Any = None
        self._place: tuple[int, int] | None = None
        self._next_scan = 0.0
        self._said = ""

    def on_any_event(self, event: FileSystemEvent) -> None:
        self.arrivals.note(Path(os.fsdecode(event.dest_path or event.src_path)).name)

    def look(self) -> None:
        """Looks through the folder where it is time to; a folder that is away is waited for."""
        start = time.monotonic()
        if start < self._next_scan and (self._is_watched() or not self.is_there):
            return
        try:
            self._watch()  # first: what comes during the scan is noted, too
            self.arrivals.scan()
        except OSError as error:
            self._say(f"{self.arrivals.folder} is away ({error.strerror or error}); waiting for it")
            self.is_there, self._next_scan = False, start + AWAY_SECONDS
            return
        if not self.is_there:
            log.info("%s is there again", self.arrivals.folder)
        self.is_there, self._said = True, ""
        now = time.monotonic()
        self._next_scan = now + max(SCAN_SECONDS, (now - start) / SCAN_SHARE)

    def end(self) -> None:
        if self._observer is not None:
            self._observer.stop()
            self._observer.join(ENDING_SECONDS)
        self._observer = None

    def _is_watched(self) -> bool:
        """Whether events come; a watch ends with its folder, or where a share goes away."""
        if self._observer is None:
            return self._place is not None
        return all(emitter.is_alive() for emitter in self._observer.emitters)

    def _watch(self) -> None:
        """Watches the folder that has the name now, if that is not watched already. Raises OSError: there is none."""
        found = self.arrivals.folder.stat()
        place = found.st_dev, found.st_ino
        if place == self._place and self._is_watched():
            return
        self.end()
        self._place = place
        observer = PollingObserver() if self.poll else Observer()
        try:
            observer.schedule(self, str(self.arrivals.folder), event_filter=EVENTS)
            observer.start()
            self._observer = observer
        except OSError as error:  # as many folders are watched as the system allows
            self._say(f"no events of {self.arrivals.folder} ({error}); it is looked through every {SCAN_SECONDS:g} s")

    def _say(self, what: str) -> None:
        if self._said != what:
            log.warning("%s", what)
        self._said = what
