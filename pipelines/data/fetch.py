"""Download one file of known sha256 over HTTP: from the first mirror that has it, resuming what an earlier call began.

Bytes go to <target>.part; only a file whose sha256 is right gets the final name. What a server reports of ranges and
lengths only saves time: the hash decides.
"""

import os
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import HTTPError, NameResolutionError

from fastflow.errors import BadData
from fastflow.files import file_sha256
from pipelines.core.progress import progress
from pipelines.core.stage import ServerAway, log, without_secrets

CHUNK_BYTES = 1 << 18
MAX_BYTES = 50 * 10**9
RETRIED_STATUS_CODES = (408, 425, 429, 500, 502, 503, 504)  # worth a retry


class TemporaryFailure(Exception):
    """A request failed in a way that may be temporary."""


class UnknownHost(TemporaryFailure):
    """The server's name has no address: there is no network, and retries are less useful."""


class MirrorFailed(Exception):
    """This mirror is given up; `wrong` if it gave a whole file that is not the one asked for."""

    def __init__(self, reason: str, *, wrong: bool = False) -> None:
        super().__init__(reason)
        self.wrong = wrong


def fetch(
    mirrors: Sequence[str],
    target: Path,
    *,
    sha256: str,
    what: str,
    timeout: float = 30,
    attempts: int = 5,
    pause: float = 1,
) -> None:
    """Leaves `target`, which messages call `what`, with the given sha256. `attempts`: how many in a row may bring
    no byte, `pause` seconds apart.

    Raises:
        BadData: every mirror gave another file.
        ServerAway: no mirror gave the file.
        OSError: the disk is full or cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    failures = []
    for url in mirrors:
        try:
            _fetch_from(url, part, sha256=sha256, timeout=timeout, attempts=attempts, pause=pause)
        except MirrorFailed as failure:
            failures.append((url, failure))
            if len(failures) < len(mirrors):
                log.info("%s: %s; now the next mirror", without_secrets(url), failure)
        else:
            part.replace(target)
            return
    reasons = "".join(f"\n  {without_secrets(url)}: {failure}" for url, failure in failures) or " no mirror is given"
    kind = BadData if failures and all(failure.wrong for _, failure in failures) else ServerAway
    raise kind(f"cannot download {what}; give another mirror or a local archive (params.yaml, download):{reasons}")


def _fetch_from(url: str, part: Path, *, sha256: str, timeout: float, attempts: int, pause: float) -> None:
    """Fills `part` from one mirror, in as many requests as it takes. Raises MirrorFailed."""
    failed_attempts, restarted = 0, False
    while True:
        before = _size(part)
        try:
            _request(url, part, timeout=timeout)
        except TemporaryFailure as error:
            failed_attempts = 0 if _size(part) > before else failed_attempts + 1
            if failed_attempts >= (min(attempts, 2) if isinstance(error, UnknownHost) else attempts):
                raise MirrorFailed(str(error)) from error
            log.info("%s; again in %.0f s", error, pause * 2**failed_attempts)
            time.sleep(pause * 2**failed_attempts)
            continue
        found = file_sha256(part) if part.is_file() else "nothing"
        if found == sha256:
            return
        part.unlink(missing_ok=True)
        if restarted or not before:
            raise MirrorFailed(f"gave a file of sha256 {found}, expected {sha256}", wrong=True)
        restarted = True  # the resumed file is wrong: once more from the start


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _request(url: str, part: Path, *, timeout: float) -> None:
    """One request for what is missing, appended to `part`. Raises TemporaryFailure where the answer is not whole."""
    done = _size(part)
    headers = {"User-Agent": "fastflow-factory", "Accept-Encoding": "identity"}
    headers |= {"Range": f"bytes={done}-"} if done else {}
    try:
        with requests.get(url, headers=headers, timeout=timeout, stream=True) as response:
            if response.status_code == requests.codes.requested_range_not_satisfiable and done:
                return  # nothing is missing, the server reports: the hash decides
            if response.status_code in RETRIED_STATUS_CODES:
                raise TemporaryFailure(f"the server answered {response.status_code}")
            if not response.ok:
                raise MirrorFailed(f"the server answered {response.status_code}")
            start = _start(response, done)
            if start not in (0, done):
                part.unlink(missing_ok=True)
                raise TemporaryFailure(f"the server answered with another range than bytes={done}-; from the start")
            _append(response, part, start)
    except (requests.RequestException, HTTPError) as error:
        reason = getattr(error.args[0], "reason", error) if error.args else error
        if isinstance(reason, NameResolutionError):
            raise UnknownHost(f"{urlsplit(url).hostname} has no address: is there a network?") from error
        raise TemporaryFailure(f"no answer, or a part of one ({str(reason).rpartition(': ')[2]})") from error


def _start(response: requests.Response, done: int) -> int:
    """The offset of the answer's first byte: 0 unless it is a range; -1 where it does not say."""
    if response.status_code != requests.codes.partial_content:
        return 0
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _append(response: requests.Response, part: Path, start: int) -> None:
    missing = response.raw.length_remaining
    free = shutil.disk_usage(part.parent).free
    if missing is not None and missing > free:
        raise OSError(f"{part.parent}: {missing / 1e9:.1f} GB are needed, {free / 1e9:.1f} GB are free")
    total = None if missing is None else start + missing
    with part.open("r+b" if start else "wb") as file, progress("downloading", total, unit="B", done=start) as advance:
        file.seek(start)
        file.truncate()
        while chunk := response.raw.read1(
            CHUNK_BYTES, decode_content=False
        ):  # what was received is kept, whatever follows
            file.write(chunk)
            advance(len(chunk))
            if file.tell() > MAX_BYTES:
                raise MirrorFailed(f"sends more than {MAX_BYTES / 1e9:.0f} GB", wrong=True)
        file.flush()
        os.fsync(file.fileno())
