"""Sign a model, so that it opens where FASTFLOW_SIGNED_BY asks for it.

fastflow sign exports/bottle/onnx-fp32 --key line.key          beside export.json, as export.json.sig
fastflow sign models:/fastflow-bottle@champion --key line.key  as a tag of that version in the registry
"""

import base64
import os
from pathlib import Path

from fastflow.export.about import ABOUT, EXPORT
from fastflow.files import write_bytes
from fastflow.sealed import CHECKPOINT, CONFIG
from fastflow.signature import SIGNED_BY, sign, signature_file
from pipelines.core.paths import model_folder
from pipelines.core.stage import log
from pipelines.registry import store
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.registry.registered import SIGNED


def sign_model(model: str, key: Path) -> None:
    """Signs an export's or a checkpoint's folder, or a version in the registry, after a check that it is whole.

    Raises:
        BadKey: `key` is no private key. BadData: the model is not what was written.
        ValueError: a category's own checkpoint, which DVC tracks; FASTFLOW_SIGNED_BY is set. ServerAway.
    """
    if SIGNED_BY in os.environ:
        raise ValueError(f"{SIGNED_BY} is set, so that only what is signed opens; unset it to sign a model")
    if model.startswith("models:"):
        _sign_version(model, key)
        return
    folder = Path(model)
    kind = EXPORT if (folder / ABOUT).is_file() else CHECKPOINT
    if kind is CHECKPOINT and folder.resolve() == model_folder(folder.name).resolve():
        raise ValueError(
            f"{model} is DVC's, which would find it changed; sign its version, "
            f"models:/fastflow-{folder.name}@champion, or its export"
        )
    about, content = kind.read_bytes(folder)
    for name, digest in about["sha256"].items():
        kind.verify(folder / name, digest)
    file = folder / kind.file
    write_bytes(signature_file(file), sign(content, key))  # of what was looked at: the file may be another by now
    log.info("signed %s: %s", folder, signature_file(file).name)


def _sign_version(model: str, key: Path) -> None:
    with checkpoint_of(model) as named:
        text = base64.b64encode(sign((named.folder / CONFIG).read_bytes(), key)).decode()
    name, _, version = named.version.partition("/")
    with store.answering():
        store.connect().set_model_version_tag(name, version, SIGNED, text)
    log.info("signed %s version %s", name, version)
