"""params.yaml: as shipped it is valid, and each kind of slip is named."""

from pathlib import Path

import pytest

from fastflow.presets import preset
from pipelines.core.params import BadParams, read_params
from tests.conftest import ROOT, as_shipped

SHIPPED = (ROOT / "params.yaml").read_text()


def read_changed(tmp_path: Path, old: str, new: str) -> None:
    assert old in SHIPPED
    (tmp_path / "params.yaml").write_text(SHIPPED.replace(old, new, 1))
    read_params(tmp_path / "params.yaml")


def test_shipped_params_are_valid_and_make_a_model_config() -> None:
    params = read_params(ROOT / "params.yaml")
    assert preset(params.model.preset, **params.model.overrides).backbone == "tf_efficientnet_lite2.in1k"


@as_shipped
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  epochs:",
            "  epoch:",
            r"unknown key 'train\.epoch'; allowed here: .*epochs.*missing|missing key 'train\.epochs'",
        ),
        (
            "  epochs:",
            "  colour: red\n  epochs:",
            r"unknown key 'train\.colour'; allowed here: augment, .*epochs",
        ),
        ("seed: 0", "", "missing key 'seed'"),
        (
            "learning_rate: 0.004",
            "learning_rate: '0.004'",
            r"train\.learning_rate is '0.004' \(str\); it should be a valid",
        ),
        ("seed: 0", "seed: true", r"seed is True \(bool\)"),
        ("seed: 0", "seed: '0'", r"seed is '0' \(str\)"),
        (
            "  batch_size: 8",
            "  batch_size: 0",
            r"train\.batch_size is 0 \(int\); it should be greater than or equal to 1",
        ),
        ("  epochs: null", "  epochs: many", r"epochs is 'many' \(str\); .*valid integer.*, or null$"),
        ("batch_size: 8", "batch_size: four", r"batch_size is 'four' \(str\); .*a valid integer$"),
        ("categories: [weave", "categories: [../weave", r"data\.categories\.0 is '../weave'"),
        ("device: auto", "device: tpu", "device is 'tpu'"),
        ("seed: 0", "seed: [", "is not valid YAML"),
    ],
)
def test_slips_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(BadParams, match=message):
        read_changed(tmp_path, old, new)


def test_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadParams, match="run from the folder that holds it"):
        read_params(tmp_path / "params.yaml")
