"""--sha256: a model that is held to a hash is that one or none, by whatever name it is opened."""

from pathlib import Path

import pytest

from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.files import file_sha256
from fastflow.model import FastFlow
from fastflow.sealed import CONFIG, read_config, write_threshold
from pipelines.core.stage import Failed
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.serving.convert import convert
from pipelines.serving.models import Models, Source, sources_of
from pipelines.tracking.sync import sync
from tests.conftest import THRESHOLD, fastflow, write_plates
from tests.registry.kit import checkpoint, register

MODEL = Path("models/plates")


@pytest.fixture
def known(folder: Path, tiny_model: FastFlow) -> str:
    """The sha256 of a model whose threshold was changed since, by one who can seal it."""
    save_checkpoint(tiny_model, MODEL, category="plates", threshold=THRESHOLD)
    before = file_sha256(MODEL / CONFIG)
    write_threshold(MODEL, read_config(MODEL)["threshold"] | {"image": 0.9})
    return before


def test_score_refuses_another_model_before_it_writes_anything(
    known: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = write_plates(folder / "plates", num_train=1, num_test=1) / "test"
    command = ["score", images, "--model", "plates", "--to", "scores.csv"]
    assert fastflow(*command, "--sha256", known) == 3
    assert f"its sha256 is {file_sha256(MODEL / CONFIG)}, not {known}" in capsys.readouterr().err
    assert not Path("scores.csv").exists()
    assert fastflow(*command, "--sha256", "abc") == 2
    assert fastflow(*command, "--sha256", file_sha256(MODEL / CONFIG)) == 0


def test_the_servers_own_process_refuses_it_too(known: str) -> None:
    with pytest.raises(BadData, match=f"not {known}"):
        convert("plates", Path("to"), sha256=known)
    assert not Path("to").exists()


@pytest.mark.slow
def test_a_server_starts_with_no_other(known: str, folder: Path) -> None:
    with pytest.raises(Failed, match=f"not {known}"):
        Models([Source("plates", "plates", known)], folder / "scratch", threads=1)


@pytest.mark.slow
def test_a_category_that_is_a_path_leads_to_no_folder_of_others(folder: Path, tiny_model: FastFlow) -> None:
    others = folder / "others" / "photographs.txt"
    others.parent.mkdir()
    others.touch()
    for category in (str(others.parent), "../others"):
        save_checkpoint(tiny_model, folder / "strange", category=category, threshold=THRESHOLD)
        with pytest.raises(Failed, match="not the one asked for"):  # not even the one that the person meant
            Models([Source(category, str(folder / "strange"), "0" * 64)], folder / "scratch", threads=1)
        assert others.is_file()


def test_each_served_model_has_its_own() -> None:
    def of(name: str, sha256: str) -> str:
        assert sha256 in ("", {"a": "1", "b": "2"}[name])
        return {"a": "bottle", "b": "cable"}[name]

    assert [source.sha256 for source in sources_of(["a", "b"], [], of)] == ["", ""]
    assert [(s.category, s.sha256) for s in sources_of(["a", "b"], ["1", "2"], of)] == [("bottle", "1"), ("cable", "2")]
    with pytest.raises(ValueError, match="2 --model and 1 --sha256: give one for each model, in the same order"):
        sources_of(["a", "b"], ["1"], of)


@pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
def test_a_registered_version_is_held_to_it(folder: Path) -> None:
    register(path := checkpoint(folder / "a", 1))
    sync()
    with checkpoint_of("models:/fastflow-plates/1", sha256=file_sha256(path / CONFIG)) as named:
        assert named.open().threshold["image"] == 0.5
    with pytest.raises(BadData, match="is not the one asked for"), checkpoint_of(
        "models:/fastflow-plates/1", sha256="0" * 64
    ):  # fmt: skip
        pass
