"""Model files that would run something: refused, and nothing of them runs."""

import base64
import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
import yaml

from fastflow.errors import BadData
from fastflow.files import folder_sha256
from pipelines.registry.registered import Untrusted, trusted_checkpoint, verified_checkpoint, write_model
from pipelines.registry.registry import example_file, open_model
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


def link_on_the_way(model: Path) -> None:
    shutil.move(str(model / "data"), str(model.parent / "outside"))
    (model / "data").symlink_to(model.parent / "outside")


def nothing_there(model: Path) -> None:
    edit(model, data="data/b")


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
    link_on_the_way,
    nothing_there,
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
    places = [model / "data/a", folder / "outside"]  # of the checkpoint, also where it was moved out
    known = [folder_sha256(place) for place in places if hash_known and place.is_dir()]
    digest = known[0] if known else "0" * 64
    with pytest.raises(BadData):
        open_model(model, sha256=digest, example_score=None)
    assert not (folder / "canary").exists()


def test_a_version_registered_before_the_loader_moved_is_read(folder: Path) -> None:
    model = folder / "model"
    write_model(checkpoint(folder / "a", 1), model, example=example())
    edit(model, loader_module="pipelines.served_model")
    digest = folder_sha256(trusted_checkpoint(model))
    assert open_model(model, sha256=digest, example_score=None)[0].threshold["image"] == 0.5


def test_a_folder_behind_a_link_is_as_good_as_the_folder(folder: Path) -> None:
    model = folder / "disk/model"
    write_model(checkpoint(folder / "a", 1), model, example=example())
    (folder / "link").symlink_to(folder / "disk")
    assert trusted_checkpoint(folder / "link/model") == folder / "link/model/data/a"
    (folder / "a_model").symlink_to(model)
    assert trusted_checkpoint(folder / "a_model") == folder / "a_model/data/a"


def test_what_is_written_tells_others_how_to_ask_the_model(folder: Path) -> None:
    write_model(checkpoint(folder / "a", 1), folder / "model", example=example())
    written = yaml.safe_load((folder / "model/MLmodel").read_text())
    assert written["flavors"]["python_function"]["loader_module"] == "pipelines.registry.served_model"
    ((column,), scores) = (json.loads(written["signature"][key]) for key in ("inputs", "outputs"))
    assert (column["type"], column.get("name")) == ("any", None)
    assert [(one["name"], one["type"]) for one in scores] == [("pred_score", "double"), ("pred_label", "long")]
    assert example_file(folder / "model") == base64.b64decode(example())
    needed = (folder / "model/requirements.txt").read_text().split()
    assert f"torch=={version('torch')}" in needed


def test_a_versions_signature_lies_where_who_opens_looks_for_it(folder: Path) -> None:
    write_model(checkpoint(folder / "a", 1), model := folder / "model", example=example())
    digest, signature = folder_sha256(model / "data/a"), bytes(range(190, 254))
    text = base64.b64encode(signature).decode()
    assert verified_checkpoint(model, sha256=digest, signature=text) == model / "data/a"
    assert (model / "data/a/config.json.sig").read_bytes() == signature
    (model / "data/a/config.json.sig").unlink()
    for spoiled in (text[:-1], f"{text[:8]}!{text[8:]}"):
        with pytest.raises(Untrusted, match="model: the tag signature of its version is no base64"):
            verified_checkpoint(model, sha256=digest, signature=spoiled)
    with pytest.raises(Untrusted, match=f"its sha256 is {digest}, registered was {'0' * 64}; the artifact was changed"):
        verified_checkpoint(model, sha256="0" * 64, signature=text)
    assert not (model / "data/a/config.json.sig").exists()


def test_the_canary_does_sing_when_unpickled(folder: Path) -> None:
    pickle.loads(pickle.dumps(Canary()))  # noqa: S301
    assert (folder / "canary").exists()
