"""The registry: one version a content, a champion that survives kills, and model files that cannot run anything."""

import base64
import io
import os
import pickle
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.files import folder_sha256
from pipelines.core.params import read_params
from pipelines.monitoring import doctor
from pipelines.promotion.rollback import rollback
from pipelines.registry import aliases, registry, store
from pipelines.registry.gc import gc
from pipelines.registry.registered import checkpoint_of, write_model
from pipelines.registry.registry import open_model
from pipelines.registry.served_model import load_served
from pipelines.reporting.decision import in_words, read_decision
from pipelines.tracking import runs
from pipelines.tracking.sync import sync
from tests.conftest import SIZE, draw_square, free_port, shake, tiny_config
from tests.test_stages import write_tiny_params
from tests.tracking.test_tracking import start_server

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
NAME = "fastflow-plates"


def example() -> str:
    file = io.BytesIO()
    Image.fromarray(draw_square(seed=3, defect=False)[0]).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def checkpoint(folder: Path, seed: int) -> Path:
    from fastflow.model import FastFlow

    torch.manual_seed(seed)
    model = FastFlow(tiny_config(flow_steps=1, layers=[1]))
    shake(model.flows, scale=0.02)
    save_checkpoint(model, folder, seed=seed, threshold={"image": 0.5, "pixel": 0.6, "low": 0.1})
    return folder


def told(path: Path) -> float:
    """Journals the registration of a checkpoint, as an evaluation does; returns its example's score."""
    score = float(load_served(path).predict(pd.DataFrame({"image": [example()]}))["pred_score"].iloc[0])
    with runs.continued_run(folder_sha256(path)[:32], "plates evaluated", tags={}) as run:
        tags = {"example_pred_score": repr(score)}
        run.log_model(path, category="plates", example=example(), tags=tags, description="a card")
    return score


def version_of(which: str) -> str | None:
    return aliases.alias(store.connect(), NAME, which)


def test_one_version_a_content_and_aliases_move_and_step_back(folder: Path) -> None:
    first = checkpoint(folder / "a", 1)
    for _ in range(3):
        told(first)
        sync()
    client = store.connect()
    assert [str(v.version) for v in aliases.versions(client, NAME)] == ["1"]
    aliases.crown(client, "plates", "1")
    told(checkpoint(folder / "b", 2))
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
    expected = told(checkpoint(folder / "a", 1))
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
    told(checkpoint(folder / "a", 1))
    sync()
    (weights,) = (folder / ".mlflow/artifacts").rglob("data/a/flow.safetensors")
    spoiled = bytearray(weights.read_bytes())
    spoiled[-1] ^= 1
    weights.write_bytes(spoiled)
    with pytest.raises(BadData, match="the artifact was changed or damaged"):
        registry.open_version(store.connect(), "plates", "1")


def test_gc_keeps_what_is_named_and_the_newest(folder: Path) -> None:
    for seed in range(1, 6):
        told(checkpoint(folder / str(seed), seed))
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
    first = told(checkpoint(folder / "a", 1))
    sync()
    aliases.crown(store.connect(), "plates", "1")
    told(checkpoint(folder / "b", 2))
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


def champion_scores() -> float:
    model = mlflow.pyfunc.load_model(f"models:/{NAME}@champion")
    return float(model.predict(pd.DataFrame({"image": [example()]}))["pred_score"].iloc[0])


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_registration_promotion_and_gc_go_through_a_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    server = start_server(folder, port)
    try:
        told(checkpoint(folder / "a", 1))
        expected = told(checkpoint(folder / "b", 2))
        sync()
        aliases.crown(store.connect(), "plates", "2")
        assert champion_scores() == pytest.approx(expected)
        assert gc("plates", keep=0, dry_run=False) > 100_000
        assert [str(v.version) for v in aliases.versions(store.connect(), NAME)] == ["2"]
        assert champion_scores() == pytest.approx(expected)
        assert not list((folder / "files").rglob("data/a/*.safetensors"))
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


class Canary:
    """Unpickling it makes a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("canary").absolute(),))


def pickled_weights(model: Path) -> None:
    (model / "data/a/flow.safetensors").write_bytes(pickle.dumps(Canary()))


def torch_weights(model: Path) -> None:
    torch.save({"a": Canary()}, model / "data/a/flow.pth")


def zipped_weights(model: Path) -> None:
    with zipfile.ZipFile(model / "data/a/flow.safetensors", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Canary()))


def edit(model: Path, **values: object) -> None:
    found = yaml.safe_load((model / "MLmodel").read_text())
    found["flavors"]["python_function"] |= values
    (model / "MLmodel").write_text(yaml.safe_dump(found))


def other_loader(model: Path) -> None:
    (model / "code").mkdir()
    (model / "code/evil.py").write_text("from pathlib import Path\nPath('canary').touch()\n")
    edit(model, loader_module="evil", code="code")


def code_beside_our_loader(model: Path) -> None:
    (model / "code/pipelines/registry").mkdir(parents=True)
    (model / "code/pipelines/registry/served_model.py").write_text("from pathlib import Path\nPath('canary').touch()\n")
    edit(model, code="code")


def pickled_python_model(model: Path) -> None:
    (model / "python_model.pkl").write_bytes(pickle.dumps(Canary()))
    edit(model, loader_module="mlflow.pyfunc.model", python_model="python_model.pkl")


def way_out(model: Path) -> None:
    shutil.move(str(model / "data/a"), str(model.parent / "outside"))
    edit(model, data="../outside")


def absolute_way_out(model: Path) -> None:
    edit(model, data=str(model / "data/a"))


def link_out(model: Path) -> None:
    shutil.move(str(model / "data/a"), str(model.parent / "outside"))
    (model / "data/a").symlink_to(model.parent / "outside")


def yaml_object(model: Path) -> None:
    (model / "MLmodel").write_text("!!python/object/apply:pathlib.Path.touch [canary]\n")


def other_flavor(model: Path) -> None:
    found = yaml.safe_load((model / "MLmodel").read_text())
    found["flavors"]["sklearn"] = {"pickled_model": "model.pkl"}
    (model / "MLmodel").write_text(yaml.safe_dump(found))


HOSTILE = [
    pickled_weights,
    torch_weights,
    zipped_weights,
    other_loader,
    code_beside_our_loader,
    pickled_python_model,
    way_out,
    absolute_way_out,
    link_out,
    yaml_object,
    other_flavor,
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("hash_known", [False, True])
def test_hostile_model_files_are_refused_and_run_nothing(
    folder: Path, spoil: Callable[[Path], None], hash_known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the attacker could write the recorded hash, too."""
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    model = folder / "model"
    write_model(checkpoint(folder / "a", 1), model, example=example())
    open_model(model, sha256=folder_sha256(checkpoint_of(model)), example_score=None)
    spoil(model)
    digest = folder_sha256(model / "data/a") if hash_known and (model / "data/a").exists() else "0" * 64
    with pytest.raises(BadData):
        open_model(model, sha256=digest, example_score=None)
    assert not (folder / "canary").exists()


def test_the_canary_does_sing_when_unpickled(folder: Path) -> None:
    pickle.loads(pickle.dumps(Canary()))  # noqa: S301
    assert (folder / "canary").exists()
