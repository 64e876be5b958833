"""line.yaml: what this station is called, and where its verdicts go; docs/line.md. Without the file: JSON lines alone.

Secrets are in the environment: line.yaml has the names of the variables.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipelines.core.params import BadParams, read_yaml
from pipelines.core.params_faults import sentence
from pipelines.core.sections import CATEGORY_NAME, Section
from pipelines.review.rule import Rule

LINE_FILE = Path("line.yaml")
MIN_SECRET_CHARACTERS = 16
LOCAL_HOSTS = ("127.0.0.1", "::1", "localhost")
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Station = Annotated[str, Field(pattern=CATEGORY_NAME)]  # a level of MQTT's topics: no /, +, #
Seconds = Annotated[float, Field(gt=0, le=300)]


def _address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("should be an address such as https://mes.example/verdicts")
    return value


class JsonLines(Section):
    """A file a day in `folder`, and a further one whenever one has so many megabytes."""

    folder: str = "production/line"
    megabytes: Annotated[float, Field(gt=0)] = 100


class Webhook(Section):
    """`secret_from`: the variable that holds the key of the signature. `seconds`: of one attempt, in all."""

    url: Annotated[str, AfterValidator(_address)]
    secret_from: Variable = "FASTFLOW_LINE_SECRET"
    seconds: Seconds = 10


class Mqtt(Section):
    """`ca`: certificates to trust in place of the system's, a file. `seconds`: in which the broker must answer."""

    host: Annotated[str, Field(min_length=1)]
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    user_from: Variable | None = None
    password_from: Variable | None = None
    tls: bool = False
    ca: str | None = None
    seconds: Seconds = 10


class OpcUa(Section):
    """`ports`: of categories that have one of their own. `acknowledge`: each verdict waits until a client has written
    its number, for so many `seconds` an attempt. Beyond this machine: `certificate` and `key`, files, and a user."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 4840
    ports: dict[Station, Annotated[int, Field(ge=1, le=65535)]] | None = None
    acknowledge: bool = False
    certificate: str | None = None
    key: str | None = None
    user_from: Variable | None = None
    password_from: Variable | None = None
    seconds: Seconds = 10

    @model_validator(mode="after")
    def _guarded(self) -> Self:
        given = [self.certificate, self.key, self.user_from, self.password_from]
        if self.host not in LOCAL_HOSTS and not all(given):
            raise ValueError(
                f"should have certificate, key, user_from and password_from, as {self.host} can be reached by others"
            )
        for pair in (given[:2], given[2:]):
            if any(pair) != all(pair):
                raise ValueError(
                    "should have both certificate and key, and both user_from and password_from, or neither"
                )
        return self


class Review(Section):
    """What `fastflow review` shows of a week: at most so many `rejects` and `borderline` passes, and so many passes by
    chance that none with a defect among them says: at most `miss_rate` of the week's are. Undecided pictures are kept
    for `weeks`, all in `gigabytes`."""

    miss_rate: Annotated[float, Field(gt=0, lt=1)] = Rule().miss_rate
    rejects: Annotated[int, Field(ge=0)] = Rule().rejects
    borderline: Annotated[int, Field(ge=0)] = Rule().borderline
    weeks: Annotated[int, Field(ge=1)] = Rule().weeks
    gigabytes: Annotated[float, Field(gt=0)] = Rule().gigabytes

    @property
    def rule(self) -> Rule:
        return Rule(**self.model_dump())


class Line(Section):
    """The whole file."""

    station: Station | None = None
    json_lines: JsonLines | None = JsonLines()
    webhook: Webhook | None = None
    mqtt: Mqtt | None = None
    opcua: OpcUa | None = None
    review: Review | None = Review()

    @property
    def name(self) -> str:
        """The station's; by default this machine's."""
        return self.station or "".join(c if c.isalnum() and c.isascii() else "-" for c in socket.gethostname())


def read_line(path: Path = LINE_FILE) -> Line:
    """The checked settings; the defaults where there is no file.

    Raises:
        BadParams: the file is not YAML, or a key is unknown, missing, of a wrong type or out of range.
    """
    if not path.exists():
        return Line()
    try:
        found = Line.model_validate(read_yaml(path) or {})
    except ValidationError as error:
        raise BadParams("; ".join(sentence(Line, path, detail) for detail in error.errors())) from error
    if found.webhook and "@" in urlsplit(found.webhook.url).netloc:  # said without the value
        raise BadParams(f"{path}: webhook.url holds a user or password; leave it out: the signature proves who sends")
    return found


def secret(variable: str, *, environment: Mapping[str, str] = os.environ, at_least: int = 1) -> str:
    """A secret of the environment. Raises ValueError where it is absent or shorter than `at_least` characters."""
    value = environment.get(variable, "")
    if len(value) < at_least:
        got = f"has {len(value)} characters" if value else "is not set"
        raise ValueError(
            f"{LINE_FILE} names the variable {variable}, which {got}; allowed: {at_least} characters or more"
        )
    return value
