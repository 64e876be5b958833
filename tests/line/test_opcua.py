"""Verdicts by OPC UA, to a real client."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.sync import Client, ThreadLoop
from asyncua.ua.uaerrors import UaError, UaStatusCodeError
from pydantic import ValidationError

from pipelines.core.stage import ServerAway
from pipelines.line.opcua import NAMESPACE, VARIABLES, OpcUaOutput
from pipelines.line.settings import OpcUa
from pipelines.line.verdict import Picture, Signature, message
from tests.conftest import free_port, until


def verdict(number: int = 7, **found: Any) -> dict[str, Any]:
    whole = {"model": "fastflow-plates/3", "pred_score": 0.75, "threshold": 0.5, "pred_label": 1, "regions": 2} | {
        "largest_region": {"area": 120}, "milliseconds": 8.5,
    }  # fmt: skip
    picture = Picture(Path(f"in/{number} é.png"), Signature(10, 20, 30), seen=1_700_000_000.0)
    error = found.pop("error", None)
    made = message(
        station="press-7", category="plates", picture=picture, sha256="ab", now=1_700_000_001.5,
        found={} if error else whole | found, error=error,
    )  # fmt: skip
    return {"number": number} | made


@pytest.fixture
def output(request: pytest.FixtureRequest) -> Iterator[OpcUaOutput]:
    made = OpcUaOutput(OpcUa(port=free_port(), **getattr(request, "param", {})), "press-7", "plates")
    yield made
    made.close()


def client_of(output: OpcUaOutput) -> Client:
    """Its thread is a daemon: where a test fails, nothing waits for it."""
    loop = ThreadLoop()
    loop.daemon = True
    loop.start()
    return Client(f"opc.tcp://127.0.0.1:{output.port}/fastflow", timeout=10, tloop=loop)


def node(client: Client, name: str) -> Any:
    space = client.get_namespace_index(NAMESPACE)
    return client.nodes.objects.get_child([f"{space}:press-7", f"{space}:plates", f"{space}:{name}"])


def read(client: Client, *names: str) -> list[Any]:
    return [node(client, name).read_value() for name in names]


def test_before_the_first_verdict_a_client_sees_a_reject_without_one(output: OpcUaOutput) -> None:
    output.idle()
    with client_of(output) as client:
        assert read(client, "Rejected", "PredLabel", "Number") == [True, -1, 0]
        before = read(client, "Heartbeat")
        output.idle()
        assert read(client, "Heartbeat") == [before[0] + 1]


def test_a_verdict_is_read_as_it_was_made(output: OpcUaOutput) -> None:
    output.send([verdict()])
    with client_of(output) as client:
        expected = {
            "Path": "in/7 é.png", "Judged": datetime(2023, 11, 14, 22, 13, 21, 500_000),
            "Rejected": True, "PredLabel": 1,
            "PredScore": 0.75, "Threshold": 0.5, "Model": "fastflow-plates/3", "Regions": 2, "LargestArea": 120.0,
            "Error": "", "Number": 7,
        }  # fmt: skip
        found = [
            value.replace(tzinfo=None) if isinstance(value, datetime) else value for value in read(client, *expected)
        ]
        assert dict(zip(expected, found, strict=True)) == expected
        output.send([verdict(8, pred_label=0)])
        assert read(client, "Rejected", "PredLabel", "Number") == [False, 0, 8]
        output.send([verdict(9, error="it cannot be read")])
        assert read(client, "Rejected", "PredLabel", "Error", "Number") == [True, -1, "it cannot be read", 9]


def test_who_subscribes_to_the_number_with_a_queue_misses_none(output: OpcUaOutput) -> None:
    """A subscription with a queue, as a controller has it."""
    seen: list[int] = []

    class Handler:
        def datachange_notification(self, _node: Any, value: Any, _data: Any) -> None:
            seen.append(value)

    output.idle()
    with client_of(output) as client:
        subscription = client.create_subscription(20, Handler())
        subscription.subscribe_data_change(node(client, "Number"), queuesize=100)
        for number in range(1, 31):
            output.send([verdict(number)])
        until(lambda: len(seen) >= 31, seconds=20)
        assert seen == list(range(31))


def test_the_number_is_written_last(output: OpcUaOutput, monkeypatch: pytest.MonkeyPatch) -> None:
    output.idle()
    written, write = [], output._write

    def noted(name: str, value: object) -> None:
        written.append(name)
        write(name, value)

    monkeypatch.setattr(output, "_write", noted)
    output.send([verdict(3)])
    assert written.index("Number") == len(set(VARIABLES) - {"Heartbeat", "Acknowledged", "Number"})


def test_a_client_can_write_nothing_but_its_acknowledgement(output: OpcUaOutput) -> None:
    output.send([verdict()])
    with client_of(output) as client:
        for name, value in (("PredLabel", ua.Variant(0, ua.VariantType.Int16)), ("Rejected", ua.Variant(False))):
            with pytest.raises(UaStatusCodeError):
                node(client, name).write_value(value)
        with pytest.raises(UaStatusCodeError):
            client.nodes.objects.add_object(2, "mine")
        assert read(client, "PredLabel", "Rejected") == [1, True]


@pytest.mark.parametrize("output", [{"acknowledge": True, "seconds": 1}], indirect=True)
def test_the_next_verdict_waits_for_the_acknowledgement_of_the_last(output: OpcUaOutput) -> None:
    with pytest.raises(ServerAway, match="no client has written 7 to Acknowledged within 1 s"):
        output.send([verdict(7)])
    with client_of(output) as client:
        sending = threading.Thread(target=output.send, args=[[verdict(7)]])
        sending.start()
        node(client, "Acknowledged").write_value(ua.Variant(6, ua.VariantType.Int64))
        sending.join(0.3)
        assert sending.is_alive(), "6 is another one's"
        node(client, "Acknowledged").write_value(ua.Variant(7, ua.VariantType.Int64))
        sending.join(20)
        assert not sending.is_alive()


def test_a_taken_port_is_named_with_what_to_do_and_tried_again(output: OpcUaOutput) -> None:
    output.idle()
    second = OpcUaOutput(OpcUa(port=output.port), "press-7", "gears")
    with pytest.raises(ServerAway, match=r"cannot be bound .* opcua\.ports: \{gears: 4841\}"):
        second.idle()
    output.close()
    second.idle()
    with client_of(second) as client:
        assert client.nodes.objects.get_children()
    second.close()


def test_a_user_is_asked_for_where_one_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPC_USER", "plc")
    monkeypatch.setenv("OPC_PASSWORD", "right")
    settings = OpcUa(port=free_port(), user_from="OPC_USER", password_from="OPC_PASSWORD")
    output = OpcUaOutput(settings, "press-7", "plates")
    output.idle()
    try:
        for user, password in (("", ""), ("plc", "wrong"), ("admin", "right")):
            stranger = client_of(output)
            if user:
                stranger.set_user(user)
                stranger.set_password(password)
            with pytest.raises(UaError):
                stranger.connect()
        known = client_of(output)
        known.set_user("plc")
        known.set_password("right")
        with known as client:
            assert read(client, "Number") == [0]
    finally:
        output.close()


@pytest.mark.parametrize(
    "given",
    [
        {"host": "0.0.0.0"},
        {"host": "0.0.0.0", "certificate": "a.pem", "key": "a.key"},
        {"certificate": "a.pem"},
        {"user_from": "OPC_USER"},
    ],
)
def test_what_others_can_reach_is_encrypted_and_has_a_user(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="should have"):
        OpcUa(**given)
