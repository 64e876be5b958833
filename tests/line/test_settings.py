"""line.yaml: what is allowed, and the sentence that says what is not."""

from pathlib import Path

import pytest

from pipelines.line.settings import JsonLines, Line, Mqtt, Webhook, read_line, secret
from pipelines.line.watch import outputs_of
from tests.line.kit import KEY

pytestmark = pytest.mark.usefixtures("folder")


def written(text: str) -> Path:
    path = Path("line.yaml")
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [None, "", "# nothing\n"])
def test_without_settings_there_are_json_lines_alone(text: str | None) -> None:
    found = read_line() if text is None else read_line(written(text))
    assert found == Line(station=None, json_lines=JsonLines(), webhook=None, mqtt=None)
    assert [one.name for one in outputs_of(found, "plates")] == ["json_lines"]


def test_the_stations_name_is_this_machines_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "press 7/néw")
    assert read_line().name == "press-7-n-w"
    assert read_line(written("station: press-8")).name == "press-8"


def test_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "station: a\njson_lines: null\nwebhook: {url: 'https://mes/x', seconds: 5}\n"
    found = read_line(written(text + "mqtt: {host: b, user_from: USER_X}\n"))
    assert (found.webhook, found.mqtt) == (Webhook(url="https://mes/x", seconds=5), Mqtt(host="b", user_from="USER_X"))
    monkeypatch.setenv("FASTFLOW_LINE_SECRET", KEY)
    monkeypatch.setenv("USER_X", "me")
    assert [one.name for one in outputs_of(found, "plates")] == ["webhook", "mqtt"]
    monkeypatch.delenv("USER_X")
    with pytest.raises(ValueError, match="names the variable USER_X, which is not set"):
        outputs_of(found, "plates")
    monkeypatch.setenv("FASTFLOW_LINE_SECRET", "short")
    with pytest.raises(ValueError, match="FASTFLOW_LINE_SECRET, which has 5 characters; allowed: 16"):
        outputs_of(found, "plates")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("statoin: a", "unknown key 'statoin'; allowed here: json_lines, mqtt, opcua, review, station, webhook"),
        ("station: a/b", "line.yaml: station is 'a/b' (str)"),
        ("station: 7", "line.yaml: station is 7 (int); it should be a valid string, or null"),
        ("webhook: {}", "line.yaml: missing key 'webhook.url'"),
        (
            "webhook: {url: 'ftp://x'}",
            "webhook.url is 'ftp://x' (str); Value error, should be an address such as",
        ),
        ("webhook: {url: 'http://a', seconds: .nan}", "webhook.seconds is nan (float)"),
        ("webhook: {url: 'http://a', seconds: 0}", "webhook.seconds is 0 (int)"),
        ("webhook: {url: 'http://a', secret_from: 'a b'}", "webhook.secret_from is 'a b' (str)"),
        ("webhook: {url: 'http://a', secret: x}", "unknown key 'webhook.secret'"),
        ("mqtt: {host: a, port: 70000}", "mqtt.port is 70000 (int)"),
        ("mqtt: {host: a, tls: 'yes'}", "mqtt.tls is 'yes' (str)"),
        ("json_lines: {megabytes: -1}", "json_lines.megabytes is -1 (int)"),
        ("[1]", "line.yaml: the file is [1] (list)"),
        ("a: [", "line.yaml is not valid YAML"),
    ],
)
def test_what_is_wrong_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=r"^line\.yaml") as error:
        read_line(written(text))
    assert sentence in str(error.value)


def test_a_password_in_the_address_is_in_no_message() -> None:
    with pytest.raises(ValueError, match=r"webhook\.url holds a user or password; leave it out") as error:
        read_line(written("webhook: {url: 'https://me:hunter2@mes/'}"))
    assert "hunter2" not in str(error.value)


def test_a_secret_of_the_least_length_is_enough() -> None:
    assert secret("X", environment={"X": "a" * 16}, at_least=16) == "a" * 16
    with pytest.raises(ValueError, match="has 15 characters"):
        secret("X", environment={"X": "a" * 15}, at_least=16)
