"""How a folder is read, as params.yaml keeps it: the next reading is the same."""

import os
from pathlib import Path

from fastflow.marks import MaskRule
from fastflow.sources import Sources
from pipelines.core.params import OwnFolder
from pipelines.data.layouts.reading import ReadingOptions


def as_source(source: Path, how: ReadingOptions) -> OwnFolder:
    """What params.yaml keeps; the folder relative to the project's where it lies in it."""
    full, here = source.resolve(), Path.cwd()
    return OwnFolder(
        folder=Path(os.path.relpath(full, here) if full.is_relative_to(here) else full).as_posix(),
        **{name: list(globs) for name, globs in how.sources._asdict().items()},
        masks_inverted=how.rule.inverted,
        mask_values=list(how.rule.values),
        ignore_value=how.rule.ignore,
        test_fraction=how.test_fraction,
    )


def how_of(stored: OwnFolder) -> ReadingOptions:
    """The reading that params.yaml keeps."""
    globs = {name: tuple(getattr(stored, name)) for name in Sources._fields}
    rule = MaskRule(stored.masks_inverted, tuple(stored.mask_values), stored.ignore_value)
    return ReadingOptions(Sources(**globs), rule, stored.test_fraction)


def same_place(source: Path, stored: OwnFolder) -> bool:
    return source.resolve() == Path(stored.folder).resolve()
