"""Values of params.yaml changed by a command, where they stand and with all comments as they are."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken

from fastflow.files import write_text
from pipelines.core.params import PARAMS_FILE, BadParams, read_params

MAX_COLUMNS = 10**6  # no line is broken
NULL = "tag:yaml.org,2002:null"


def write_values(values: Mapping[str, object], path: Path = PARAMS_FILE) -> None:
    """`values`: by dotted key, such as {"train.epochs": 5}. What DVC compares is then what was asked for.

    Raises:
        BadParams: the file has no such key, or would not be valid; it stays as it was.
    """
    read_params(path)
    before = path.read_text()
    editor = _editor()
    content = editor.load(before)
    for key, value in values.items():
        *sections, name = key.split(".")
        section = content
        for part in sections:
            section = section.get(part, {})
        if name not in section:
            raise BadParams(f"{path}: there is no line for {key}; write it there by hand: {value}")
        _keep_comments_below(section, name)
        section[name] = _in_one_line(value)
        _move_comments_below(section, name)
    text = io.StringIO()
    editor.dump(content, text)
    write_text(path, text.getvalue())
    try:
        read_params(path)
    except BadParams:
        write_text(path, before)
        raise


def _editor() -> YAML:
    """Writes what it has read as it stood, in the layout of params.yaml."""
    editor = YAML()
    editor.width, editor.preserve_quotes = MAX_COLUMNS, True
    editor.indent(mapping=2, sequence=4, offset=2)
    editor.representer.add_representer(type(None), lambda dumper, _: dumper.represent_scalar(NULL, "null"))
    return editor


def _in_one_line(value: object) -> object:
    """Lists and maps as [a, b] and {a: b}, maps of maps in a line each; where a text holds a colon, libyaml wants
    quotes, which DVC uses."""
    if isinstance(value, Mapping):
        nested = bool(value) and all(isinstance(item, Mapping) for item in value.values())
        value = CommentedMap({key: _in_one_line(item) for key, item in value.items()})
        if not nested:
            value.fa.set_flow_style()
    elif isinstance(value, list):
        value = CommentedSeq([_in_one_line(item) for item in value])
        value.fa.set_flow_style()
    elif isinstance(value, str) and ":" in value:
        return DoubleQuotedScalarString(value)
    return value


def _keep_comments_below(section: CommentedMap, name: str) -> None:
    """Comments and empty lines after a value in lines of its own belong to its last item, which is about to go."""
    token, value = None, section[name]
    while isinstance(value, CommentedMap | CommentedSeq) and value and not value.fa.flow_style():
        last: Any = next(reversed(value)) if isinstance(value, CommentedMap) else len(value) - 1
        token = next(filter(None, value.ca.items.get(last, ())), None)
        value = value[last]
    if token is None:
        return
    below = token.value.partition("\n")[2]  # its first line stands beside the item
    beside = (section.ca.items.get(name) or [None] * 3)[2] or CommentToken("", CommentMark(0))
    text = beside.value.rstrip("\n") + "\n" + below
    section.ca.items[name] = [None, None, CommentToken(text, beside.start_mark), None]


def _move_comments_below(section: CommentedMap, name: str) -> None:
    """Of a value in lines of its own: what stood below its key goes below its last line."""
    token, value = (section.ca.items.get(name) or [None] * 3)[2], section[name]
    if token is None or not isinstance(value, CommentedMap) or value.fa.flow_style() or not value:
        return
    beside, _, below = token.value.partition("\n")
    section.ca.items[name] = [None, None, CommentToken(f"{beside}\n", token.start_mark), None]
    value.ca.items[next(reversed(value))] = [None, None, CommentToken(f"\n{below}", CommentMark(0)), None]
