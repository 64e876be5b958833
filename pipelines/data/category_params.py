"""What params.yaml says of categories, written by `fastflow init`: which there are, and how their folders are read."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from pipelines.core.lock import locked
from pipelines.core.params import Pixels, read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import DEMO, OWN, STATE
from pipelines.core.pixel_rule import as_pixels, stated_rule
from pipelines.core.stage import log
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.stored import as_source
from pipelines.demo.generate import CATEGORIES

Options = TypeVar("Options", bound=NamedTuple)


@contextmanager
def editing() -> Iterator[None]:
    """One command at a time reads params.yaml and writes it again: nothing that another has written is lost."""
    STATE.mkdir(exist_ok=True)
    with locked(STATE / "params.lock", what="params.yaml"):
        yield


def merged(given: Options, stated: Options, default: Options) -> Options:
    """The options that are `given`, and of those that are not, which are as by `default`, the ones `stated` before."""
    fields = zip(given._fields, given, stated, default, strict=True)
    kept = {name: of_stated for name, of_given, of_stated, usual in fields if of_given == usual}
    return given._replace(**kept)


def with_stated(given: ReadingOptions, stated: ReadingOptions) -> ReadingOptions:
    """Options of a reading, each that was not given as it is `stated`; but for the pixels, which have a section of
    their own."""
    usual = DEFAULT_OPTIONS
    return merged(given, stated, usual)._replace(
        sources=merged(given.sources, stated.sources, usual.sources),
        rule=merged(given.rule, stated.rule, usual.rule),
        pixels=given.pixels,
    )


def keep_reading(name: str, source: Path | None, how: ReadingOptions) -> None:
    """Has params.yaml state how a category's files become pixels, and, of one that was copied, how its `source` is
    read."""
    with editing():
        params = read_params()
        more: dict[str, object] = {}
        if source is not None:
            sources = {**params.sources, name: as_source(source, how)}
            more["sources"] = {key: value.model_dump(exclude_defaults=True) for key, value in sources.items()}
        if how.pixels != stated_rule(params, name):
            stated = params.pixels.get(name, Pixels())
            every = {**params.pixels, name: as_pixels(how.pixels).model_copy(update={"roi": stated.roi})}
            more["pixels"] = {key: value.model_dump(exclude_defaults=True) for key, value in every.items()}
        if more:
            write_values(more)


def write_categories(
    names: Sequence[str], *, root: Path, weights: str | None, more: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Has params.yaml name the categories, beside others of that root, and the weights: if none are given, they stay
    unchanged, or become ImageNet's where the demo had random ones.

    Raises:
        BadParams: the file would not be valid.
    """
    params = read_params()
    others = params.data.categories if Path(params.data.root) == root else []
    if weights is None:
        demo = Path(params.data.root) == DEMO and params.model.weights == "random"
        weights = "imagenet" if demo else params.model.weights
    if params.download.categories and "download.categories" not in more:  # a plain dvc repro would fetch them
        more = {**more, "download.categories": []}
    if root != DEMO and params.demo.categories:  # it would draw them, and a clone's dvc pull miss them
        more = {**more, "demo.categories": []}
    elif drawn := [name for name in names if root == DEMO and name in CATEGORIES]:
        more = {**more, "demo.categories": list(dict.fromkeys([*params.demo.categories, *drawn]))}
    categories = list(dict.fromkeys([*others, *names]))
    values = {"data.root": root.as_posix(), "data.categories": categories, "model.weights": weights, **more}
    write_values(values)
    if not others:
        own, first = params.data.root, params.data.categories[0]
        back = f" (back: fastflow init {shlex.quote(f'{own}/{first}')} --name {first})" if Path(own) == OWN else ""
        log.info("%s is no longer used; report.html will be of %s%s", own, root, back)
    log.info("params.yaml: %s", ", ".join(f"{key}: {value}" for key, value in values.items() if key != "sources"))
