"""Verdicts to controllers by OPC UA: this process is the server, with an object for the station and one in it for the
category, whose variables are the last verdict. `Number` is written last: whoever waits for it finds the others written.

A variable holds one value, so that a client that looks too seldom misses verdicts; with `acknowledge` the next one
waits until a client has written the number of the last to `Acknowledged`.
"""

import hmac
import logging
import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from asyncua import ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from asyncua.sync import Server, SyncNode, ThreadLoop

from pipelines.core.stage import ServerAway
from pipelines.line.outputs import Messages
from pipelines.line.settings import OpcUa, secret
from pipelines.line.verdict import as_text

NAMESPACE = "urn:fastflow:line"
NO_VERDICT = -1
VARIABLES: dict[str, tuple[ua.VariantType, Any]] = {  # with what each holds before the first verdict
    "IdempotencyKey": (ua.VariantType.String, ""),
    "Path": (ua.VariantType.String, ""),
    "Judged": (ua.VariantType.DateTime, datetime(1970, 1, 1)),
    "Rejected": (ua.VariantType.Boolean, True),
    "PredLabel": (ua.VariantType.Int16, NO_VERDICT),
    "PredScore": (ua.VariantType.Double, float("nan")),
    "Threshold": (ua.VariantType.Double, float("nan")),
    "Model": (ua.VariantType.String, ""),
    "Regions": (ua.VariantType.Int32, 0),
    "LargestArea": (ua.VariantType.Double, 0.0),
    "Error": (ua.VariantType.String, "no picture was judged yet"),
    "Message": (ua.VariantType.String, ""),
    "Number": (ua.VariantType.Int64, 0),
    "Heartbeat": (ua.VariantType.UInt32, 0),
    "Acknowledged": (ua.VariantType.Int64, 0),
}
SCORES = {"PredScore": "pred_score", "Threshold": "threshold"}  # of a message
LOOK_SECONDS = 0.02
LIBRARY_SECONDS = 30.0  # of any call to the server
logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # it logs what any stranger sends


class OpcUaOutput:
    """Raises ValueError where line.yaml names secrets that the environment has not."""

    name, at_once = "opcua", 1

    def __init__(self, settings: OpcUa, station: str, category: str) -> None:
        self.settings, self.station, self.category = settings, station, category
        self.port = (settings.ports or {}).get(category, settings.port)
        self.users = _Users(*(secret(name) if name else None for name in (settings.user_from, settings.password_from)))
        self._server: Server | None = None
        self._nodes: dict[str, SyncNode] = {}
        self._beats = 0
        self._closed = threading.Event()

    def send(self, messages: Messages) -> None:
        (message,) = messages
        self._open()
        values = values_of(message)
        for name, value in values.items():
            self._write(name, value)
        self._beat()
        if self.settings.acknowledge:
            self._wait_for(values["Number"])

    def idle(self) -> None:
        """Opens the server before the first verdict, and shows that this process lives."""
        self._open()
        self._beat()

    def close(self) -> None:
        self._closed.set()
        if server := self._server:
            self._server = None
            stop(server)

    def _open(self) -> None:
        if self._server is not None:
            return
        loop = ThreadLoop(LIBRARY_SECONDS)
        loop.daemon = True  # the process ends, whatever hangs there
        loop.start()
        server = Server(tloop=loop)
        try:
            self._nodes = self._made(server)
            server.start()
        except BaseException as error:
            stop(server)
            if isinstance(error, OSError):
                raise ServerAway(
                    f"{self.settings.host}:{self.port} cannot be bound ({error.strerror or error}); where another "
                    f"category is watched, too, give this one its own port, opcua.ports: {{{self.category}: 4841}}"
                ) from error
            raise
        self._server = server

    def _made(self, server: Server) -> dict[str, SyncNode]:
        """The variables, by name."""
        settings = self.settings
        server.set_endpoint(f"opc.tcp://{settings.host}:{self.port}/fastflow")
        server.set_server_name(f"FastFlow {self.station}")
        server.aio_obj.iserver.set_user_manager(self.users)
        if self.users.name is not None:
            server.set_identity_tokens([ua.UserNameIdentityToken])
        if settings.certificate and settings.key:
            server.load_certificate(settings.certificate)
            server.load_private_key(settings.key)
            server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
        else:
            server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        space = server.register_namespace(NAMESPACE)
        station = server.nodes.objects.add_object(node_id(self.station, space), f"{space}:{self.station}")
        path = f"{self.station}/{self.category}"
        category = station.add_object(node_id(path, space), f"{space}:{self.category}")
        found = {
            name: category.add_variable(node_id(f"{path}/{name}", space), f"{space}:{name}", value, kind)
            for name, (kind, value) in VARIABLES.items()
        }
        found["Acknowledged"].set_writable()
        return found

    def _write(self, name: str, value: Any) -> None:
        self._nodes[name].write_value(ua.Variant(value, VARIABLES[name][0]))

    def _beat(self) -> None:
        self._beats = (self._beats + 1) % 2**32
        self._write("Heartbeat", self._beats)

    def _wait_for(self, number: int) -> None:
        """Until a client has acknowledged it. Raises ServerAway."""
        for _ in range(max(1, round(self.settings.seconds / LOOK_SECONDS))):
            if self._nodes["Acknowledged"].read_value() == number:
                return
            if self._closed.wait(LOOK_SECONDS):
                break
        raise ServerAway(f"no client has written {number} to Acknowledged within {self.settings.seconds:g} s")


def node_id(name: str, space: int) -> ua.NodeId:
    return ua.NodeId(ua.String(name), ua.Int16(space))


def stop(server: Server) -> None:
    """Ends connections, and the thread that serves them."""
    with suppress(Exception):
        server.stop()
    with suppress(Exception):
        server.tloop.stop()


class _Users(UserManager):
    """Whoever is let in may read, and write what is writable. `name` None: anybody."""

    def __init__(self, name: str | None, password: str | None) -> None:
        self.name, self.password = name, password

    def get_user(
        self, iserver: Any, username: str | None = None, password: str | None = None, certificate: Any = None
    ) -> User | None:
        if self.name is None:
            return User(role=UserRole.User)
        pairs = ((username, self.name), (password, self.password))
        right = [hmac.compare_digest((got or "").encode(), (known or "").encode()) for got, known in pairs]
        return User(role=UserRole.User) if all(right) else None


def values_of(message: dict[str, Any]) -> dict[str, Any]:
    """The variables of a verdict, `Number` last. One without a verdict is rejected."""
    label = message["pred_label"]
    scores = {name: float("nan") if message[key] is None else float(message[key]) for name, key in SCORES.items()}
    return {
        "IdempotencyKey": message["idempotency_key"],
        "Path": message["path"],
        "Judged": datetime.fromisoformat(message["judged"]).astimezone(UTC).replace(tzinfo=None),
        "Rejected": label != 0,
        "PredLabel": NO_VERDICT if label is None else int(label),
        **scores,
        "Model": message["model"] or "",
        "Regions": int(message["regions"] or 0),
        "LargestArea": float((message["largest_region"] or {}).get("area", 0)),
        "Error": message["error"] or "",
        "Message": as_text(message),
        "Number": int(message["number"]),
    }
