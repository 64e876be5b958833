"""A user's own folder into data/own/<name>, in MVTec AD's layout: shown first, doubts settled, then copied whole."""

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fastflow.arrange import copy
from fastflow.errors import BadData
from fastflow.marks import check_rule
from pipelines.core.lock import locked
from pipelines.core.names import counted
from pipelines.core.paths import STATE
from pipelines.core.progress import progress
from pipelines.core.stage import log
from pipelines.core.terminal import asker
from pipelines.data.by_hand import come_back, hashes, keep_by_hand, write_copied
from pipelines.data.layouts.contact_sheet import write_sheet
from pipelines.data.layouts.reading import Doubt, Reading, ReadingOptions
from pipelines.data.layouts.recognise import read_folder
from pipelines.data.layouts.show import table, write_list

YES = ("y", "yes")
NAMED = 3  # files that a message lists


def import_folder(
    source: Path, target: Path, how: ReadingOptions, *, yes: bool, again: bool, usable: Callable[[Path], None]
) -> bool:
    """Copies what `source` holds to `target`, all of it or nothing; `again`: replaces an earlier copy, and keeps aside
    what a person added to it. `usable` raises where a copy must not replace another; returns whether it was called.

    Raises:
        BadData: the folder cannot be read as a category, or a doubt is not settled. ValueError: the target exists.
    """
    check_rule(how.rule)
    if target.exists() and not again:
        raise already_exists(target, source)
    _require_apart(source, target)
    reading = read_folder(source, how)
    if target.exists():
        back = come_back(target, [item.target for item in reading.items], _copied(target))
        reading = reading._replace(doubts=[*reading.doubts, *_of_removed(back, target)])
    show(reading, source, how, STATE / "init" / target.name)
    confirm(reading.doubts, yes=yes)
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.parent / f".{target.name}.lock"):  # a second call waits, then finds the category of the first
        staging, old = (target.with_name(f".{target.name}.{end}") for end in ("part", "old"))
        if old.exists() and not target.exists():
            old.rename(target)  # a call was killed between its two renames
        if target.exists() and not again:
            raise already_exists(target, source)
        shutil.rmtree(staging, ignore_errors=True)  # left by a call that was killed
        try:
            with progress("copying", len(reading.items), unit="image") as advance:
                images = copy(reading.items, staging, rule=how.rule, on_image=advance)
            if replaces := target.exists():
                usable(staging)
            _replace(target, staging, old, images)
            return replaces
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _require_apart(source: Path, target: Path) -> None:
    """Raises ValueError where one holds the other: a part of the copy would replace all of it, or be read with it."""
    folder, copy_at = (source if source.is_dir() else source.parent).resolve(), target.resolve()
    if folder.is_relative_to(copy_at):
        raise ValueError(f"{source} lies in {target}, which the copy would replace; name the folder of the originals")
    if copy_at.is_relative_to(folder):
        raise ValueError(f"{source} holds {target}, where the copy goes; name the folder of the photographs alone")


def _replace(target: Path, staging: Path, old: Path, images: Mapping[str, str]) -> None:
    """Puts the new copy, whose `images` have these sha256, into the place of an earlier one, of which it keeps aside
    what a person added."""
    copied, new = _copied(target), hashes(staging, known=images)
    if target.exists():
        aside, own = keep_by_hand(target, new, copied)
        if own:
            log.warning(
                "%s of %s added or changed by hand, not in the new copy, kept in %s: %s%s; to have them in it, put "
                "them into the folder that is read", counted(len(own), "file"), target, aside, ", ".join(own[:NAMED]),
                f" and {len(own) - NAMED:,} more" if len(own) > NAMED else "",
            )  # fmt: skip
        shutil.rmtree(old, ignore_errors=True)
        target.rename(old)
    staging.rename(target)
    write_copied(new, copied)
    shutil.rmtree(old, ignore_errors=True)


def _copied(target: Path) -> Path:
    """What the last copy wrote, by hash."""
    return STATE / "init" / target.name / "copied.json"


def _of_removed(back: Sequence[str], target: Path) -> list[Doubt]:
    if not back:
        return []
    more = f" and {len(back) - NAMED:,} more" if len(back) > NAMED else ""
    text = f"{counted(len(back), 'file')} removed or moved by hand from {target}: {', '.join(back[:NAMED])}{more}"
    return [Doubt(f"{text} would come back with the new copy", ("--yes", "correct the folder that is read"))]


def show(reading: Reading, source: Path, how: ReadingOptions, folder: Path) -> None:
    """The table to the log; a contact sheet and a list of all files into `folder`."""
    log.info("%s", table(reading, source))
    sheet, every = folder / "contact_sheet.html", folder / "files.csv"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / ".lock"):  # two calls for one name write the same files
        write_sheet(reading, source, how, sheet)
        write_list(reading, source if source.is_dir() else source.parent, every)
    log.info("\nsee it in pictures: %s\nevery file:         %s\n", sheet, every)


def confirm(doubts: Sequence[Doubt], *, yes: bool) -> None:
    """Returns where no doubt stops, where `yes` is given, or where the user at the terminal confirms.

    Raises:
        BadData: a doubt remains.
    """
    left = sum(doubt.stops for doubt in doubts)
    if not left or yes:
        return
    ask = asker()
    if ask and ask("take the folder as the table shows it? [y/N] ").lower() in YES:
        return
    raise BadData(
        f"{counted(left, 'doubt')} to be settled, listed above, and nothing was copied; add an option that stands "
        "there, or --yes to take the folder as the table shows it"
    )


def already_exists(target: Path, source: Path) -> ValueError:
    again = f"fastflow init {shlex.quote(str(target))} --name {target.name}"
    return ValueError(
        f"{target} exists; to check it again: {again}, with --weights where those are to change; to read {source} anew "
        "in its place: --again; for other images choose another --name"
    )
