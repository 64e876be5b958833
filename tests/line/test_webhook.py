"""Webhooks over real connections: what is sent, and what a hostile answer costs: that attempt, and a bounded time."""

import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from pipelines.core.stage import ServerAway
from pipelines.line.outputs import Refusal
from pipelines.line.settings import Webhook
from pipelines.line.webhook import WebhookOutput
from tests.conftest import free_port
from tests.line.kit import KEY, Receiver

MESSAGE: dict[str, Any] = {"number": 7, "idempotency_key": "ab" * 16, "path": "in/é.png", "pred_score": 0.25}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def output(receiver: Receiver, seconds: float = 20) -> WebhookOutput:
    return WebhookOutput(Webhook(url=receiver.url, seconds=seconds), KEY)


def test_a_message_bears_its_key_and_a_signature_of_time_and_body(receiver: Receiver) -> None:
    output(receiver).send([MESSAGE])
    ((headers, body),) = receiver.requests
    assert json.loads(body) == MESSAGE
    assert headers["Idempotency-Key"] == MESSAGE["idempotency_key"]
    assert headers["Content-Type"] == "application/json"
    timestamp = headers["FastFlow-Timestamp"]
    assert abs(int(timestamp) - time.time()) < 30
    expected = hmac.new(KEY.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["FastFlow-Signature"] == f"sha256={expected}"


@pytest.mark.parametrize("status", [400, 401, 404, 409, 410, 422, 499])
def test_a_client_error_is_a_refusal(receiver: Receiver, status: int) -> None:
    receiver.faults[1] = str(status)
    with pytest.raises(Refusal, match=f"^it answered {status}"):
        output(receiver).send([MESSAGE])


@pytest.mark.parametrize("fault", ["408", "429", "500", "503", "302", "307", "304", "garbage", "lost"])
def test_another_fault_is_a_failure_of_this_attempt_alone(receiver: Receiver, fault: str) -> None:
    receiver.faults[1] = fault
    sender = output(receiver)
    with pytest.raises(ServerAway):
        sender.send([MESSAGE])
    assert len(receiver.requests) == 1  # no redirect was followed
    sender.send([MESSAGE])
    assert len(receiver.requests) == 2
    assert "Cookie" not in receiver.requests[1][0]


@pytest.mark.parametrize("fault", ["slow", "trickle"])
def test_an_answer_that_does_not_come_to_an_end_costs_the_time_allowed(receiver: Receiver, fault: str) -> None:
    receiver.faults[1] = fault
    start = time.monotonic()
    with pytest.raises(ServerAway):
        output(receiver, seconds=0.5).send([MESSAGE])
    assert time.monotonic() - start < 2.5


@pytest.mark.parametrize("status", [500, 302])  # requests reads the body of what leads elsewhere
def test_a_huge_answer_is_not_read(receiver: Receiver, status: int) -> None:
    receiver.faults[1] = f"huge {status}"
    before = psutil.Process().memory_info().rss
    start = time.monotonic()
    with pytest.raises(ServerAway, match=f"^127.0.0.1: it answered {status}"):
        output(receiver).send([MESSAGE])
    assert time.monotonic() - start < 10
    assert psutil.Process().memory_info().rss - before < 100e6


def test_nobody_there_is_a_failure() -> None:
    with pytest.raises(ServerAway) as error:
        WebhookOutput(Webhook(url=f"http://127.0.0.1:{free_port()}/hook?token=hunter2"), KEY).send([MESSAGE])
    assert "Connection refused" in str(error.value)
    assert "hunter2" not in str(error.value)


def test_connections_are_closed_after_each_attempt(receiver: Receiver) -> None:
    receiver.faults = {1: "500", 2: "422", 3: "garbage"}
    sender = output(receiver)
    before = psutil.Process().num_fds()
    for _ in range(6):
        try:
            sender.send([MESSAGE])
        except (ServerAway, Refusal):
            continue
    assert psutil.Process().num_fds() <= before + 2  # those of the receiver's last handler
