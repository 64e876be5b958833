"""The registry: one version a content, and a champion that survives kills."""

import base64
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fastflow.errors import BadData
from pipelines.core.params import read_params
from pipelines.monitoring import doctor
from pipelines.promotion.rollback import rollback
from pipelines.registry import aliases, registry, store
from pipelines.registry.gc import gc
from pipelines.reporting.decision import in_words, read_decision
from pipelines.tracking.sync import sync
from tests.conftest import SIZE, free_port
from tests.registry.kit import NAME, champion_scores, checkpoint, example, register, version_of
from tests.stages import write_tiny_params
from tests.tracking.kit import start_server

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


def test_one_version_a_content_and_aliases_move_and_step_back(folder: Path) -> None:
    first = checkpoint(folder / "a", 1)
    for _ in range(3):
        register(first)
        sync()
    client = store.connect()
    assert [str(v.version) for v in aliases.versions(client, NAME)] == ["1"]
    aliases.crown(client, "plates", "1")
    register(checkpoint(folder / "b", 2))
    sync()
    assert (version_of("champion"), version_of("challenger")) == ("1", "2")
    with pytest.raises(ValueError, match="no previous champion; version 1 is champion"):
        rollback("plates")
    aliases.crown(client, "plates", "2")
    assert (version_of("champion"), version_of("previous"), version_of("challenger")) == ("2", "1", None)
    Path("reports/plates").mkdir(parents=True)
    assert rollback("plates") == "1"
    assert in_words(read_decision(Path("reports/plates"))) == "version 1 is champion again, version 2 no longer"
    assert (version_of("champion"), version_of("previous")) == ("1", "2")
    write_tiny_params(folder)  # of a category plates
    (folder / "models").mkdir()
    (folder / "b").rename(folder / "models/plates")
    (folder / "models/plates/run.json").write_text("{}")  # which no version holds
    (told_by_doctor,) = doctor.registry(read_params())
    assert told_by_doctor.message == "plates: version 1 is champion, models/plates is version 2"
    (folder / "models/plates/config.json").write_text("{}")
    (told_by_doctor,) = doctor.registry(read_params())
    assert told_by_doctor.message.endswith("models/plates is none of 2 versions")


def test_the_champion_answers_paths_bytes_arrays_and_frames_alike(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    expected = register(checkpoint(folder / "a", 1))
    sync()
    aliases.crown(store.connect(), "plates", "1")
    raw = base64.b64decode(example())
    (folder / "image.png").write_bytes(raw)
    pixels = np.asarray(Image.open(io.BytesIO(raw)))
    assert pixels.shape == (SIZE, SIZE, 3)
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    path = str(folder / "image.png")
    for given in (
        path,
        [path, path],
        raw,
        [raw],
        pd.DataFrame({"image": [pixels]}),
        pd.DataFrame({"image": [example()]}),
    ):
        assert model.predict(given)["pred_score"].tolist() == pytest.approx(
            [expected] * max(1, len(given) if isinstance(given, list) else 1)
        )


def test_an_artifact_that_was_changed_is_not_opened(folder: Path) -> None:
    register(checkpoint(folder / "a", 1))
    sync()
    (weights,) = (folder / ".mlflow/artifacts").rglob("data/a/flow.safetensors")
    spoiled = bytearray(weights.read_bytes())
    spoiled[-1] ^= 1
    weights.write_bytes(spoiled)
    with pytest.raises(BadData, match="the artifact was changed or damaged"):
        registry.open_version(store.connect(), "plates", "1")


def test_gc_keeps_what_is_named_and_the_newest(folder: Path) -> None:
    for seed in range(1, 6):
        register(checkpoint(folder / str(seed), seed))
        sync()
        if seed in (1, 2):
            aliases.crown(store.connect(), "plates", str(seed))
    before = sum(p.stat().st_size for p in (folder / ".mlflow/artifacts").rglob("*") if p.is_file())
    would = gc("plates", keep=1, dry_run=True)
    assert len(aliases.versions(store.connect(), NAME)) == 5
    assert gc("plates", keep=1, dry_run=False) == would > 0
    assert [str(v.version) for v in aliases.versions(store.connect(), NAME)] == ["5", "2", "1"]
    after = sum(p.stat().st_size for p in (folder / ".mlflow/artifacts").rglob("*") if p.is_file())
    assert before - after == would
    assert gc("plates", keep=1, dry_run=False) == 0
    registry.open_version(store.connect(), "plates", "2")


KILLED_AT = ["log_artifacts", "create_registered_model", "create_model_version", "set_registered_model_alias"]
KILLER = """
import os, signal, sys
from mlflow import MlflowClient
from pipelines.registry import aliases, store
from pipelines.tracking.sync import sync
name, when = sys.argv[1:3]
whole = getattr(MlflowClient, name)
def dying(*args, **kwargs):
    if when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        whole(*args, **kwargs)
    finally:
        os.kill(os.getpid(), signal.SIGKILL)
setattr(MlflowClient, name, dying)
if sys.argv[3] == "sync":
    sync()
else:
    aliases.crown(store.connect(), "plates", sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_kill_at_any_point_leaves_the_champion_as_it_was(folder: Path) -> None:
    first = register(checkpoint(folder / "a", 1))
    sync()
    aliases.crown(store.connect(), "plates", "1")
    register(checkpoint(folder / "b", 2))
    for name in KILLED_AT:
        for when in ("before", "after"):
            killed(name, when, "sync")
            assert version_of("champion") == "1"
            assert champion_scores() == pytest.approx(first)
    sync()
    assert [str(v.version) for v in aliases.versions(store.connect(), NAME)] == ["2", "1"]
    killed("set_registered_model_alias", "after", "2")  # `previous` has moved, `champion` not yet
    assert (version_of("champion"), version_of("previous")) == ("1", "1")
    assert champion_scores() == pytest.approx(first)


def killed(name: str, when: str, what: str) -> None:
    done = subprocess.run([sys.executable, "-c", KILLER, name, when, what], capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()[-2000:]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_registration_promotion_and_gc_go_through_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    server = start_server(folder, port)
    try:
        register(checkpoint(folder / "a", 1))
        expected = register(checkpoint(folder / "b", 2))
        sync()
        aliases.crown(store.connect(), "plates", "2")
        assert champion_scores() == pytest.approx(expected)
        assert gc("plates", keep=0, dry_run=False) > 100_000
        assert [str(v.version) for v in aliases.versions(store.connect(), NAME)] == ["2"]
        assert champion_scores() == pytest.approx(expected)
        assert not list((folder / "files").rglob("data/a/*.safetensors"))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait(120)
