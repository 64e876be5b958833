"""What is NaN or infinite gives no verdict anywhere: at load, at scoring, and at every comparison with a bound."""

import csv
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from fastflow import api
from fastflow.checkpoint import save_checkpoint
from fastflow.detector import Images, NotFinite, Scores, Sizes
from fastflow.errors import BadData
from fastflow.export.graph import ScoringGraph
from fastflow.model import FastFlow
from fastflow.trained import TrainedDetector
from pipelines.core.params import BadParams, read_params
from pipelines.core.stage import Failed
from pipelines.monitoring.drift_rules import judge
from pipelines.promotion.champion import require_not_worse
from pipelines.registry.registered import Untrusted
from pipelines.registry.registry import number_of
from pipelines.registry.served_model import ServedModel
from pipelines.scoring.labelled import labelled_scores
from tests.conftest import ROOT, SIZE, THRESHOLD, fastflow, tiny_config, write_plates
from tests.monitoring.test_drift_rules import sample
from tests.serving.test_batching import HeldDetector, client_of, png

NOT_FINITE = [math.nan, math.inf, -math.inf]
broken = pytest.mark.parametrize("number", NOT_FINITE)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch, number: float) -> None:
    """Every model's score of a batch's first image is `number`."""
    predict = TrainedDetector.predict

    def spoil(self: TrainedDetector, images: Images, sizes: Sizes | None = None) -> Scores:
        found = predict(self, images, sizes)
        found.pred_score[0] = number
        return found

    monkeypatch.setattr(TrainedDetector, "predict", spoil)


@broken
@pytest.mark.usefixtures("spoilt", "folder")
def test_such_a_score_is_an_error_that_names_the_picture_and_all_others_have_rows(
    tiny_model: FastFlow, capsys: pytest.CaptureFixture[str]
) -> None:
    save_checkpoint(tiny_model, Path("models/plates"), category="plates", threshold=THRESHOLD)
    photographs = sorted((write_plates(Path("plates")) / "test/good").glob("*.png"))
    command = ["score", "--model", "plates", photographs[0].parent, "--to", "scores.csv", "--overlays", "maps"]
    assert fastflow(*command) == 3
    assert f"{photographs[0]}: its score is" in capsys.readouterr().err
    with Path("scores.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == list(map(str, photographs[1:]))
    assert len(list(Path("maps").iterdir())) == len(photographs) - 1
    with pytest.raises(NotFinite, match=photographs[0].name):
        api.predict(api.load("models/plates"), photographs)


@broken
@pytest.mark.usefixtures("spoilt")
def test_a_registered_model_gives_no_verdict(tiny_model: FastFlow) -> None:
    served = ServedModel(TrainedDetector(model=tiny_model, threshold=THRESHOLD))
    with pytest.raises(NotFinite):
        served.predict(pd.DataFrame({"image": [png()]}))


@broken
def test_the_server_answers_500_with_a_reason_and_goes_on(number: float) -> None:
    class Spoilt(HeldDetector):
        def predict(self, images: Images, sizes: Sizes | None = None) -> Scores:
            found = super().predict(images, sizes)
            return found._replace(pred_score=np.full_like(found.pred_score, number))

    spoilt = Spoilt()
    spoilt.go.set()
    with client_of(spoilt, seconds=30, at_once=2) as client:
        for _ in range(2):
            answer = client.post("/score", content=png())
            assert answer.status_code == 500
            assert "its score is" in answer.json()["detail"]
            assert "pred_label" not in answer.json()


def test_a_label_of_nan_is_not_good(tiny_model: FastFlow) -> None:
    pixels = torch.zeros(1, 3, SIZE, SIZE, dtype=torch.uint8)
    graph = ScoringGraph(tiny_model, threshold=0.5)
    tiny_model.normal_center.fill_(math.nan)
    for name, buffer in graph.named_buffers():
        if "center" in name:
            buffer.fill_(math.nan)
    label = TrainedDetector(model=tiny_model, threshold=THRESHOLD).predict(pixels.numpy()).pred_label
    assert label.tolist() == [1]
    score, exported, _ = graph(pixels)
    assert (bool(score.isnan().all()), exported.tolist()) == (True, [1])


@broken
@pytest.mark.parametrize("tensor", ["normal_center", "normal_spread", "flows.0"])
def test_such_a_model_is_neither_saved_nor_exported(tiny_model: FastFlow, tensor: str, number: float) -> None:
    state = tiny_model.state_dict()
    key = next(key for key in state if key.startswith(tensor))
    state[key].view(-1)[0] = number
    with pytest.raises(ValueError, match="finite"):
        save_checkpoint(tiny_model, Path("nowhere"), category="plates", threshold=THRESHOLD)
    with pytest.raises(ValueError, match="finite"):
        ScoringGraph(tiny_model, threshold=0.5)


@broken
def test_nor_is_a_threshold(tiny_model: FastFlow, number: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        ScoringGraph(tiny_model, threshold=number)
    detector = TrainedDetector(model=FastFlow(tiny_config()), threshold=THRESHOLD)
    with pytest.raises(ValueError, match="image"):
        replace(detector, threshold=THRESHOLD | {"image": number})


@broken
@pytest.mark.parametrize("name", ["pred_score", "brightness"])
def test_drift_is_not_judged_by_such_figures(name: str, number: float) -> None:
    recent, then = sample(60, seed=1), sample(60, seed=2)
    recent.loc[3, name] = number
    with pytest.raises(BadData, match="recent"):
        judge(recent, then, threshold=2.5, usual_rejects=0.05, least=50)
    with pytest.raises(BadData, match="threshold"):
        judge(then, then, threshold=number, usual_rejects=0.05, least=50)


@pytest.mark.parametrize("now", [math.nan, 0.879, -math.inf])
def test_a_champion_whose_figure_is_lower_or_none_fails_its_check(now: float) -> None:
    require_not_worse("plates", {"image_auroc": 0.881}, {"image_auroc": "0.9"}, epsilon=0.02)
    with pytest.raises(Failed, match=r"was 0\.9000"):
        require_not_worse("plates", {"image_auroc": now}, {"image_auroc": "0.9"}, epsilon=0.02)


@pytest.mark.parametrize("text", ["nan", "inf", "", "0,9"])
def test_a_registry_tag_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Untrusted, match="example_score"):
        number_of({"example_score": text}, "example_score", of="plates/1")
    with pytest.raises(Failed, match="image_auroc"):
        require_not_worse("plates", {"image_auroc": 0.9}, {"image_auroc": text}, epsilon=0.02)
    assert number_of({}, "example_score", of="plates/1") is None


@pytest.mark.parametrize("word", [".nan", ".inf", "-.inf"])
def test_params_hold_finite_numbers(tmp_path: Path, word: str) -> None:
    text = (ROOT / "params.yaml").read_text()
    assert "image_auroc: 0.7 " in text
    (tmp_path / "params.yaml").write_text(text.replace("image_auroc: 0.7 ", f"image_auroc: {word} "))
    with pytest.raises(BadParams, match=r"gate\.image_auroc"):
        read_params(tmp_path / "params.yaml")


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("word", ["nan", "inf", ""])
def test_a_threshold_is_not_chosen_from_such_scores(word: str) -> None:
    Path("reports/plates").mkdir(parents=True)
    Path("reports/plates/scores.csv").write_text(f"image_path,gt_label,pred_score\na.png,1,{word}\nb.png,0,0.5\n")
    with pytest.raises(BadData, match=r"scores\.csv"):
        labelled_scores("plates", needed=False)
