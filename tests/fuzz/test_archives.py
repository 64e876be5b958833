"""Archives: whatever they hold, files come to lie below the folder, or the archive is refused by name."""

import bz2
import gzip
import io
import lzma
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from pipelines.data.archive import BadArchive, unpack
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import files

NAMES = (
    "cat",
    "cat/a.png",
    "cat/b/c.png",
    "cat/ü.png",
    "cat/../x",
    "../x",
    "/x",
    "cat/" + "n" * 150,
    "other/a",
    "cat/./a.png",
)
LONG = "/".join(["cat", *["n" * 200] * 25])
KINDS = (tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, b"Z")
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)
PACKED: tuple[Callable[[bytes], bytes], ...] = (bytes, gzip.compress, bz2.compress, lzma.compress)


def tar(entries: list[tuple[str, bytes, bytes, dict[str, str]]], form: int) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=form) as made:
        for name, kind, content, headers in entries:
            member = tarfile.TarInfo(name)
            member.type, member.size, member.linkname = kind, len(content), "a" if kind != tarfile.REGTYPE else ""
            member.pax_headers = headers
            made.addfile(member, io.BytesIO(content))
    return file.getvalue()


PLAIN: list[tuple[str, bytes, bytes, dict[str, str]]] = [
    ("cat/a.png", tarfile.REGTYPE, b"a", {}),
    ("cat/b/c.png", tarfile.REGTYPE, b"c" * 600, {}),
]
VALID = [tar(PLAIN, form) for form in FORMATS]
HEADERS = st.dictionaries(
    st.sampled_from(("size", "path", "mtime", "GNU.sparse.major", "GNU.sparse.size", "GNU.sparse.map", "uid", "x")),
    st.sampled_from(("", "1", "-1", "9" * 30, "nan", "0,1", "cat/z", "../z", "\0")),
    max_size=2,
)


@st.composite
def archives(draw: DrawFn) -> bytes:
    """Of any entries, or a valid one with bytes changed; packed or not, and changed once more."""
    entry = st.tuples(
        st.one_of(st.sampled_from((*NAMES, LONG)), st.text(min_size=1, max_size=20)),
        st.sampled_from(KINDS), st.binary(max_size=8), HEADERS,
    )  # fmt: skip
    content = draw(st.one_of(files(*VALID), st.just(b"")))
    if not content:
        try:
            content = tar(draw(st.lists(entry, max_size=4)), draw(st.sampled_from(FORMATS)))
        except (ValueError, UnicodeError):  # what cannot be written in that format
            content = VALID[0]
    packed = draw(st.sampled_from(PACKED))(content)
    return draw(files(packed)) if draw(st.integers(0, 3)) == 0 else packed


def test_archives(tmp_path: Path) -> None:
    path, outer, into = tmp_path / "a.tar", tmp_path / "outer", tmp_path / "outer/into"

    def check(content: bytes) -> None:
        shutil.rmtree(outer, ignore_errors=True)
        into.mkdir(parents=True)
        path.write_bytes(content)
        read_or_refused(
            lambda: unpack(path, into, wanted=("cat",), on_bytes=lambda _: None), path.name, errors=(BadArchive,)
        )
        assert list(outer.iterdir()) == [into]
        assert all(found.is_file() or found.is_dir() for found in into.rglob("*"))
        assert not any(found.is_symlink() for found in into.rglob("*"))
        assert {found.name for found in into.iterdir()} <= {"cat"}

    fuzz("archives", archives(), check)


def test_a_path_that_no_disk_takes_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tar([(LONG, tarfile.REGTYPE, b"x", {})], tarfile.PAX_FORMAT))
    (tmp_path / "into").mkdir()
    with pytest.raises(BadArchive, match=r"a\.tar: entry .* too long name"):
        unpack(path, tmp_path / "into", wanted=("cat",), on_bytes=lambda _: None)
