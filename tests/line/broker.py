"""A real MQTT broker, mosquitto, and a subscriber that misses nothing while either of the two is away."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from tests.conftest import free_port, until

IS_HERE = shutil.which("mosquitto") is not None
TOPIC, STATUS = "fastflow/press-7/verdict", "fastflow/press-7/plates/status"


class Broker:
    """`came`: topic, message and whether it was retained, of all that a subscriber got. `open`: whether strangers may
    connect; else there is no subscriber."""

    def __init__(self, folder: Path, *, open: bool = True) -> None:  # noqa: A002
        self.port, self.file = free_port(), folder / "mosquitto.conf"
        self.file.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous {str(open).lower()}\nuser {folder.owner()}\n"
            f"persistence true\npersistence_location {folder}/\nmax_queued_messages 0\n"
        )
        self.came: list[tuple[str, Any, bool]] = []
        self.client = self.subscriber("mes", self.came)
        self.start()
        if open:
            until(lambda: connects(self.client, self.port), seconds=20)
            self.client.loop_start()

    def subscriber(self, name: str, came: list[tuple[str, Any, bool]]) -> Client:
        """Not connected yet; what it gets goes to `came`."""
        client = Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
        client.on_message = lambda _client, _data, one: came.append((one.topic, json.loads(one.payload), one.retain))
        client.on_connect = lambda client, *_: client.subscribe("fastflow/#", qos=1)
        client.reconnect_delay_set(min_delay=1, max_delay=1)
        return client

    def start(self) -> None:
        self.process = subprocess.Popen(["mosquitto", "-c", self.file], stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def end(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.stop()

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        return [message for topic, message, _ in self.came if topic == TOPIC]

    @property
    def statuses(self) -> list[str]:
        return [message["status"] for topic, message, _ in self.came if topic == STATUS]


def connects(client: Client, port: int) -> bool:
    try:
        client.connect("127.0.0.1", port)
    except OSError:
        return False
    return True


@contextmanager
def broker_in(folder: Path, *, open: bool = True) -> Iterator[Broker]:  # noqa: A002
    broker = Broker(folder, open=open)
    try:
        yield broker
    finally:
        broker.end()
