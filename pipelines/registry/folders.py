"""Where the checkpoint of a category, or of a folder by its path, should be."""

from pathlib import Path

from fastflow.sealed import CONFIG
from pipelines.core.names import unknown
from pipelines.core.paths import model_folder
from pipelines.core.rwlock import training_now


def folder_of(source: str) -> Path:
    """The checkpoint's folder; a path of several parts is taken as it is.

    Raises:
        ValueError: neither a folder nor a trained category has this name.
    """
    here = Path(source)
    if len(here.parts) != 1 or (here / CONFIG).is_file():
        return here
    folder = model_folder(source)
    if not folder.is_dir():
        trained = [path.parent.name for path in folder.parent.glob(f"*/{CONFIG}")]
        place = folder.parent.resolve()
        now = training_now(source) or "; train it, or name its folder"
        raise ValueError(f"{unknown(source, trained, what='model', where=str(place))}{now}")
    return folder
