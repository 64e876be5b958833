"""All files of a folder, by what they can be: images, tables and notes of annotations, others."""

from pathlib import Path
from typing import NamedTuple

from fastflow.decode import SUFFIXES
from fastflow.errors import BadData
from fastflow.files import printable, walk
from pipelines.core.names import counted

RENAMED = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*")  # how images begin, whatever their name
FOREIGN = (
    ".gif", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".dng", ".cr2", ".nef", ".arw", ".raw", ".pgm", ".ppm", ".tga",
    ".exr", ".npy", ".dcm", ".svg", ".psd",
)  # fmt: skip
NOT_IMAGES = (".txt", ".md", ".csv", ".json", ".xml", ".yaml", ".yml", ".parquet", ".html", ".pdf", ".xlsx", ".py")
LINKS_SHOWN = 3


class Tree(NamedTuple):
    """Files by name: `images`, `foreign` pictures of formats that are not read, `odd` ones that are no plain files,
    and all `others`."""

    folder: Path
    images: list[Path]
    foreign: list[Path]
    odd: list[Path]
    others: list[Path]


def look(folder: Path) -> Tree:
    """Raises BadData where there is no such folder, or links in it: they lead to files outside."""
    if folder.is_file():
        raise BadData(f"{folder} is a file; if it is an archive, unpack it, and name the folder")
    if not folder.is_dir():
        raise BadData(f"folder {folder} does not exist")
    tree = Tree(folder, [], [], [], [])
    links = []
    for path in walk(folder):
        if path.is_symlink():
            links.append(path)
        elif not path.is_file():
            tree.odd.append(path)
        elif path.suffix.lower() in SUFFIXES or (path.suffix.lower() not in NOT_IMAGES + FOREIGN and _begins(path)):
            tree.images.append(path)
        else:
            (tree.foreign if path.suffix.lower() in FOREIGN else tree.others).append(path)
    if links:
        listed = "\n  ".join(printable(f"{path} -> {path.readlink()}") for path in links[:LINKS_SHOWN])
        more = f"\n  and {len(links) - LINKS_SHOWN:,} more" if len(links) > LINKS_SHOWN else ""
        raise BadData(
            f"{folder} holds {counted(len(links), 'link')}, which are not followed; remove them, or copy the folder "
            f"with what they lead to (cp -rL {folder} ...):\n  {listed}{more}"
        )
    return tree


def _begins(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(12)
    return start.startswith(RENAMED) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")
