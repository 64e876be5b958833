"""Files as damage, other programs and ill will leave them: a valid one with something changed, or anything at all."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

Place = tuple[int, ...]


class Raw(str):
    """JSON as it stands, such as NaN."""

    __slots__ = ()


class Members(list[tuple[str, Any]]):
    """The members of a JSON object in order; a key may stand there twice."""


NUMBERS = (0, -1, 1, 2, 0.5, -0.5, 1e-320, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400)
WORDS = (
    "",
    " ",
    "x",
    "0",
    "-1",
    "nan",
    "NaN",
    "inf",
    "true",
    "é",
    "a\nb",
    "\0",
    "\x1b[2J",
    "../x",
    "/",
    "a/b",
    "x" * 300,
)
RAW = (
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "0.1e-400", "1" * 5000, '"\\ud800"', "[" * 400 + "]" * 400,
    "[" * 3000 + "]" * 3000, '{"a":' * 900 + "1" + "}" * 900, "[" * 100_000 + "]" * 100_000,
)  # fmt: skip
ODD_BYTES = (
    b"\0",
    b"\xff",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\r\n",
    b"\r",
    b'"',
    b"'",
    b",",
    b";",
    b"\t",
    b"\xc3",
    b"\xed\xa0\x80",
    b"=1+1",
)
ODD_TEXTS = st.one_of(st.sampled_from(WORDS), st.text(max_size=12))
ODD_VALUES: SearchStrategy[Any] = st.one_of(
    st.sampled_from((None, True, False, [], Members(), [None], [[]], Members([("a", 1)]), *NUMBERS, *WORDS)),
    st.sampled_from(RAW).map(Raw),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)


def tree(value: object) -> Any:
    """A document with its objects as Members."""
    if isinstance(value, dict):
        return Members((str(key), tree(inner)) for key, inner in value.items())
    return [tree(inner) for inner in value] if isinstance(value, list | tuple) else value


def text(value: Any) -> str:
    """Its JSON."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, Members):
        return "{" + ", ".join(f"{json.dumps(key)}: {text(inner)}" for key, inner in value) + "}"
    return "[" + ", ".join(map(text, value)) + "]" if isinstance(value, list) else json.dumps(value)


def places(value: Any, at: Place = ()) -> list[Place]:
    """The paths of all values of a document, its own, (), among them."""
    inner = [one[1] for one in value] if isinstance(value, Members) else value if isinstance(value, list) else []
    return [at, *(place for number, one in enumerate(inner) for place in places(one, (*at, number)))]


def value_at(value: Any, place: Place) -> Any:
    for number in place:
        value = value[number][1] if isinstance(value, Members) else value[number]
    return value


def changed(value: Any, place: Place, change: Callable[[Any], Any]) -> Any:
    """The document with `change` of the value at a place."""
    if not place:
        return change(value)
    first, rest = place[0], place[1:]
    new = type(value)(value)
    if isinstance(value, Members):
        new[first] = (value[first][0], changed(value[first][1], rest, change))
    else:
        new[first] = changed(value[first], rest, change)
    return new


@st.composite
def mutated_tree(draw: DrawFn, document: object) -> Any:
    """A document with one to three changes: another value, a member gone, twice, more, or called otherwise."""
    value = tree(document)
    for _ in range(draw(st.integers(1, 3))):
        value = _mutated(draw, value)
    return value


def _mutated(draw: DrawFn, value: Any) -> Any:
    place = draw(st.sampled_from(places(value)))
    how = draw(st.sampled_from(("value", "value", "value", "other", "gone", "twice", "more", "renamed", "wrapped")))
    here = value_at(value, place)
    if how == "other":
        other = value_at(value, draw(st.sampled_from(places(value))))
        return changed(value, place, lambda _: other)
    if how == "wrapped":
        return changed(value, place, lambda inner: [inner])
    if isinstance(here, list) and here and how in ("gone", "twice", "renamed"):
        number = draw(st.integers(0, len(here) - 1))
        return changed(value, place, lambda inner: _rearranged(draw, inner, number, how))
    if isinstance(here, list) and how == "more":
        new = draw(ODD_VALUES)
        more = Members([(draw(ODD_TEXTS), new)]) if isinstance(here, Members) else [new]
        return changed(value, place, lambda inner: type(inner)([*inner, *more]))
    new = draw(ODD_VALUES)
    return changed(value, place, lambda _: new)


def _rearranged(draw: DrawFn, several: Any, number: int, how: str) -> Any:
    """A list or Members without its `number`-th, with it twice, or with another key."""
    one = several[number]
    if how == "gone":
        return type(several)([*several[:number], *several[number + 1 :]])
    if isinstance(several, Members):
        key = one[0] if how == "twice" else draw(ODD_TEXTS)
        again = (key, draw(ODD_VALUES) if how == "twice" else one[1])
        return Members([*several[: number + (how == "twice")], again, *several[number + 1 :]])
    return [*several, one]


@st.composite
def mutated_bytes(draw: DrawFn, content: bytes) -> bytes:
    """A file with one to four changes of its bytes, or in another encoding."""
    for _ in range(draw(st.integers(1, 4))):
        content = _damaged(draw, content)
    return content


def _damaged(draw: DrawFn, content: bytes) -> bytes:
    at = draw(st.integers(0, len(content)))
    end = min(len(content), at + draw(st.integers(1, 64)))
    match draw(st.sampled_from(("flip", "flip", "cut", "insert", "insert", "gone", "twice", "whole"))):
        case "flip":
            return (
                content[:at] + bytes(b ^ 1 << draw(st.integers(0, 7)) for b in content[at : at + 1]) + content[at + 1 :]
            )
        case "cut":
            return content[:at]
        case "insert":
            return content[:at] + draw(st.one_of(st.sampled_from(ODD_BYTES), st.binary(max_size=16))) + content[at:]
        case "gone":
            return content[:at] + content[end:]
        case "twice":
            return content[:end] + content[at:end] + content[end:]
    return draw(st.sampled_from(WHOLE))(content)


WHOLE: Sequence[Callable[[bytes], bytes]] = (
    lambda content: content.replace(b"\n", b"\r\n"),
    lambda content: content.replace(b"\n", b"\r"),
    lambda content: b"\xef\xbb\xbf" + content,
    lambda content: content.decode("utf-8", "replace").encode("utf-16"),
    lambda content: content.decode("utf-8", "replace").encode("utf-16-be"),
    lambda content: content.replace(b",", b";"),
    lambda content: content + content,
    lambda content: content + b"\0" * 100,
)


def json_files(*documents: object) -> SearchStrategy[bytes]:
    """The text of valid JSON with changes, whole or damaged; and anything."""
    trees = st.one_of([mutated_tree(document) for document in documents]).map(lambda value: text(value).encode())
    plain = st.sampled_from([text(tree(document)).encode() for document in documents])
    return st.one_of(trees, trees, trees, trees.flatmap(mutated_bytes), plain.flatmap(mutated_bytes), anything())


def files(*contents: bytes) -> SearchStrategy[bytes]:
    """Valid files with changes of their bytes, and anything."""
    damaged = st.sampled_from(contents).flatmap(mutated_bytes)
    return st.one_of(damaged, damaged, damaged, anything())


def anything() -> SearchStrategy[bytes]:
    return st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(str.encode),
        ODD_VALUES.map(lambda value: text(value).encode()),
    )
