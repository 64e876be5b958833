"""Verdicts to an MQTT broker: topic fastflow/<station>/verdict, QoS 1. Whether the watcher runs is retained in
fastflow/<station>/<category>/status: online, and, also by the last will, offline.
"""

import json
import ssl
import threading
from contextlib import suppress
from typing import Any

from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from pipelines.core.stage import ServerAway
from pipelines.line.outputs import Messages
from pipelines.line.settings import Mqtt, secret
from pipelines.line.verdict import as_text

KEEP_ALIVE_SECONDS = 30
GOODBYE_SECONDS = 2
PORT, TLS_PORT = 1883, 8883


class MqttOutput:
    """Raises ValueError where line.yaml names secrets that the environment has not."""

    name, at_once = "mqtt", 1

    def __init__(self, settings: Mqtt, station: str, category: str) -> None:
        self.settings, self.client_id = settings, f"fastflow-{station}-{category}"
        self.topic, self.status = f"fastflow/{station}/verdict", f"fastflow/{station}/{category}/status"
        self.user = secret(settings.user_from) if settings.user_from else None
        self.password = secret(settings.password_from) if settings.password_from else None
        self._client: Client | None = None

    def send(self, messages: Messages) -> None:
        (message,) = messages
        client = self._connected()
        try:
            arrive(client.publish(self.topic, as_text(message), qos=1), self.settings.seconds)
        except BaseException:
            self._drop(client)  # with what it would send later: the queue sends it again
            raise

    def idle(self) -> None:
        """Connects, so that the status is right before the first verdict."""
        self._connected()

    def close(self) -> None:
        if client := self._client:
            with suppress(Exception):
                arrive(client.publish(self.status, state("offline"), qos=1, retain=True), GOODBYE_SECONDS)
            self._drop(client)

    def _connected(self) -> Client:
        if self._client is not None and self._client.is_connected():
            return self._client
        if self._client is not None:
            self._drop(self._client)
        self._client, answered, answers = self._made()
        try:
            port = self.settings.port or (TLS_PORT if self.settings.tls else PORT)
            self._client.connect(self.settings.host, port, KEEP_ALIVE_SECONDS)
            self._client.loop_start()
            if not answered.wait(self.settings.seconds):
                raise ServerAway(f"the broker {self.settings.host}:{port} did not answer")
            if answers[0].is_failure:
                raise ServerAway(f"the broker {self.settings.host}:{port} refuses: {answers[0]}")
        except BaseException:
            self._drop(self._client)
            raise
        return self._client

    def _made(self) -> tuple[Client, threading.Event, list[ReasonCode]]:
        """A client that is not connected yet, and its broker's answer, once there is one."""
        answered, answers = threading.Event(), list[ReasonCode]()

        def answer(client: Client, _data: Any, _flags: Any, reason: ReasonCode, _properties: Any) -> None:
            answers.append(reason)
            if not reason.is_failure:
                client.publish(self.status, state("online"), qos=1, retain=True)
            answered.set()

        client = Client(CallbackAPIVersion.VERSION2, self.client_id, reconnect_on_failure=False)
        client.connect_timeout = self.settings.seconds
        client.on_connect = answer
        client.will_set(self.status, state("offline"), qos=1, retain=True)
        if self.user is not None:
            client.username_pw_set(self.user, self.password)
        if self.settings.tls:
            client.tls_set_context(ssl.create_default_context(cafile=self.settings.ca))
        return client, answered, answers

    def _drop(self, client: Client) -> None:
        self._client = None
        with suppress(Exception):
            client.disconnect()
        client.loop_stop()


def state(name: str) -> str:
    return json.dumps({"status": name})


def arrive(sent: MQTTMessageInfo, seconds: float) -> None:
    """Returns once the broker has it. Raises ServerAway, or what the client raises."""
    sent.wait_for_publish(seconds)
    if not sent.is_published():
        raise ServerAway("the broker did not confirm it in time")
