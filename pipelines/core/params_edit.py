"""Values of params.yaml changed by a command, where they stand and with all comments as they are."""

import re
from collections.abc import Mapping
from pathlib import Path

from fastflow.files import write_text
from pipelines.core.params import PARAMS_FILE, BadParams, read_params

VALUE = r"(?P<inline>[^#\n]*)(?P<comment>#[^\n]*)?"
BELOW = r"(?P<below>(?:\n(?:  -|   )(?! *#)[^\n]*)*)"  # a value in lines of its own, as DVC writes lists


def write_values(values: Mapping[str, str], path: Path = PARAMS_FILE) -> None:
    """`values`: YAML by dotted key, such as {"train.epochs": "5"}. What DVC compares is then what was asked for.

    Raises:
        BadParams: the file has no such line, or would not be valid; it stays as it was.
    """
    before = text = path.read_text()
    for key, value in values.items():
        section, _, name = key.partition(".")
        line = rf"^{section}:[^\n]*\n(?:(?: .*|#.*)?\n)*?  {name}:{VALUE}{BELOW}$"
        found = re.search(line, text, flags=re.MULTILINE)
        if not found:
            raise BadParams(f"{path}: there is no line for {key}; write it there by hand: {value}")
        new, comment = f" {value}", found["comment"]
        if comment:  # where it stood: it stays there if there is room
            new = f"{new:<{len(found['inline']) - 1}} {comment}"
        below = found["below"] if found["inline"].strip() else ""
        text = text[: found.start("inline")] + new + below + text[found.end() :]
    write_text(path, text)
    try:
        read_params(path)
    except BadParams:
        write_text(path, before)
        raise


def write_epochs(epochs: int, path: Path = PARAMS_FILE) -> None:
    """Sets `train.epochs`. Raises BadParams."""
    write_values({"train.epochs": str(epochs)}, path)
