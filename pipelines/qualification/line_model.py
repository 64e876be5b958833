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
from pipelines.registry.checkpoints import checkpoint_of, require_own
from pipelines.registry.detectors import open_detector
from pipelines.registry.place import DATABASE


class Opened(NamedTuple):
    """`weights`, `run_key`: empty for an export; the latter also for a registered version."""

    detector: Detector
    version: str
    weights: str
    run_key: str


@contextmanager
def opened(source: str, category: str, params: Params) -> Iterator[Opened]:
    """The model that `source` names for a category. Raises as `open_detector` and `require_own` do."""
    if (Path(source) / ABOUT).is_file():
        detector = open_detector(source)
        require_own(detector.category, category, params.data.categories, model=source)
        yield Opened(detector, detector.version, "", "")
        return
    with checkpoint_of(source) as named:
        require_own(named.category, category, params.data.categories, model=source)
        run_key, trained = named.run_key, named.open().to(choose_device(params.device))
        yield Opened(trained, named.version, named.weights, run_key)


def model_of_the_line(category: str) -> str:
    """The champion, where there is one: what a server serves; else the category's model. Raises ServerAway."""
    if tracking_uri() is None and not DATABASE.is_file():
        return category
    client = store.connect()
    with store.answering():
        champion = aliases.alias(client, model_name(category), aliases.CHAMPION)
    return category if champion is None else CHAMPION_MODEL.format(category=category)
