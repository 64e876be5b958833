"""Files, whole or not at all."""

import hashlib
from pathlib import Path


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """Writes a file at once: a reader sees the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def printable(name: str) -> str:
    """A file's name as it can be written: bytes that are no UTF-8 as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()


def folder_sha256(folder: Path) -> str:
    """Hex sha256 of a folder's content: of the lines `<sha256>  <name>` of its files, by name."""
    names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256("".join(f"{file_sha256(folder / n)}  {n}\n" for n in names).encode()).hexdigest()
