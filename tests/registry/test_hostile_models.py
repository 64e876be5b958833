"""Model files that would run something: refused, and nothing of them runs."""

import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from fastflow.errors import BadData
from fastflow.files import folder_sha256
from pipelines.registry.registered import trusted_checkpoint, write_model
from pipelines.registry.registry import open_model
from tests.registry.kit import checkpoint, example

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]


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


def data_of_another_kind(model: Path) -> None:
    edit(model, data=["data/a"])


def flavors_in_a_list(model: Path) -> None:
    (model / "MLmodel").write_text("flavors: [python_function]\n")


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
    data_of_another_kind,
    flavors_in_a_list,
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
    open_model(model, sha256=folder_sha256(trusted_checkpoint(model)), example_score=None)
    spoil(model)
    digest = folder_sha256(model / "data/a") if hash_known and (model / "data/a").exists() else "0" * 64
    with pytest.raises(BadData):
        open_model(model, sha256=digest, example_score=None)
    assert not (folder / "canary").exists()


def test_a_version_registered_before_the_loader_moved_is_read(folder: Path) -> None:
    model = folder / "model"
    write_model(checkpoint(folder / "a", 1), model, example=example())
    edit(model, loader_module="pipelines.served_model")
    digest = folder_sha256(trusted_checkpoint(model))
    assert open_model(model, sha256=digest, example_score=None).threshold["image"] == 0.5


def test_the_canary_does_sing_when_unpickled(folder: Path) -> None:
    pickle.loads(pickle.dumps(Canary()))  # noqa: S301
    assert (folder / "canary").exists()
