"""The streaming metrics equal the functions, whatever the batches; and a category fits into 2 GiB."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from fastflow.metrics.image import image_auroc
from fastflow.metrics.pixel import pixel_metrics
from fastflow.metrics.streaming import ImageAUROC, PixelMetrics
from fastflow.metrics.value import Value


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_pixel_metrics_equal_the_function(batch_size: int) -> None:
    random = torch.Generator().manual_seed(0)
    maps = torch.randint(-40, 40, (7, 1, 12, 10), generator=random) / 2
    masks = (
        torch.rand(7, 1, 12, 10, generator=random) < torch.tensor([0, 0.2, 0.1, 0, 0.5, 0, 0.3])[:, None, None, None]
    )
    metric = PixelMetrics()
    for a, m in zip(torch.split(maps, batch_size), torch.split(masks, batch_size), strict=True):
        metric.update(a, m)
    expected = pixel_metrics(list(maps[:, 0].numpy()), list(masks[:, 0].numpy()))
    assert metric.compute() == expected
    assert None not in [value for value, _ in expected.values()]
    metric.reset()
    metric.update(maps, masks)
    assert metric.compute() == expected


def test_maps_of_different_sizes_and_without_a_mask() -> None:
    random = np.random.default_rng(0)
    maps = [random.random(size, np.float32) for size in ((4, 5), (9, 3), (6, 6))]
    masks = [None, random.random((9, 3)) < 0.5, (random.random((6, 6)) < 0.3).astype(np.uint8)]
    metric = PixelMetrics(fpr_limits=(0.1,))
    for a, m in zip(maps, masks, strict=True):
        metric.update(torch.from_numpy(a), None if m is None else torch.from_numpy(m))
    assert metric.compute() == pixel_metrics(maps, masks, fpr_limits=(0.1,))
    assert list(metric.compute()) == ["pixel_auroc", "pixel_ap", "pixel_f1_max_oracle", "aupro_01"]


def test_it_keeps_copies() -> None:
    shared = torch.zeros(2, 2)
    metric = PixelMetrics()
    metric.update(shared, None)
    shared.fill_(5)
    metric.update(torch.ones(1, 1), torch.ones(1, 1))
    assert metric.compute()["pixel_auroc"] == Value(1.0)


def test_states_joined_by_a_synchronisation_give_the_same() -> None:
    metric = PixelMetrics()
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        metric.update(torch.rand(6, 6, generator=random), torch.rand(6, 6, generator=random) < 0.3)
    expected = metric.compute()
    metric.reset()
    for seed in range(3):
        random = torch.Generator().manual_seed(seed)
        metric.update(torch.rand(6, 6, generator=random), torch.rand(6, 6, generator=random) < 0.3)
    for name in ("background", "defect", "region_size"):
        setattr(metric, name, torch.cat(getattr(metric, name)))
    assert metric.compute() == expected


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_image_auroc_ranks_raw_scores_in_any_batches(batch_size: int) -> None:
    scores = torch.tensor([20.0, 0.1, -3.0, 60.0, 1.3, 0.4, 20.0, 7.0])
    labels = torch.tensor([0, 0, 1, 1, 0, 1, 1, 0])
    metric = ImageAUROC()
    for s, label in zip(torch.split(scores, batch_size), torch.split(labels, batch_size), strict=True):
        metric.update(s, label)
    assert metric.compute() == image_auroc(scores.numpy(), labels.numpy())
    assert metric.compute().value == pytest.approx(8.5 / 16)  # counted by hand


def test_undefined_is_none_with_a_reason() -> None:
    pixels, images = PixelMetrics(), ImageAUROC()
    pixels.update(torch.ones(2, 2), None)
    images.update(torch.ones(2), torch.ones(2, dtype=torch.int64))
    assert set(pixels.compute().values()) == {Value(None, "there is no anomalous pixel")}
    assert images.compute() == Value(None, "there is no normal image")


def test_bad_input_is_refused_and_names_the_image() -> None:
    pixels, images = PixelMetrics(), ImageAUROC()
    pixels.update(torch.ones(3, 1, 2, 2), None)
    bad = torch.tensor([[1.0, float("nan")]])
    with pytest.raises(ValueError, match="image 3: 1 of 2 scores"):
        pixels.update(bad, None)
    with pytest.raises(ValueError, match=r"bad\.png: 1 of 2 scores"):
        pixels.update(bad, None, image_paths=["bad.png"])
    with pytest.raises(ValueError, match=r"anomaly_map has shape \(1, 2\), gt_mask \(2, 1\)"):
        pixels.update(torch.ones(1, 2), torch.ones(2, 1))
    with pytest.raises(ValueError, match="1 images but 2 image paths"):
        pixels.update(torch.ones(1, 2), None, image_paths=["a", "b"])
    with pytest.raises(ValueError, match="fpr_limit: got 0"):
        PixelMetrics(fpr_limits=(0,))
    images.update(torch.ones(2), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="image 3: pred_score is nan"):
        images.update(torch.tensor([1.0, float("nan")]), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="image 2: gt_label is 2"):
        images.update(torch.tensor([1.0]), torch.tensor([2]))


DATA = """
import numpy as np

def image(index):
    random = np.random.default_rng(index)
    mask = np.zeros((1024, 1024), bool)
    if index % 4:
        mask[100:300, 200:400] = True
    return random.random((1024, 1024), np.float32) + mask / np.float32(8), mask
"""
FUNCTION = """
from fastflow.metrics.pixel import pixel_metrics
images = [image(index) for index in range(160)]
metrics = pixel_metrics([a for a, _ in images], [m for _, m in images])
"""
STREAMING = """
import torch
from fastflow.metrics.streaming import PixelMetrics
metric = PixelMetrics()
for index in range(160):
    a, m = image(index)
    metric.update(torch.from_numpy(a), torch.from_numpy(m))
metrics = metric.compute()
"""
REPORT = """
assert 0.5 < metrics["pixel_auroc"].value < 0.7, metrics
# VmHWM and not ru_maxrss: the latter starts with what the process that forked us held
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(status["VmHWM"].split()[0])
"""


@pytest.mark.slow
@pytest.mark.parametrize("how", [FUNCTION, STREAMING], ids=["function", "streaming"])
def test_160_maps_of_1024_pixels_fit_into_2_gib(how: str) -> None:
    done = subprocess.run([sys.executable, "-c", DATA + how + REPORT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    peak_kib = int(done.stdout)
    assert 0.67e9 < peak_kib * 1024 < 2 * 2**30
