"""What each file of a folder is, as the user states it: globs for good images, defective ones, their masks.

A glob is one of .gitignore's kind: `*` and `?` stay within a name, `**` goes across folders, a name without a slash is
meant at any depth, and a folder means all that lies in it, but `x/*` the files of x alone. Upper and lower case are
one, and so are the Unicode forms.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData

PRECEDENCE = ("ignore", "masks", "test_good")  # these win over `good` and `defects`, which exclude another


class Sources(NamedTuple):
    """Globs by what they name, relative to the folder that is read; `test_good` are good and never trained on."""

    good: tuple[str, ...] = ()
    test_good: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()


def assign(files: Iterable[Path], folder: Path, sources: Sources) -> dict[Path, str]:
    """The role of each file that a glob names.

    Raises:
        BadData: a glob names no file, or one file is named as good and as defective.
    """
    names = {path: plain(path.relative_to(folder).as_posix()) for path in files}
    named: dict[str, set[Path]] = {}
    for role, globs in sources._asdict().items():
        named[role] = set()
        for glob in globs:
            found = {path for path, name in names.items() if regex(glob, folder).fullmatch(name)}
            if not found:
                raise BadData(f"--{role.replace('_', '-')} {glob!r} names none of the {len(names)} files in {folder}")
            named[role] |= found
    decided: dict[Path, str] = {}
    for role in (*PRECEDENCE, "good", "defects"):
        decided = dict.fromkeys(named[role], role) | decided
    if both := sorted(named["good"] & named["defects"] - {p for role in PRECEDENCE for p in named[role]}):
        raise BadData(
            f"{both[0]} is named by --good and by --defects, with {len(both) - 1} more; it can be one of them"
        )
    return decided


def regex(glob: str, folder: Path) -> re.Pattern[str]:
    """A glob as a pattern of names relative to `folder`; it may begin with the folder itself."""
    text = plain(glob).removeprefix(plain(folder.as_posix()) + "/")
    anchored = "/" in text.rstrip("/")
    parts = text.removeprefix("./").strip("/").split("/")
    expression = "" if anchored else "(?:.*/)?"
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            expression += ".*" if last else "(?:.*/)?"
        else:
            expression += "".join(map(_translated, re.findall(r"\[!?\]?[^\]]*\]|.", part, re.DOTALL))) + "/" * (
                not last
            )
    files_alone = anchored and parts[-1] == "*"  # else the good images' glob would take a folder of defects among them
    return re.compile(expression if files_alone else f"{expression}(?:/.*)?", re.DOTALL)


def _translated(token: str) -> str:
    if token in "*?":
        return "[^/]*" if token == "*" else "[^/]"
    if len(token) > 1:
        inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
        return f"[^/{inner[1:]}]" if inner.startswith("!") else f"[{inner}]"
    return re.escape(token)


def plain(text: str) -> str:
    """A name as it is compared: composed Unicode, without upper case."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def squashed(text: str) -> str:
    """Letters and digits of a name alone."""
    return "".join(character for character in plain(text) if character.isalnum())
