"""The flow's own logic, without a server; the flow itself runs in test_pipeline."""

from pathlib import Path

import pytest

from pipelines.dvc import StageFailed
from pipelines.flows import Result, _can_pass, choose_categories, table_of
from pipelines.params import read_params
from tests.conftest import ROOT


class Ended:
    """A task's final state, holding its error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def result(self, raise_on_failure: bool) -> Exception:
        return self.error


@pytest.mark.parametrize(
    ("exit_code", "retried"), [(5, True), (255, True), (-9, True), (1, False), (2, False), (3, False)]
)
def test_only_faults_that_can_pass_are_retried(exit_code: int, retried: bool) -> None:
    assert _can_pass(None, None, Ended(StageFailed("train@a", exit_code, "error: x"))) is retried


def test_categories_not_in_params_are_named() -> None:
    params = read_params(ROOT / "params.yaml")
    assert choose_categories(None, params) == params.data.categories
    assert choose_categories(params.data.categories[:1], params) == params.data.categories[:1]
    with pytest.raises(ValueError, match=r"\['spoon'\] are not in params\.yaml: data\.categories; allowed: \['"):
        choose_categories(["spoon"], params)


def test_failures_stand_on_top_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "reports/good").mkdir(parents=True)
    (tmp_path / "reports/good/metrics.json").write_text('{"image_auroc": 0.9, "pixel_auroc": 0.8, "aupro": null}')
    rows = table_of([Result("good", "ran", "", 2.04), Result("bad", "failed", "no masks", 1.0)])
    assert [row["category"] for row in rows] == ["bad", "good"]
    assert rows[0]["reason"] == "no masks"
    assert rows[0]["image_auroc"] is None
    assert (rows[1]["image_auroc"], rows[1]["seconds"]) == (0.9, 2.0)
