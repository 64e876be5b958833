"""Files, written completely or not at all."""

import errno
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LEFTOVERS = {  # what systems, shares and archives leave behind, folders and files; hidden ones begin with a dot
    "thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "@tmp",
    "$recycle.bin", "recycler", "system volume information", "lost+found", "@recently-snapshot", "~snapshot",
    "network trash folder", "temporary items",
}  # fmt: skip


def is_leftover(name: str) -> bool:
    """Whether a file or folder of this name is passed over wherever a folder is read: hidden, or a system's own."""
    return name.startswith(".") or name.casefold() in LEFTOVERS


def visible(folder: Path) -> list[Path]:
    """What lies in `folder`, sorted, without hidden files and leftovers; nothing where there is no folder."""
    return sorted(path for path in folder.iterdir() if not is_leftover(path.name)) if folder.is_dir() else []


def walk(folder: Path) -> Iterator[Path]:
    """All files in a folder and below it, folder by folder and by name, without hidden files and leftovers.

    A link to a folder is given as it is, and not followed. Raises OSError at a folder that may not be read.
    """
    for place, names, files in os.walk(folder, onerror=_raise):
        names[:] = sorted(name for name in names if not is_leftover(name))
        links = [name for name in names if Path(place, name).is_symlink()]
        yield from (Path(place, name) for name in sorted([*files, *links]) if not is_leftover(name))


def _raise(error: OSError) -> None:
    raise error


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of a text in UTF-8."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Writes a file at once: a reader, also after a loss of power, sees the old one or the new one, never half of it.

    `mode`: who may read it, from the first byte on. A link in its place is replaced, not followed.

    Raises:
        OSError: the disk is full or cannot be written; says how much is needed and free. The old file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)  # a killed process's, or a link
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise with_space_needed(error, path, len(content)) from error
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flushes renames in a folder to the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def with_space_needed(error: OSError, path: Path, needed: int) -> OSError:
    """The error, with the megabytes needed and free where it is about disk space."""
    if error.errno not in NO_ROOM:
        return error
    return no_space(path.parent, needed, f"{path} cannot be written: {os.strerror(error.errno)}")


def is_space_error(error: BaseException) -> bool:
    """Whether the system refuses to write for lack of room, or beyond a limit."""
    return isinstance(error, OSError) and error.errno in NO_ROOM


def no_space(folder: Path, needed: int, what: str) -> OSError:
    free = shutil.disk_usage(folder).free
    return OSError(
        errno.ENOSPC,
        f"{what}; {needed / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free on its disk: "
        "make room, or raise the limit of this user, and run the same command again",
    )


def require_space(folder: Path, needed: int, what: str) -> None:
    """Raises OSError, before anything is begun, if the disk of `folder` has less than `needed` bytes free."""
    if shutil.disk_usage(folder).free < needed:
        raise no_space(folder, needed, f"{what} will not fit")


def printable(name: str) -> str:
    """A file's name as it can be written: bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def folder_sha256(folder: Path, *, without: Collection[str] = ()) -> str:
    """Hex sha256 of a folder's content: of the lines `<sha256>  <name>` of its files, `without` some, by name."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.name not in without)
    return hashlib.sha256("".join(f"{file_sha256(folder / n)}  {n}\n" for n in names).encode()).hexdigest()
