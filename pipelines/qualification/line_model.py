"""The model that the line uses: the champion, or what a person names."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from fastflow.detector import Detector
from fastflow.export.about import ABOUT
from pipelines.core.device import choose_device
from pipelines.core.params import Params
from pipelines.core.paths import CHAMPION_MODEL, model_name
from pipelines.core.tracking_uri import tracking_uri
from pipelines.registry import aliases, store
from pipelines.registry.checkpoints import checkpoint_of
from pipelines.registry.detectors import open_detector
from pipelines.registry.place import DATABASE


class Opened(NamedTuple):
    """`weights`: empty for an export; `folder`: of the checkpoint, None for an export."""

    detector: Detector
    version: str
    weights: str
    folder: Path | None


@contextmanager
def opened(source: str, params: Params) -> Iterator[Opened]:
    """Raises as `open_detector` does."""
    if (Path(source) / ABOUT).is_file():
        detector = open_detector(source)
        yield Opened(detector, detector.version, "", None)
        return
    with checkpoint_of(source) as named:
        trained = named.open().to(choose_device(params.device))
        yield Opened(trained, named.version, named.weights, named.folder)


def model_of_the_line(category: str) -> str:
    """The champion, where there is one: what a server serves; else the category's model. Raises ServerAway."""
    if tracking_uri() is None and not DATABASE.is_file():
        return category
    client = store.connect()
    with store.answering():
        champion = aliases.alias(client, model_name(category), aliases.CHAMPION)
    return category if champion is None else CHAMPION_MODEL.format(category=category)
