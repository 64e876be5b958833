"""Unpack a tar archive that may be hostile: plain files and folders below one folder, and nothing else.

`tarfile` unpacks, by its data filter. What that filter lets pass is refused here: links within the folder, bombs,
duplicates, names that another system reads in another way, and headers that fill the memory. Every entry of the
archive is checked, also those that are not wanted; the first one at fault is named, and what was unpacked so far stays
in the temporary folder.
"""

import lzma
import os
import tarfile
import unicodedata
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath

from tqdm.utils import CallbackIOWrapper

from fastflow.errors import BadData

MAX_ENTRIES = 50_000
MAX_FILE_BYTES = 500 * 10**6
MAX_TOTAL_BYTES = 20 * 10**9
MAX_NAME_BYTES, MAX_PATH_CHARACTERS = 255, 1000
MAX_HEADER_BYTES = 1 << 16  # of a header that describes the next entry, and of all that describe the archive
HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
DAMAGE_ERRORS = (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, ValueError)  # the last of numbers in headers


class BadArchive(BadData):
    """An archive that is damaged, or has entries that no data set needs; the message names the entry."""


def unpack(archive: Path, into: Path, *, wanted: Iterable[str], on_bytes: Callable[[int], None]) -> None:
    """Unpacks the entries at or below one of the paths `wanted` into the empty folder `into`.

    `on_bytes` gets how many more bytes of the archive were read. Compression is detected by content. The caller checks
    the archive's sha256: not all damage inside compressed data is found here.

    Raises:
        BadArchive: damaged; an absolute name, `..`, a link, a device, a sparse file, a duplicate (also one that differs
            in case alone), a file used as a folder; too many, too large or too long names.
    """
    checker = _EntryChecker(archive.name)
    prefixes = tuple(wanted)
    try:
        with (
            archive.open("rb") as raw,
            tarfile.open(fileobj=CallbackIOWrapper(on_bytes, raw), mode="r|*", tarinfo=_limited(archive.name)) as tar,
        ):
            while member := tar.next():
                tar.members = []  # type: ignore[attr-defined]  # else all headers stay in memory
                path = checker.check(member)
                if any(path == prefix or path.startswith(f"{prefix}/") for prefix in prefixes):
                    tar.extract(member, into, set_attrs=False, filter="data")
    except (RecursionError, MemoryError) as error:
        raise BadArchive(
            f"{archive.name}: after {checker.last}: headers of nothing but headers, or more than memory holds; "
            "nothing was placed"
        ) from error
    except BadArchive:
        raise
    except DAMAGE_ERRORS as error:
        raise BadArchive(f"{archive}: damaged ({error}); download it again") from error
    except OSError as error:
        if type(error) is OSError and error.errno is None:  # bz2 says "Invalid data stream" so
            raise BadArchive(f"{archive}: damaged ({error}); download it again") from error
        raise


def _limited(archive: str) -> type[tarfile.TarInfo]:
    """An entry's header that is refused before tarfile reads what is large, or grows with what it says of itself."""

    class Limited(tarfile.TarInfo):
        global_header_bytes = 0

        @classmethod
        def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "Limited":
            member = super().frombuf(buf, encoding, errors)
            if member.type in HEADERS and not 0 <= member.size <= MAX_HEADER_BYTES:
                cls.refuse(member, f"is a header of {member.size:,} bytes, more than {MAX_HEADER_BYTES:,}")
            if member.type == tarfile.XGLTYPE:
                cls.global_header_bytes += member.size
                if cls.global_header_bytes > MAX_HEADER_BYTES:
                    cls.refuse(member, f"describes the whole archive in more than {MAX_HEADER_BYTES:,} bytes")
            if member.type == tarfile.GNUTYPE_SPARSE:
                cls.refuse(member, "is a sparse file")
            return member

        def _proc_gnusparse_10(self, member: tarfile.TarInfo, headers: object, file: object) -> None:
            self.refuse(member, "is a sparse file")

        @staticmethod
        def refuse(member: tarfile.TarInfo, reason: str) -> None:
            raise BadArchive(f"{archive}: entry {member.name[:300]!r} {reason}; nothing was placed")

    return Limited


class _EntryChecker:
    """Accepts one entry after the other, or refuses it by name."""

    def __init__(self, archive: str) -> None:
        self.archive, self.entries, self.total = archive, 0, 0
        self.last = "its start"
        self.files: set[str] = set()
        self.folders: set[str] = set()

    def check(self, member: tarfile.TarInfo) -> str:
        """The entry's path, relative and plain. Raises BadArchive."""
        self.entries += 1
        self.total += member.size
        path = PurePosixPath(member.name)
        reasons = {
            "is the entry after the last one allowed": self.entries > MAX_ENTRIES,
            "is no plain file or folder (link or device)": not (member.isfile() or member.isdir()),
            "is a sparse file": member.issparse(),
            "is an absolute path": path.is_absolute() or "\\" in member.name or ":" in member.name,
            "leads out of its folder": ".." in path.parts,
            "has an unprintable or too long name": not member.name.isprintable()
            or max(len(os.fsencode(part)) for part in (*path.parts, "")) > MAX_NAME_BYTES
            or len(member.name) > MAX_PATH_CHARACTERS,
            "has a size below 0": member.size < 0,
            "is too large": member.size > MAX_FILE_BYTES,
            f"makes the archive larger than {MAX_TOTAL_BYTES:,} bytes": self.total > MAX_TOTAL_BYTES,
            "is there twice, or used as a file and as a folder": self._clashes(path, is_dir=member.isdir()),
        }
        for reason, refused in reasons.items():
            if refused:
                raise BadArchive(f"{self.archive}: entry {member.name[:300]!r} {reason}; nothing was placed")
        self.last = f"entry {member.name!r}"
        return path.as_posix()

    def _clashes(self, path: PurePosixPath, *, is_dir: bool) -> bool:
        """Whether the path was a file before, or is now; by the rules of a disk that ignores case."""
        name, *above = (unicodedata.normalize("NFC", p.as_posix()).casefold() for p in (path, *path.parents))
        clash = bool(self.files.intersection([name, *above])) or (not is_dir and name in self.folders)
        self.folders.update(above)
        (self.folders if is_dir else self.files).add(name)
        return clash
