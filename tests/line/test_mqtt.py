"""Verdicts to a real broker, and to one that is not there, or refuses."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from pipelines.core.stage import ServerAway
from pipelines.line.mqtt import MqttOutput
from pipelines.line.settings import Mqtt
from tests.conftest import free_port, until
from tests.line.broker import IS_HERE, STATUS, TOPIC, Broker, broker_in, connects

MESSAGE: dict[str, Any] = {"number": 7, "path": "in/é.png"}
needs_broker = pytest.mark.skipif(not IS_HERE, reason="there is no mosquitto here")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    with broker_in(tmp_path) as found:
        yield found


def output(port: int, **more: Any) -> MqttOutput:
    return MqttOutput(Mqtt(host="127.0.0.1", port=port, seconds=5, **more), "press-7", "plates")


@needs_broker
def test_a_verdict_arrives_and_the_status_is_retained(broker: Broker) -> None:
    sender = output(broker.port)
    sender.idle()
    sender.send([MESSAGE])
    sender.close()
    until(lambda: len(broker.came) == 3, seconds=20)
    expected = [(STATUS, {"status": "online"}), (TOPIC, MESSAGE), (STATUS, {"status": "offline"})]
    assert [one[:2] for one in broker.came] == expected
    came: list[tuple[str, Any, bool]] = []
    late = broker.subscriber("late", came)
    assert connects(late, broker.port)
    late.loop_start()
    until(lambda: len(came) > 0, seconds=20)
    late.loop_stop()
    assert came == [(STATUS, {"status": "offline"}, True)]  # of verdicts, none is


@needs_broker
def test_a_watcher_that_dies_is_offline_by_its_last_will(broker: Broker) -> None:
    sender = output(broker.port)
    sender.idle()
    assert sender._client is not None
    cast(socket.socket, sender._client.socket()).shutdown(socket.SHUT_RDWR)  # as where a process is killed
    until(lambda: broker.statuses == ["online", "offline"], seconds=20)


@needs_broker
def test_a_broker_that_was_away_is_connected_to_again(broker: Broker) -> None:
    sender = output(broker.port)
    sender.send([MESSAGE])
    until(lambda: len(broker.verdicts) == 1, seconds=20)
    broker.stop()
    until(lambda: fails(sender), seconds=20)
    broker.start()
    until(lambda: not fails(sender), seconds=20)
    until(lambda: len(broker.verdicts) >= 2, seconds=20)
    assert {message["path"] for message in broker.verdicts} == {"in/é.png"}
    sender.close()


def fails(sender: MqttOutput) -> bool:
    try:
        sender.send([MESSAGE])
    except (OSError, RuntimeError):
        return True
    return False


@needs_broker
def test_a_broker_that_refuses_is_named_with_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER_X", "me")
    monkeypatch.setenv("WORD_X", "not this")
    with broker_in(tmp_path, open=False) as broker:
        until(lambda: connects(broker.client, broker.port), seconds=20)
        sender = output(broker.port, user_from="USER_X", password_from="WORD_X")
        with pytest.raises(ServerAway, match=f"^the broker 127.0.0.1:{broker.port} refuses: Not authorized$"):
            sender.send([MESSAGE])
        assert sender._client is None


def test_nobody_there_is_a_failure() -> None:
    sender = output(free_port())
    with pytest.raises(OSError, match="refused"):
        sender.send([MESSAGE])
    sender.close()
