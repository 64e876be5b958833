"""Image metrics and curves against their definitions by brute force and against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sklearn
from torchmetrics.functional.classification import binary_auroc

from fastflow.metrics.image import image_ap, image_auroc, image_f1_max, pr_curve, roc_curve
from fastflow.metrics.value import Value

Floats = NDArray[np.float64]
quick = settings(deadline=None, max_examples=50)

# few distinct scores, so that ties are the rule
scored = st.lists(st.tuples(st.integers(0, 5).map(lambda k: k / 3), st.booleans()), min_size=2, max_size=30)
both_classes = scored.filter(lambda pairs: len({label for _, label in pairs}) == 2).map(
    lambda pairs: (np.array([s for s, _ in pairs]), np.array([int(label) for _, label in pairs]))
)


def number(value: Value) -> float:
    assert value.value is not None
    assert value.reason == ""
    return value.value


def pairwise_auroc(scores: Floats, labels: NDArray[np.int64]) -> float:
    wins = [(a > n) + (a == n) / 2 for a in scores[labels == 1] for n in scores[labels == 0]]
    return float(np.mean(wins))


@quick
@given(both_classes)
def test_metrics_equal_definition_and_scikit_learn(case: tuple[Floats, NDArray[np.int64]]) -> None:
    scores, labels = case
    assert number(image_auroc(scores, labels)) == pytest.approx(pairwise_auroc(scores, labels), abs=1e-12)
    assert number(image_auroc(scores, labels)) == pytest.approx(sklearn.roc_auc_score(labels, scores), abs=1e-12)
    precision = sklearn.average_precision_score(labels, scores)
    assert number(image_ap(scores, labels)) == pytest.approx(precision, abs=1e-12)
    precisions, recalls, _ = sklearn.precision_recall_curve(labels, scores)
    best = np.max(2 * precisions * recalls / np.maximum(precisions + recalls, 1e-12))
    assert number(image_f1_max(scores, labels)) == pytest.approx(best, abs=1e-12)


@quick
@given(both_classes)
def test_curves_have_a_row_for_each_distinct_score(case: tuple[Floats, NDArray[np.int64]]) -> None:
    scores, labels = case
    roc, pr = roc_curve(scores, labels), pr_curve(scores, labels)
    assert list(roc.columns) == ["fpr", "tpr", "threshold"]
    assert list(pr.columns) == ["recall", "precision", "threshold"]
    assert tuple(roc.iloc[0]) == (0, 0, np.inf)
    assert tuple(roc.iloc[-1][["fpr", "tpr"]]) == (1, 1)
    distinct = sorted(set(scores), reverse=True)
    assert list(roc.threshold[1:]) == list(pr.threshold) == distinct
    for fpr, tpr, threshold in roc.to_numpy():
        assert tpr == pytest.approx(np.mean(scores[labels == 1] >= threshold))
        assert fpr == pytest.approx(np.mean(scores[labels == 0] >= threshold))
    for recall, precision, threshold in pr.to_numpy():
        assert precision == pytest.approx(np.mean(labels[scores >= threshold]))
        assert recall == pytest.approx(np.mean(scores[labels == 1] >= threshold))
    area = np.trapezoid(roc.tpr, roc.fpr)
    assert area == pytest.approx(number(image_auroc(scores, labels)), abs=1e-12)


@quick
@given(both_classes)
def test_an_increasing_map_of_the_scores_changes_nothing(case: tuple[Floats, NDArray[np.int64]]) -> None:
    scores, labels = case
    for metric in (image_auroc, image_ap, image_f1_max):
        assert metric(scores, labels) == metric(np.exp(scores) - 100, labels) == metric(-1 / (1 + scores), labels)


def test_scores_outside_0_1_are_ranked_as_they_are() -> None:
    scores, labels = np.linspace(20, 60, 1000), np.arange(1000) >= 500
    silent = binary_auroc(torch.tensor(scores, dtype=torch.float32), torch.tensor(labels).int())
    assert silent == 0.5  # torchmetrics applies a sigmoid unasked, which is why we do not use its function
    assert image_auroc(scores, labels) == Value(1.0)


def test_hand_made_cases() -> None:
    assert image_auroc(np.array([1, 2, 2, 3]), np.array([0, 0, 1, 1])) == Value(0.875)
    assert image_auroc(np.full(4, 7.0), np.array([0, 0, 0, 1])) == Value(0.5)
    assert image_ap(np.full(4, 7.0), np.array([0, 0, 0, 1])) == Value(0.25)
    assert image_f1_max(np.full(4, 7.0), np.array([0, 0, 0, 1])) == Value(0.4)
    assert image_auroc(np.array([3.0, 1.0]), np.array([0, 1])) == Value(0.0)
    assert image_auroc(np.array([-0.0, 0.0]), np.array([0, 1])) == Value(0.5)


def test_undefined_is_none_with_a_reason() -> None:
    scores = np.array([0.1, 0.2])
    no_anomaly, no_normal = np.array([0, 0]), np.array([1, 1])
    missing = Value(None, "there is no anomalous image")
    for metric in (image_auroc, image_ap, image_f1_max):
        assert metric(scores, no_anomaly) == metric(np.array([]), np.array([])) == missing
    assert image_auroc(scores, no_normal) == Value(None, "there is no normal image")
    assert image_ap(scores, no_normal) == image_f1_max(scores, no_normal) == Value(1.0)
    assert len(roc_curve(scores, no_anomaly)) == len(roc_curve(scores, no_normal)) == 0
    assert len(pr_curve(scores, no_anomaly)) == 0
    assert len(pr_curve(scores, no_normal)) == 2


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("function", [image_auroc, image_ap, image_f1_max, roc_curve, pr_curve])
def test_scores_that_are_not_finite_are_refused(function: object, bad: float) -> None:
    assert callable(function)
    scores, labels = np.array([1.0, bad, 2.0]), np.array([0, 1, 1])
    with pytest.raises(ValueError, match=r"image 1: pred_score is .*finite"):
        function(scores, labels)
    with pytest.raises(ValueError, match=r"b\.png: pred_score is "):
        function(scores, labels, image_paths=["a.png", "b.png", "c.png"])


def test_labels_and_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match=r"image 2: gt_label is 2; it must be 0 \(normal\) or 1"):
        image_auroc(np.zeros(3), np.array([0, 1, 2]))
    with pytest.raises(ValueError, match=r"shape \(3,\), gt_label \(2,\)"):
        image_auroc(np.zeros(3), np.array([0, 1]))
    with pytest.raises(ValueError, match=r"give two of shape \(N,\)"):
        image_auroc(np.zeros((3, 1)), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="1 image paths"):
        image_auroc(np.zeros(2), np.array([0, 1]), image_paths=["a.png"])
