"""The file of verdicts: each line once, whatever a kill has left, a file a day, and no file too long."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.line.json_lines import JsonLinesOutput
from pipelines.line.settings import JsonLines
from tests.line.kit import lines

DAY = "2026-11-30"
FILE = Path(f"production/line/plates-{DAY}.jsonl")

pytestmark = pytest.mark.usefixtures("folder")


def one(number: int, day: str = DAY) -> dict[str, Any]:
    return {
        "number": number,
        "idempotency_key": f"key {number}",
        "judged": f"{day}T10:00:00.000+00:00",
        "path": "é.png",
    }


def output(megabytes: float = 100) -> JsonLinesOutput:
    return JsonLinesOutput(JsonLines(megabytes=megabytes), "plates")


def test_each_message_is_a_line(folder: Path) -> None:
    messages = [one(number) for number in range(3)]
    writer = output()
    writer.send(messages[:2])
    writer.send(messages[2:])
    assert [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()] == messages


def test_a_send_that_was_killed_at_any_byte_leaves_each_line_once() -> None:
    output().send([one(0)])
    before = FILE.read_bytes()
    output().send([one(1), one(2)])
    whole = FILE.read_bytes()
    for end in range(len(before), len(whole) + 1):
        FILE.write_bytes(whole[:end])
        output().send([one(1), one(2)])
        assert FILE.read_bytes() == whole, end


def test_a_send_that_fails_is_looked_at_before_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    writer = output()
    writer.send([one(0)])

    def full(_: int) -> None:
        with FILE.open("ab") as file:
            file.write(b'{"half')
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            writer.send([one(1)])
    writer.send([one(1), one(2)])
    assert [json.loads(line)["number"] for line in FILE.read_text().splitlines()] == [0, 1, 2]


def test_each_day_has_a_file_also_where_a_send_has_two_days(folder: Path) -> None:
    output().send([one(1), one(2, "2026-12-01"), one(3, "2026-12-01")])
    names = {path.name: len(path.read_text().splitlines()) for path in FILE.parent.iterdir()}
    assert names == {"plates-2026-11-30.jsonl": 1, "plates-2026-12-01.jsonl": 2}
    assert [one["number"] for one in lines(folder)] == [1, 2, 3]


def test_a_file_that_has_its_megabytes_is_followed_by_another_and_a_line_is_in_one_of_them() -> None:
    size = len(json.dumps(one(10), ensure_ascii=False).encode()) + 1
    for number in range(10, 35):
        output(2 * size / 1e6).send([one(number)])
        output(2 * size / 1e6).send([one(number)])  # as after a kill between writing and noting it
    parts = {path.name: path.read_text().splitlines() for path in FILE.parent.iterdir()}
    names = [f"plates-{DAY}{f'.{part}' * (part > 1)}.jsonl" for part in range(1, 14)]
    assert sorted(parts) == sorted(names)
    assert [json.loads(line)["number"] for name in names for line in parts[name]] == list(range(10, 35))
    assert {len(parts[name]) for name in names[:-1]} == {2}


def test_lines_of_another_program_are_left_alone() -> None:
    FILE.parent.mkdir(parents=True)
    FILE.write_bytes(b'[1]\n{"other": 1}\n\xff\xfe\n')
    output().send([one(1)])
    assert FILE.read_bytes().startswith(b'[1]\n{"other": 1}\n\xff\xfe\n{"number": 1,')
