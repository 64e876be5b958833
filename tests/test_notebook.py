"""The example notebook: its cells run in order, and what it shows holds no path of a machine."""

import json
from pathlib import Path

import matplotlib as mpl
import pytest

from pipelines.demo.generate import write_category
from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs/example.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]


def test_it_was_run_from_top_to_bottom_and_shows_a_picture() -> None:
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    shown = [output for cell in code for output in cell["outputs"]]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert not any(output["output_type"] in ("error", "stream") and output.get("name") == "stderr" for output in shown)
    assert ".venv" not in NOTEBOOK.read_text()


@pytest.mark.slow
def test_its_cells_run_in_order(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_category("gear", Path("data/demo"), seed=0, image_size=256, num_train=4, num_good=2, num_per_defect=1)
    monkeypatch.setattr("fastflow.api.epochs_for", lambda *_, **__: 1)
    monkeypatch.setattr("fastflow.api.MIN_STEPS", 1)
    names: dict[str, object] = {}
    with mpl.rc_context({"backend": "Agg"}):
        for cell in CELLS:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), "notebook", "exec"), names)  # noqa: S102  our own file
    assert Path("models/gear_notebook/config.json").is_file()
