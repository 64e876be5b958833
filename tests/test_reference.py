"""docs/reference.md is what the declarations say today, and says something of everything."""

import re
import runpy
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from pipelines.core.params import read_params
from pipelines.line.settings import JsonLines, Mqtt, OpcUa, Review, Webhook
from tests.conftest import ROOT

PAGE = ROOT / "docs/reference.md"


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "docs/make_reference.py"))


def test_the_page_is_what_is_declared(script: dict[str, Any]) -> None:
    assert PAGE.read_text() == script["page"](), "run: python docs/make_reference.py"


def test_every_key_of_params_is_explained() -> None:
    """A leaf of params.yaml has a row, its default as it is read, and a sentence."""
    rows = [
        [cell.strip() for cell in line.split(" | ")] for line in PAGE.read_text().splitlines() if line.startswith("| `")
    ]
    found = {row[0].strip("|` "): row for row in rows if len(row) == 5}
    values = read_params(ROOT / "params.yaml").model_dump()
    for section, content in values.items():
        inner = content if isinstance(content, dict) and content else {"": content}
        for name in inner:
            key = f"{section}.{name}".rstrip(".")
            if key not in ("download.mvtec_ad", "download.visa"):
                assert found[key][3], f"{key} is not explained in params.yaml"
    assert found["threshold.folds"][1:3] == ["`2`", "a whole number ≥ 2 or `null`"]
    assert found["threshold.folds"][4].startswith("train")
    assert found["evaluate.batch_size"][4].startswith("train, evaluate"), "the threshold's scores are made in train"


def test_every_key_of_line_yaml_is_explained() -> None:
    rows = re.search(r"## line.yaml.*?\n\n(?=## )", PAGE.read_text(), flags=re.DOTALL)
    assert rows
    cells = [row.split(" | ") for row in rows[0].splitlines() if row.startswith("| `")]
    found = {row[0].strip("|` "): row for row in cells}
    sections: dict[str, type[BaseModel]] = {"json_lines": JsonLines, "webhook": Webhook, "mqtt": Mqtt}
    sections |= {"opcua": OpcUa, "review": Review}
    keys = {f"{name}.{key}" for name, model in sections.items() for key in model.model_fields} | {"station"}
    assert found.keys() == keys
    assert all(row[-1].strip("| ") for row in found.values())


def test_the_alerts_ask_for_metrics_that_there_are() -> None:
    text = PAGE.read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", text, flags=re.DOTALL)
    rules = yaml.safe_load(block)["groups"][0]["rules"]
    asked = {name for rule in rules for name in re.findall(r"fastflow_\w+", rule["expr"])}
    known = set(re.findall(r"^\| `(fastflow_\w+)`", text, flags=re.MULTILINE))
    assert asked
    assert {name.removesuffix("_bucket") for name in asked} <= known
