"""Training: repeatable, honest about non-finite losses, and it finds a defect it has never seen."""

import copy
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from fastflow.augment import Augmented
from fastflow.crossfit import score_normal
from fastflow.data import read_pictures
from fastflow.decode import read_mask
from fastflow.errors import NonFiniteLoss
from fastflow.evaluation import measure, score_images
from fastflow.features import extract_features
from fastflow.frame import Frame
from fastflow.index import list_category
from fastflow.model import FastFlow
from fastflow.operating import operating_point
from fastflow.score import SCORES
from fastflow.train import Training, calibrate, rate_factor
from tests.conftest import detector_of, tiny_config, write_plates

CPU = torch.device("cpu")
SETTINGS = {"batch_size": 4, "learning_rate": 0.002, "weight_decay": 0.00001}


def train_on(folder: Path, *, epochs: int, seed: int = 0) -> tuple[FastFlow, list[float]]:
    torch.manual_seed(seed)
    model = FastFlow(tiny_config())
    index = list_category(folder).query("split == 'train'")
    features = extract_features(model, [folder / p for p in index["image_path"]], batch_size=4, device=CPU)
    training = Training(model, torch.arange(len(index)), epochs=epochs, seed=seed, **SETTINGS)  # type: ignore[arg-type]
    losses = [epoch.loss for epoch in training.run(features)]
    calibrate(model, features, batch_size=4)
    return model, losses


def test_trained_model_finds_unseen_squares(plates: Path) -> None:
    model, losses = train_on(plates, epochs=12)
    assert losses[-1] < losses[0]
    index = list_category(plates).query("split == 'test'").reset_index(drop=True)
    scored = score_images(detector_of(model), [plates / p for p in index["image_path"]], batch_size=3)
    metrics = measure(index, scored, plates)
    for name in ("image_auroc", "pixel_auroc", "aupro"):
        assert (metrics[name].value or 0) > 0.9, metrics
    for i in np.flatnonzero(index["gt_label"]):  # the peak of the map lies in the square, or at its very edge
        row, column = np.unravel_index(scored.anomaly_maps[i].argmax(), scored.anomaly_maps[i].shape)
        mask = read_mask(plates / index["mask_path"][i])
        assert mask[max(0, row - 4) : row + 5, max(0, column - 4) : column + 5].any()


def test_one_seed_gives_one_model_and_another_seed_another(plates: Path) -> None:
    first, _ = train_on(plates, epochs=2)
    again, _ = train_on(plates, epochs=2)
    other, _ = train_on(plates, epochs=2, seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True))
    assert not torch.equal(first.normal_center, other.normal_center)


def test_features_do_not_depend_on_the_batch_size(plates: Path, tiny_model: FastFlow) -> None:
    paths = sorted((plates / "train/good").iterdir())
    one = extract_features(tiny_model, paths, batch_size=1, device=CPU)
    many = extract_features(tiny_model, paths, batch_size=5, device=CPU)
    for a, b in zip(one, many, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_the_number_of_decoding_threads_changes_nothing(plates: Path, workers: int) -> None:
    paths = [*sorted((plates / "train/good").iterdir()), *sorted((plates / "test/square").iterdir())]
    images = read_pictures(paths, Frame(48, 40), workers=workers).images
    for image, path in zip(images, paths, strict=True):
        expected = Image.open(path).convert("RGB").resize((40, 48), Image.Resampling.BILINEAR)
        assert np.array_equal(image.permute(1, 2, 0).numpy(), np.asarray(expected))


def test_a_training_taken_up_after_any_step_ends_with_the_bits_of_one_that_was_not_interrupted(
    plates: Path, tiny_model: FastFlow
) -> None:
    features = extract_features(tiny_model, sorted((plates / "train/good").iterdir()), batch_size=8, device=CPU)
    settings = SETTINGS | {"batch_size": 3, "epochs": 2, "seed": 0}  # 8 images: steps of 3, 3 and 2

    def begun() -> Training:
        return Training(copy.deepcopy(tiny_model), torch.arange(8), **settings)  # type: ignore[arg-type]

    states: list[dict[str, Tensor]] = []
    whole = begun()
    list(whole.run(features, on_step=lambda: states.append({k: v.clone() for k, v in whole.state().items()})))
    assert len(states) == 6
    for state in states[:-1]:
        resumed = begun()
        resumed.restore(state)
        list(resumed.run(features))
        for a, b in zip(resumed.parameters, whole.parameters, strict=True):
            assert torch.equal(a, b), state["numbers"]
        assert [e.loss for e in resumed.done] == [e.loss for e in whole.done]


def test_learning_rate_warms_up_and_ends_at_zero() -> None:
    rates = [rate_factor(step, total=100) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0, abs=0.03)
    assert rates[50] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0.0)
    assert all(a >= b for a, b in pairwise(rates[10:]))


def test_non_finite_loss_ends_the_training_with_its_reason(plates: Path, tiny_model: FastFlow) -> None:
    features = [torch.randn(4, 64, 16, 16), torch.full((4, 128, 8, 8), torch.nan)]
    with pytest.raises(NonFiniteLoss, match=r"the loss is nan in epoch 1; lower train\.learning_rate"):
        list(Training(tiny_model, torch.arange(4), epochs=1, seed=0, **SETTINGS).run(features))  # type: ignore[arg-type]


def test_calibration_puts_the_99_percent_quantile_of_good_positions_at_the_center(plates: Path) -> None:
    model, _ = train_on(plates, epochs=1)
    index = list_category(plates).query("split == 'train'")
    features = extract_features(model, [plates / p for p in index["image_path"]], batch_size=8, device=CPU)
    with torch.no_grad():
        for scale, (z, log_det) in enumerate(model.latents(features)):
            weight = SCORES["likelihood"].log_det_weight
            nll = -torch.distributions.Normal(0.0, 1.0).log_prob(z).mean(dim=1) - weight * log_det / z.shape[1]
            assert (nll <= model.normal_center[scale] + 1e-5).float().mean() == pytest.approx(0.99, abs=0.01)
            assert model.normal_spread[scale].item() == pytest.approx(nll.std().item(), rel=1e-3)


def test_operating_point_is_that_of_good_pixels_and_scores(plates: Path) -> None:
    model, _ = train_on(plates, epochs=1)
    paths = sorted((plates / "train/good").iterdir())
    features = extract_features(model, paths, batch_size=8, device=CPU)
    normal = score_normal(model, features, batch_size=3)
    found = operating_point(normal, false_reject_rate=0.2, bounds=model.rule.bounds)
    scored = score_images(detector_of(model), paths, batch_size=8)
    assert (np.stack(scored.anomaly_maps) <= found["pixel"]).mean() == pytest.approx(0.999, abs=2e-3)
    assert (np.stack(scored.anomaly_maps) <= found["low"]).mean() == pytest.approx(0.5, abs=0.01)
    assert found["image"] == pytest.approx(np.sort(scored.pred_score)[7], rel=1e-4)  # rank ceil(9 * 0.8) of 8
    assert found["guarantee"].startswith("none")


def test_pixel_metrics_without_masks_are_undefined_with_a_reason(tmp_path: Path, tiny_model: FastFlow) -> None:
    folder = write_plates(tmp_path / "bare", num_train=2, num_test=2)
    index = list_category(folder).query("split == 'test'").reset_index(drop=True).assign(mask_path="")
    scored = score_images(detector_of(tiny_model), [folder / p for p in index["image_path"]], batch_size=4)
    metrics = measure(index, scored, folder)
    assert metrics["image_auroc"].value is not None
    assert metrics["aupro"] == (None, "a defective image without mask")
    good = index[index["gt_label"] == 0].reset_index(drop=True)
    scored = score_images(detector_of(tiny_model), [folder / p for p in good["image_path"]], batch_size=4)
    undefined = measure(good, scored, folder)
    assert all(value.value is None and value.reason for value in undefined.values())


def trained_weights(
    features: list[torch.Tensor], *, augmented: Augmented | None = None, **changes: object
) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    model = FastFlow(tiny_config())
    settings: dict[str, object] = SETTINGS | {"epochs": 2, "seed": 0} | changes
    training = Training(model, torch.arange(len(features[0])), **settings)  # type: ignore[arg-type]
    list(training.run(features, augmented=augmented))
    return model.flows.state_dict()


def distance(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> float:
    return max((a[key].double() - b[key].double()).abs().max().item() for key in a)


def test_micro_batches_change_the_rounding_alone() -> None:
    features = [torch.randn(7, 64, 16, 16), torch.randn(7, 128, 8, 8)]
    whole = trained_weights(features, micro_batch=4)
    assert distance(whole, trained_weights(features, micro_batch=1)) < 2e-4
    assert distance(whole, trained_weights(features, micro_batch=4, learning_rate=0.003)) > 1e-3


def test_memory_that_runs_out_halves_the_micro_batch_and_loses_no_step(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    features = [torch.randn(6, 64, 16, 16), torch.randn(6, 128, 8, 8)]
    expected = trained_weights(features, micro_batch=1)
    real = FastFlow.loss

    def small(self: FastFlow, part: list[torch.Tensor]) -> torch.Tensor:
        if len(part[0]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, part)

    monkeypatch.setattr(FastFlow, "loss", small)
    assert distance(expected, trained_weights(features, micro_batch=4)) == 0
    assert [record.args for record in caplog.records] == [(2,), (1,)]

    def never(self: FastFlow, part: list[torch.Tensor]) -> torch.Tensor:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99999999 bytes")

    monkeypatch.setattr(FastFlow, "loss", never)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        trained_weights(features, micro_batch=4)


def test_bfloat16_stays_near_float32_and_is_not_it(tiny_model: FastFlow) -> None:
    features = [torch.randn(2, 64, 16, 16), torch.randn(2, 128, 8, 8)]
    exact = tiny_model.loss(features).item()
    with torch.autocast("cpu", torch.bfloat16):
        latents = tiny_model.latents(features)
        rounded = tiny_model.loss(features).item()
    assert all(z.dtype == log_det.dtype == torch.float32 for z, log_det in latents)
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=1e-3)
    full = trained_weights(features)
    assert 0 < distance(full, trained_weights(features, precision="bf16")) < 0.02
    assert distance(full, trained_weights(features, precision="auto")) in (
        0,
        distance(full, trained_weights(features, precision="bf16")),
    )
    with pytest.raises(ValueError, match="precision is 'half'; allowed: auto, fp32, bf16"):
        trained_weights(features, precision="half")


def test_augmented_training_sees_what_it_is_given_and_nothing_else() -> None:
    features = [torch.randn(4, 64, 16, 16), torch.randn(4, 128, 8, 8)]
    asked: list[int] = []

    def mirrored(rows: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
        asked.extend(rows.tolist())
        return [f[rows].flip(3) for f in features]

    found = trained_weights([torch.full_like(f, torch.nan) for f in features], augmented=mirrored)
    assert sorted(asked) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert distance(found, trained_weights([f.flip(3) for f in features])) == 0
