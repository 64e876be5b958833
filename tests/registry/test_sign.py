"""fastflow sign: folders and versions that then open where a key is asked for."""

import subprocess
from pathlib import Path

import pytest

from fastflow.sealed import CONFIG, Kind
from fastflow.signature import SIGNED_BY, signature_fault
from pipelines.registry import store
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.registry.registered import Untrusted
from pipelines.registry.registry import open_version
from pipelines.registry.sign import sign_model
from pipelines.tracking.sync import sync
from tests.registry.kit import NAME, checkpoint, register

pytestmark = [
    pytest.mark.usefixtures("folder"),
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
VERSION = f"models:/{NAME}/1"


@pytest.fixture
def keys(folder: Path) -> tuple[Path, Path]:
    private, public = folder / "line.key", folder / "line.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True, timeout=60)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True, timeout=60)
    return private, public


def test_a_version_is_signed_by_a_tag(folder: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    private, public = keys
    register(checkpoint(folder / "a", 1))
    sync()
    client = store.connect()
    monkeypatch.setenv(SIGNED_BY, str(public))
    with pytest.raises(ValueError, match="has no signature"), checkpoint_of(VERSION):
        raise AssertionError("it opened")
    with pytest.raises(ValueError, match="FASTFLOW_SIGNED_BY is set"):
        sign_model(VERSION, private)
    monkeypatch.delenv(SIGNED_BY)
    sign_model(VERSION, private)
    monkeypatch.setenv(SIGNED_BY, str(public))
    with checkpoint_of(VERSION) as named:
        named.open()
    open_version(client, "plates", "1")
    client.set_model_version_tag(NAME, "1", "signature", "no base64")
    with pytest.raises(Untrusted, match="is no base64"), checkpoint_of(VERSION):
        raise AssertionError("it opened")


def test_a_folder_is_signed_beside_its_json_and_dvcs_own_is_not(
    folder: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    private, public = keys
    checkpoint(folder / "elsewhere", 1)
    sign_model(str(folder / "elsewhere"), private)
    monkeypatch.setenv(SIGNED_BY, str(public))
    with checkpoint_of(str(folder / "elsewhere")) as named:
        named.open()
    monkeypatch.delenv(SIGNED_BY)
    (folder / "models").mkdir()
    (folder / "elsewhere").rename(folder / "models/plates")
    with pytest.raises(ValueError, match="is DVC's, which would find it changed; sign its version"):
        sign_model("models/plates", private)
    (folder / "models/plates" / CONFIG).write_text("{}")
    (folder / "models/plates").rename(folder / "damaged")
    with pytest.raises(ValueError, match="damaged"):
        sign_model("damaged", private)
    half = checkpoint(folder / "half", 1)
    (half / "backbone.safetensors").unlink()
    with pytest.raises(ValueError, match=r"backbone\.safetensors is missing"):
        sign_model("half", private)


def test_a_signed_model_is_no_other_categorys(folder: Path, keys: tuple[Path, Path]) -> None:
    register(checkpoint(folder / "a", 1, category="plates"))
    sync()
    client = store.connect()
    made = client.get_model_version(NAME, "1")
    client.create_registered_model("fastflow-cable")
    client.create_model_version("fastflow-cable", str(made.source), made.run_id, tags=dict(made.tags))
    with (
        pytest.raises(Untrusted, match="holds a model of plates, not of cable"),
        checkpoint_of("models:/fastflow-cable/1"),
    ):
        raise AssertionError("it opened")
    with pytest.raises(Untrusted, match="holds a model of plates, not of cable"):
        open_version(client, "cable", "1")


def test_what_is_signed_is_what_was_looked_at(
    folder: Path, keys: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model that takes the folder meanwhile would have a signature for nothing."""
    private, public = keys
    checkpoint(folder / "first", 1)
    whole = (folder / "first" / CONFIG).read_bytes()

    def verify_then_replace(kind: Kind, path: Path, expected: str) -> None:
        (folder / "first" / CONFIG).write_bytes(b"of another model")

    monkeypatch.setattr(Kind, "verify", verify_then_replace)
    sign_model(str(folder / "first"), private)
    (folder / "second").mkdir()
    (folder / "first" / f"{CONFIG}.sig").rename(folder / "second" / f"{CONFIG}.sig")
    monkeypatch.setenv(SIGNED_BY, str(public))
    assert signature_fault(folder / "second" / CONFIG, whole) == ""
    assert "is not signed by the key" in signature_fault(folder / "second" / CONFIG, b"of another model")
