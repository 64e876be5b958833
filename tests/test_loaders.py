"""Nothing that lies in a model folder is ever unpickled, by us or by a library on our behalf."""

import ast
import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from fastflow import api
from fastflow.backbone import Backbone
from fastflow.checkpoint import save_checkpoint
from fastflow.errors import BadData
from fastflow.export.about import ABOUT, FILES, write_about
from fastflow.frame import Frame
from fastflow.model import FastFlow
from fastflow.resume import SavedStates
from fastflow.sealed import BACKBONE, CONFIG, FLOW, sealed
from fastflow.weights import load_weights
from pipelines.core.paths import NORMAL_SCORES
from pipelines.training.normal_scores import normal_scores
from tests.conftest import ROOT, THRESHOLD

UNPICKLES = {
    "pickle", "cPickle", "_pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "jsonpickle",
    "torch.export.load", "torch.jit.load", "torch.package", "torch.hub", "torch.serialization", "torch.compiler.load",
    "torch._inductor", "pandas.read_pickle", "pd.read_pickle", "np.lib.format",
    "mlflow.pyfunc.load_model", "mlflow.pytorch", "mlflow.sklearn", "mlflow.pyfunc.PythonModel",
    "yaml.load", "yaml.unsafe_load", "eval", "exec",
}  # fmt: skip
"""Dotted names, or what begins like one of them, that may run what they read."""


def dotted(node: ast.AST) -> str:
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
    return ""


def unpickling(code: str) -> list[str]:
    """What of a module's code may run what it reads."""
    found = []
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.Import(names=names):
                named = [one.name for one in names]
            case ast.ImportFrom(module=module, names=names):
                named = [str(module), *(f"{module}.{one.name}" for one in names)]
            case ast.Call(func=function, keywords=keywords):
                named, given = [dotted(function)], {one.arg: ast.unparse(one.value) for one in keywords}
                if named == ["torch.load"] and given.get("weights_only") != "True":
                    found.append("torch.load without weights_only=True")
                if given.get("allow_pickle", "False") != "False":
                    found.append("allow_pickle")
                if named[0].endswith(("np.load", "numpy.load")) and given.get("allow_pickle") != "False":
                    found.append("numpy.load without allow_pickle=False")
            case _:
                continue
        found += [n for n in named if any(n == one or n.startswith(f"{one}.") for one in UNPICKLES)]
    return found


@pytest.mark.parametrize("room", ["fastflow", "pipelines", "benchmarks", "docs"])
def test_no_code_of_ours_can_unpickle(room: str) -> None:
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    assert {str(path.relative_to(ROOT)): found for path in files if (found := unpickling(path.read_text()))} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import pickle", "from joblib import load", "torch.load(p)", "torch.load(p, weights_only=False)",
        "torch.export.load(p)", "np.load(p, allow_pickle=True)", "np.load(p)", "mlflow.pyfunc.load_model(m)",
        "from mlflow.pytorch import load_model", "pd.read_pickle(p)",
    ],
)  # fmt: skip
def test_the_search_finds_what_unpickles(code: str) -> None:
    assert unpickling(code)


class Canary:
    """Unpickling it makes a file."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("canary").absolute(),))


PICKLED: list[str] = []


def _watch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "pickle.find_class" and WATCHING.on:
        PICKLED.append(str(arguments))


WATCHING = SimpleNamespace(on=False)
sys.addaudithook(_watch)


@pytest.fixture
def watched(folder: Path) -> Iterator[Path]:
    """An empty current directory; Python itself says whether anything was unpickled meanwhile."""
    PICKLED.clear()
    WATCHING.on = True
    yield folder
    WATCHING.on = False
    assert not PICKLED
    assert not Path("canary").exists()


def forged(kind: str) -> bytes:
    """A file that runs something where it is unpickled: bare, or as PyTorch saves it."""
    if kind == "pickle":
        return pickle.dumps(Canary())
    torch.save({"a": Canary()}, "forged.pth")
    return Path("forged.pth").read_bytes()


def checkpoint(kind: str, name: str, model: FastFlow) -> Path:
    """A checkpoint one of whose files is forged, sealed anew."""
    folder = Path("models/plates")
    files = {NORMAL_SCORES: b'{"pred_score": [0.1]}'}
    save_checkpoint(model, folder, files=files, category="plates", threshold=THRESHOLD)
    (folder / name).write_bytes(content := forged(kind))
    about = json.loads((folder / CONFIG).read_text())
    about["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / CONFIG).write_text(sealed(about))
    return folder


def load_flow(kind: str, model: FastFlow) -> None:
    api.load(checkpoint(kind, FLOW, model))


def load_backbone(kind: str, model: FastFlow) -> None:
    api.load(checkpoint(kind, BACKBONE, model))


def load_normal_scores(kind: str, model: FastFlow) -> None:
    checkpoint(kind, NORMAL_SCORES, model)
    normal_scores("plates")


def load_weights_file(kind: str, model: FastFlow) -> None:
    Path("weights.pth").write_bytes(forged(kind))
    load_weights(Backbone("resnet18", layers=(1,), image_size=(64, 64)), "weights.pth")


def load_export(runtime: str) -> Callable[[str, FastFlow], None]:
    def load(kind: str, model: FastFlow) -> None:
        folder = Path("export")
        folder.mkdir()
        for name in FILES[runtime]:
            (folder / name).write_bytes(forged(kind))
        write_about(
            folder, runtime=runtime, precision="fp32", category="plates", model="1", frame=Frame(64, 64),
            threshold=THRESHOLD,
        )  # fmt: skip
        api.load(folder)

    return load


def load_torch_export(kind: str, model: FastFlow) -> None:
    """What was exported with --format torch before, its hash in export.json as it was then, or sealed anew."""
    Path("export").mkdir()
    Path("export/model.pt2").write_bytes(content := forged(kind))
    about = {"format": "torch", "precision": "fp32", "image_size": [64, 64], "category": "plates", "model": "1"}
    about |= {"threshold": THRESHOLD, "sha256": {"model.pt2": hashlib.sha256(content).hexdigest()}}  # type: ignore[dict-item]
    Path("export", ABOUT).write_text(json.dumps(about))
    with pytest.raises(BadData, match="no seal"):
        api.load("export")
    Path("export", ABOUT).write_text(sealed(about))
    api.load("export")


LOADERS = {
    "flow": load_flow,
    "backbone": load_backbone,
    "normal scores": load_normal_scores,
    "weights file": load_weights_file,
    "onnx": load_export("onnx"),
    "openvino": load_export("openvino"),
    "torch": load_torch_export,
}  # registered versions: tests/registry/test_hostile_models.py


@pytest.mark.parametrize("kind", ["pickle", "torch"])
@pytest.mark.parametrize("loader", LOADERS)
def test_a_forged_file_is_an_error_in_words_and_runs_nothing(
    watched: Path, tiny_model: FastFlow, loader: str, kind: str
) -> None:
    with pytest.raises(ValueError, match=r"restore|export|safetensors") as error:
        LOADERS[loader](kind, tiny_model)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("kind", ["pickle", "torch"])
def test_a_forged_state_of_a_training_is_passed_over(watched: Path, kind: str) -> None:
    content = forged(kind)
    path = Path("state", f"00000001.{hashlib.sha256(content).hexdigest()}.safetensors")
    path.parent.mkdir()
    path.write_bytes(content)
    assert SavedStates(Path("state"), "key").load() is None


def test_python_says_when_something_is_unpickled(folder: Path) -> None:
    WATCHING.on = True
    pickle.loads(forged("pickle"))  # noqa: S301
    WATCHING.on = False
    assert PICKLED
    assert Path("canary").exists()
