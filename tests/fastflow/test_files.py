"""What lies in a folder: what systems, shares and archives leave behind is passed over by every reader of folders."""

from pathlib import Path

from fastflow.files import visible, walk
from fastflow.inputs import paths_of

STATES_KEPT = ["good/000.png", "good/001.png", "good/day 2/#1.png", "what?.png"]
LEFT = [
    "good/._000.png", "good/@eaDir/000.png/SYNOPHOTO_THUMB_M.png", "__MACOSX/good/000.png", "#recycle/old.png",
    "Thumbs.db", ".hidden/000.png", "$RECYCLE.BIN/x.png", "System Volume Information/x.png",
]  # fmt: skip


def test_leftovers_are_no_images_anywhere(tmp_path: Path) -> None:
    for name in STATES_KEPT + LEFT:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "loop").symlink_to("good", target_is_directory=True)
    kept = sorted(tmp_path / name for name in STATES_KEPT)
    assert sorted(walk(tmp_path)) == sorted([*kept, tmp_path / "loop"])
    assert paths_of(tmp_path) == kept
    assert [path.name for path in visible(tmp_path)] == ["good", "loop", "what?.png"]
