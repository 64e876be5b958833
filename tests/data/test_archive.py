"""Hostile and damaged archives: refused with the entry named, nothing outside the folder touched."""

import gzip
import io
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.data import archive
from pipelines.data.archive import BadArchive, unpack
from tests.conftest import ROOT


def entry(name: str, content: bytes = b"x", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    member.size = len(content) if kind == tarfile.REGTYPE else 0
    return member


def write_tar(path: Path, members: list[tarfile.TarInfo], mode: str = "w:xz") -> Path:
    with tarfile.open(path, mode) as tar:  # type: ignore[call-overload]
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return path


def unpacked(path: Path, into: Path, wanted: tuple[str, ...] = ("cat",)) -> dict[str, bytes]:
    into.mkdir(exist_ok=True)
    unpack(path, into, wanted=wanted, on_bytes=lambda n: None)
    return {p.relative_to(into).as_posix(): p.read_bytes() for p in into.rglob("*") if p.is_file()}


HOSTILE = {
    "parent": ([entry("cat/../../escaped")], "cat/../../escaped", "leads out"),
    "absolute": ([entry("/tmp/escaped")], "/tmp/escaped", "absolute"),
    "drive": ([entry("C:/escaped")], "C:/escaped", "absolute"),
    "backslash": ([entry("cat\\..\\escaped")], "escaped", "absolute"),
    "symlink, then a file in it": (
        [entry("cat/door", kind=tarfile.SYMTYPE, link="/tmp"), entry("cat/door/escaped")],
        "cat/door",
        "no plain file",
    ),
    "hard link": ([entry("cat/a"), entry("cat/b", kind=tarfile.LNKTYPE, link="../../secret")], "cat/b", "no plain"),
    "character device": ([entry("cat/null", kind=tarfile.CHRTYPE)], "cat/null", "no plain file"),
    "block device": ([entry("cat/disk", kind=tarfile.BLKTYPE)], "cat/disk", "no plain file"),
    "fifo": ([entry("cat/pipe", kind=tarfile.FIFOTYPE)], "cat/pipe", "no plain file"),
    "duplicate": ([entry("cat/a.png"), entry("cat/a.png")], "cat/a.png", "twice"),
    "duplicate but for case": ([entry("cat/a.png"), entry("cat/A.png")], "cat/A.png", "twice"),
    "duplicate but for a dot": ([entry("cat/a.png"), entry("./cat/./a.png")], "a.png", "twice"),
    "file used as a folder": ([entry("cat/a"), entry("cat/a/b")], "cat/a/b", "as a file and as a folder"),
    "folder used as a file": ([entry("cat/a/b"), entry("cat/a")], "cat/a", "as a file and as a folder"),
    "unprintable": ([entry("cat/\x1b[2J")], "x1b", "unprintable"),
    "long name": ([entry("cat/" + "n" * 300)], "nnn", "too long"),
    "not wanted, but hostile": ([entry("cat/a"), entry("../other")], "../other", "leads out"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_entry_is_named_and_nothing_escapes(tmp_path: Path, case: str) -> None:
    members, name, reason = HOSTILE[case]
    path = write_tar(tmp_path / "evil.tar.xz", members)
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    with pytest.raises(BadArchive, match=reason) as raised:
        unpacked(path, inner)
    assert name in str(raised.value)
    assert not list(tmp_path.rglob("escaped"))
    assert not Path("/tmp/escaped").exists()
    assert not any(p.is_symlink() for p in tmp_path.rglob("*"))


def test_sparse_bomb_is_refused(tmp_path: Path) -> None:
    hole = tmp_path / "hole"
    with hole.open("wb") as file:
        file.truncate(10**9)
    tar = shutil.which("tar")
    if not tar:
        pytest.skip("no tar program here")
    subprocess.run([tar, "--sparse", "-cf", "bomb.tar", "hole"], cwd=tmp_path, check=True)
    assert (tmp_path / "bomb.tar").stat().st_size < 10**6
    with pytest.raises(BadArchive, match="'hole' is a sparse file"):
        unpacked(tmp_path / "bomb.tar", tmp_path / "into", ("hole",))
    assert not list((tmp_path / "into").iterdir())


MEASURE = """
import resource, sys
from pathlib import Path
from pipelines.data.archive import BadArchive, unpack
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    unpack(Path(sys.argv[1]), Path(sys.argv[2]), wanted=("cat",), on_bytes=lambda n: None)
except BadArchive as error:
    print(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def header(kind: bytes, content: bytes = b"", *, size: int | None = None) -> bytes:
    member = tarfile.TarInfo("header")
    member.type, member.size = kind, len(content) if size is None else size
    return member.tobuf(tarfile.GNU_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def many_keys(number: int) -> bytes:
    return b"".join(b"14 %08d=x\n" % (number * 5000 + i) for i in range(4000))


HUGE = 1 << 28
SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"
BOMBS: dict[str, tuple[Callable[[], list[bytes]], str | None]] = {
    "pax header": (lambda: [header(tarfile.XHDTYPE, size=HUGE)], "header of 268,435,456 bytes, more than 65,536"),
    "global header": (lambda: [header(tarfile.XGLTYPE, size=HUGE)], "header of 268,435"),
    "Solaris header": (lambda: [header(tarfile.SOLARIS_XHDTYPE, size=HUGE)], "header of 268,435"),
    "long name": (lambda: [header(tarfile.GNUTYPE_LONGNAME, size=HUGE)], "header of 268,435"),
    "long link": (lambda: [header(tarfile.GNUTYPE_LONGLINK, size=HUGE)], "header of 268,435"),
    "chained global headers": (lambda: [header(tarfile.XGLTYPE, b"13 a=bbbbbbb\n")] * 3000, "after entry 'cat/0'"),
    "chained long names": (lambda: [header(tarfile.GNUTYPE_LONGNAME, b"cat/a")] * 3000, "after entry 'cat/0'"),
    "global headers": (
        lambda: [header(tarfile.XGLTYPE, many_keys(i)) + entry(f"cat/x{i}", b"").tobuf() for i in range(500)],
        "describes the whole archive in more than",
    ),
    "pax headers": (
        lambda: [header(tarfile.XHDTYPE, many_keys(i)) + entry(f"cat/x{i}", b"").tobuf() for i in range(500)],
        None,
    ),
    "sparse map of an old header": (lambda: [header(tarfile.GNUTYPE_SPARSE)], "is a sparse file"),
    "sparse map in the content": (
        lambda: [header(tarfile.XHDTYPE, SPARSE), header(tarfile.REGTYPE, size=HUGE)],
        "is a sparse file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BOMBS)
def test_no_header_costs_more_memory_than_a_header(tmp_path: Path, case: str) -> None:
    """Measured in a process of its own; behind each header comes a quarter of a gigabyte of zeros."""
    parts, reason = BOMBS[case]
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(headers(1))
        file.write(b"".join(parts()))
        for _ in range(HUGE >> 24 if "header of" in str(reason) or "content" in case else 0):
            file.write(bytes(1 << 24))
        file.write(bytes(1024))
    (tmp_path / "into").mkdir()
    command = [sys.executable, "-c", MEASURE, str(path), str(tmp_path / "into")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *said, kilobytes = done.stdout.splitlines()
    assert reason in said[0] if reason else not said
    assert int(kilobytes) < 60_000


@pytest.mark.parametrize(
    ("line", "reason"),
    [(b"23 GNU.sparse.map=a,b\n", "damaged"), (b"11 size=-9\n", "size below 0")],
)
def test_numbers_that_are_none_end_in_a_sentence(tmp_path: Path, line: bytes, reason: str) -> None:
    path = tmp_path / "odd.tar"
    path.write_bytes(header(tarfile.XHDTYPE, line) + entry("cat/a").tobuf() + bytes(512 + 1024))
    with pytest.raises(BadArchive, match=reason):
        unpacked(path, tmp_path / "into")


def headers(count: int) -> bytes:
    return b"".join(entry(f"cat/{i}", b"").tobuf() for i in range(count))


def test_a_million_entries_are_refused_at_the_first_too_many(tmp_path: Path) -> None:
    """Behind the first one too many a million others follow, in a hole of the file: nobody reads them."""
    assert archive.MAX_ENTRIES < 1_000_000
    path = tmp_path / "many.tar"
    with path.open("wb") as file:
        file.write(headers(archive.MAX_ENTRIES + 1))
        file.truncate(1_000_000 * tarfile.BLOCKSIZE)
    with pytest.raises(BadArchive, match=rf"'cat/{archive.MAX_ENTRIES}' is the entry after the last one allowed"):
        unpacked(path, tmp_path / "into", ("nothing",))


@pytest.mark.parametrize(
    ("limit", "reason"), [("MAX_FILE_BYTES", "is too large"), ("MAX_TOTAL_BYTES", "makes the arch")]
)
def test_a_bomb_is_refused_by_its_declared_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, reason: str
) -> None:
    path = write_tar(tmp_path / "bomb.tar.xz", [entry("cat/a", bytes(600)), entry("cat/b", bytes(900))])
    monkeypatch.setattr(archive, limit, 800)
    with pytest.raises(BadArchive, match=f"'cat/b' {reason}"):
        unpacked(path, tmp_path / "into")
    assert not (tmp_path / "into/cat/b").exists()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("damage", ["cut", "cut short", "flipped", "noise", "empty"])
def test_a_damaged_archive_is_refused(tmp_path: Path, mode: str, damage: str) -> None:
    members = [entry(f"cat/{i}", bytes(5000)) for i in range(20)]
    path = write_tar(tmp_path / "damaged.tar", members, mode)
    whole = path.read_bytes()
    spoil: dict[str, Callable[[], bytes]] = {
        "cut": lambda: whole[: len(whole) // 2],
        "cut short": lambda: whole[:60],
        "flipped": lambda: whole[:150] + bytes([whole[150] ^ 0xFF]) + whole[151:],
        "noise": lambda: b"not a tar at all" * 100,
        "empty": lambda: b"",
    }
    if damage == "flipped" and mode == "w:gz":
        pytest.skip("tarfile does not check gzip's sum; the archive's sha256 does")
    path.write_bytes(spoil[damage]())
    with pytest.raises(BadArchive, match="damaged"):
        unpacked(path, tmp_path / "into")


def test_a_good_archive_gives_exactly_what_is_wanted(tmp_path: Path) -> None:
    members = [entry("./cat", kind=tarfile.DIRTYPE), entry("./cat/train/good/0.png", bytes(700)), entry("cat2/x")]
    members += [entry("note.txt", bytes(3))]
    path = write_tar(tmp_path / "good.tar.xz", members)
    read: list[int] = []
    (tmp_path / "into").mkdir()
    unpack(path, tmp_path / "into", wanted=("cat", "note.txt"), on_bytes=read.append)
    files = {p.relative_to(tmp_path / "into").as_posix(): p.stat().st_size for p in (tmp_path / "into").rglob("*.*")}
    assert files == {"cat/train/good/0.png": 700, "note.txt": 3}
    assert sum(read) == path.stat().st_size
