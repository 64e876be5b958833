"""Write docs/reference.md: every command, every key of params.yaml and line.yaml, the server's statuses, all metrics.

From what they are declared in: the comments of params.yaml, the models that check it, dvc.yaml, the commands' help, the
server's answers and the instruments. tests/test_reference.py holds the page to them.
Run as: python docs/make_reference.py
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from prometheus_client.metrics import MetricWrapperBase
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from typer.main import get_command

from pipelines.cli.app import app
from pipelines.core.params import Params
from pipelines.line.instruments import Instruments as LineInstruments
from pipelines.line.settings import Line
from pipelines.serving.app import RESPONSES
from pipelines.serving.instruments import Instruments

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs/reference.md"
DEEPER = {"mvtec_ad", "visa", "mirrors"}  # of download: hashes and links, which stand in params.yaml
BY_NAME = ("ports",)  # whose keys are names of one's own
HEAD = """# Reference

What there is, in tables, made by `python docs/make_reference.py` from the places where it is declared. How to use it,
the [other documents](README.md) say.
"""
ALERTS = """
Alerts that a line wants, as rules of Prometheus:

```yaml
groups:
  - name: fastflow
    rules:
      - alert: NoVerdicts                  # nothing is scored, the server is up
        expr: sum(rate(fastflow_verdicts_total[10m])) == 0
        for: 10m
      - alert: RequestsRefused             # too many, or pictures that cannot be read
        expr: sum by (status) (rate(fastflow_requests_total{status!="200"}[5m])) > 0.1
        for: 5m
      - alert: RejectsRise                 # parts, camera or light: fastflow drift tells which
        expr: >
          sum by (category) (rate(fastflow_verdicts_total{pred_label="1"}[1h]))
          / sum by (category) (rate(fastflow_verdicts_total[1h])) > 0.2
        for: 15m
      - alert: LineStands                  # a picture waits, or a verdict does not arrive
        expr: fastflow_line_oldest_seconds > 60 or fastflow_line_backlog > 100 or fastflow_line_folder == 0
        for: 1m
      - alert: SlowAnswers
        expr: histogram_quantile(0.99, sum by (le) (rate(fastflow_seconds_bucket[5m]))) > 1
        for: 10m
```
"""


def page() -> str:
    parts = (commands(), parameters(), line(), answers(), metrics())
    return "\n".join([HEAD, *chain(*parts), ALERTS.strip("\n"), ""])


def table(*header: str, rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(header)} |"
    yield f"|{'---|' * len(header)}"
    for row in rows:
        yield f"| {' | '.join(map(escaped, row))} |"
    yield ""


def escaped(cell: str) -> str:
    return cell.replace("|", "&#124;").replace("<", "&lt;")


def commands() -> Iterator[str]:
    """Name and first sentence of each."""
    group: Any = get_command(app)
    yield "## Commands\n\n`fastflow COMMAND --help` has options and examples.\n"
    known = sorted((name, command) for name, command in group.commands.items() if not command.hidden)
    rows = ((f"`fastflow {name}`", command.get_short_help_str(200)) for name, command in known)
    yield from table("command", "", rows=rows)


def parameters() -> Iterator[str]:
    """Each key, with what it makes stale."""
    values = YAML().load(ROOT / "params.yaml")
    schema, stale = Params.model_json_schema(), depending()
    yield "## params.yaml\n"
    yield "A change makes the stages of the last column stale, in all categories, and with them those that follow.\n"
    rows = (
        (f"`{key}`", f"`{value}`", allowed(schema, key), said, ", ".join(of_key(key, stale)))
        for key, value, said in leaves(values)
    )
    yield from table("key", "default", "allowed", "what it is", "makes stale", rows=rows)


def line() -> Iterator[str]:
    """Each key of line.yaml; its comment is that of the example in docs/line.md."""
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/line.md").read_text(), flags=re.DOTALL)
    schema = Line.model_json_schema()
    yield "## line.yaml\n"
    yield "Of `fastflow watch`; [an example](line.md#lineyaml). A key without a default must be there.\n"
    rows = (
        (f"`{key}`", default(schema, key), allowed(schema, key), said) for key, _, said in leaves(YAML().load(example))
    )
    yield from table("key", "default", "allowed", "what it is", rows=rows)


def default(schema: Mapping[str, Any], key: str) -> str:
    """Of a key, as JSON; empty where it must be given."""
    found = field(schema, key)
    return f"`{json.dumps(found['default'])}`" if "default" in found else ""


def leaves(values: CommentedMap, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Dotted key, value as JSON, and the comment behind it, or behind the section's name."""
    for key, value in values.items():
        name = f"{above}{key}"
        if isinstance(value, CommentedMap) and value and key not in (*DEEPER, *BY_NAME):
            yield from leaves(value, f"{name}.")
        elif key not in DEEPER:
            yield name, json.dumps(value), comment(values, key)


def comment(values: CommentedMap, key: str) -> str:
    behind = values.ca.items.get(key)
    text = behind[2].value if behind and behind[2] else ""
    return text.partition("\n")[0].lstrip("# ").strip()


def allowed(schema: Mapping[str, Any], key: str) -> str:
    """What a file's model takes, in words."""
    return words(field(schema, key))


def field(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The part of a JSON schema that describes a dotted key."""
    found: Mapping[str, Any] = schema
    for part in key.split("."):
        found = found["properties"][part]
        section = next((one for one in [found, *found.get("anyOf", ())] if "$ref" in one), None)
        if section:
            found = schema["$defs"][section["$ref"].rpartition("/")[2]]
    return found


def words(one: Mapping[str, Any]) -> str:
    if "anyOf" in one:
        return " or ".join(words(other) for other in one["anyOf"])
    if "enum" in one or "const" in one:
        return ", ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    if one.get("type") == "array":
        return f"a list of: {words(one['items'])}" if one.get("items") else "a list"
    if one.get("type") == "object":
        return "by name"
    kinds = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true, false"}
    return "`null`" if one["type"] == "null" else kinds[one["type"]] + bounds(one)


def bounds(one: Mapping[str, Any]) -> str:
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return ",".join(f" {sign} {one[name]:g}" for name, sign in signs.items() if name in one)


def depending() -> dict[str, list[str]]:
    """The parameters that each stage of dvc.yaml names."""
    stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    return {name: [re.sub(r"\.?\$\{.*", "", one) for one in stage["params"]] for name, stage in stages.items()}


def of_key(key: str, stale: Mapping[str, list[str]]) -> Iterator[str]:
    for stage, names in stale.items():
        if any(key == name or key.startswith(f"{name}.") for name in names):
            yield stage


def answers() -> Iterator[str]:
    """The statuses of the server's one request that scores."""
    yield "## Answers of `POST /score`\n"
    yield "The body and an answer: [serving](serving.md#serve); all of the interface: `/openapi.json`.\n"
    rows = ((f"{status}", str(about["description"])) for status, about in RESPONSES.items())
    yield from table("status", "", rows=chain([("200", "A verdict")], rows))


def metrics() -> Iterator[str]:
    """What the server and the line count."""
    yield "## Metrics of `fastflow serve`\n\nAt `/metrics`, for Prometheus.\n"
    yield from table("metric", "kind", "labels", "", rows=map(metric, kept(Instruments())))
    yield "## Metrics of `fastflow watch`\n\nAt `/metrics` of `--metrics-port`, on 127.0.0.1.\n"
    yield from table("metric", "kind", "labels", "", rows=map(metric, kept(LineInstruments("bottle"))))


def kept(instruments: object) -> list[MetricWrapperBase]:
    return [one for one in vars(instruments).values() if isinstance(one, MetricWrapperBase)]


def metric(one: MetricWrapperBase) -> tuple[str, ...]:
    (about,) = one.collect()
    suffix = "_total" if about.type == "counter" else ""
    labels = ", ".join(f"`{name}`" for name in one._labelnames)
    return f"`{about.name}{suffix}`", about.type, labels, about.documentation


if __name__ == "__main__":
    PAGE.write_text(page())
