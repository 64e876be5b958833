"""Of each image: good, a kind of defect, or unclassified, by the names of the folders above it."""

import shlex
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fastflow.errors import BadData
from fastflow.index import GOOD
from fastflow.sources import Sources, plain
from pipelines.data.layouts.good_doubts import doubts_of_good, taken_along
from pipelines.data.layouts.places import Place, Places
from pipelines.data.layouts.reading import Doubt
from pipelines.data.words import word_of

DEFECT = "defect"  # a kind of defect without a name


class Classes(NamedTuple):
    """`of`: good or the kind of defect of each classified image; `unclassified` the others."""

    of: dict[Path, str]
    unclassified: list[Path]
    doubts: list[Doubt]


def classify(images: Sequence[Path], places: Places, roles: Mapping[Path, str], globs: Sources) -> Classes:
    """Classes by folders' names; `roles` are those that the user gave to some images, by the `globs`.

    Raises:
        BadData: the folder holds several data sets.
    """
    _refuse_several_sets(images, places)
    said = "good" in roles.values()  # then no other folder is good by its name
    good = [path for path in images if path not in roles and places[path].good_at and not said]
    good = [path for path in good if not places[path].made_of_good]
    level = min((places[path].good_at[0] for path in good), default=0)
    shared = shared_names([places[path].names for path in images])
    said_good = [path for path in images if roles.get(path) in ("good", "test_good")]
    doubts = [*doubts_of_good(good, places), *taken_along(said_good, places, globs, shared)]
    classes = Classes({}, [], doubts)
    for path in images:
        place, role = places[path], roles.get(path)
        if role in ("good", "test_good"):
            classes.of[path] = GOOD
        elif role == "defects":
            classes.of[path] = kind_of(place, level) or DEFECT
        elif place.good_at and (said or place.made_of_good or _contradicts(place, shared)):
            classes.unclassified.append(path)
        elif place.good_at:
            classes.of[path] = GOOD
        elif kind := kind_of(place, level) if not _unclear(place, shared) else "":
            classes.of[path] = kind
        else:
            classes.unclassified.append(path)
    return _one_spelling(classes)


def kind_of(place: Place, level: int) -> str:
    """The name of the folder at the depth where others say good, or "": a number only where nothing else is."""
    own = [(name, word) for name, word in zip(place.names, place.words, strict=True) if word.meaning != "good"]
    if level < len(place.names) and place.words[level].meaning not in ("number", "good"):
        finer = [name for name, word in own[level + 1 :] if word.meaning == "defect"]  # NG/scratch
        return finer[0] if finer and place.words[level].meaning == "bad" else place.names[level]
    names = [name for name, word in own if word.meaning != "number"]
    return names[0] if names else place.names[level] if level < len(own) else ""


def shared_names(names: Sequence[tuple[str, ...]]) -> int:
    """How many names all begin with."""
    lowest, highest = min(names, default=()), max(names, default=())
    return next(
        (n for n, (a, b) in enumerate(zip(lowest, highest, strict=False)) if a != b), min(len(lowest), len(highest))
    )


def _unclear(place: Place, shared: int) -> bool:
    """Whether a folder says that its images are made of others or not sorted, where it is not above all images."""
    return place.unclear and (
        len(place.words) <= shared or any(word.meaning == "unclear" for word in place.words[shared:])
    )


def _contradicts(place: Place, shared: int) -> bool:
    """Whether a folder of good images lies in one of bad ones, or has one in it, as good/rejected."""
    return any(word.meaning in ("bad", "defect") for word in place.words[shared:])


def _refuse_several_sets(images: Sequence[Path], places: Places) -> None:
    """Data sets of several products lie side by side, each with its train and test."""
    above = {place.before for place in map(places.__getitem__, images) if place.split}
    unlike = {names for names in above if names}
    if len(unlike) > 1 and not any(word_of(name).meaning == "good" for names in unlike for name in names):
        first = sorted("/".join(names) for names in unlike)
        one = shlex.quote(str(places.folder / first[0]))
        raise BadData(
            f"{places.folder} holds {len(first)} data sets, each with its own train or test: {', '.join(first[:3])}"
            f"{', ...' if len(first) > 3 else ''}; read one: fastflow init {one} --name ..."
        )


def _one_spelling(classes: Classes) -> Classes:
    """Kinds that differ in case or Unicode form alone become one, which is a doubt where it was case."""
    spellings: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for kind in classes.of.values():
        spellings[plain(kind)][kind] += 1
    for names in spellings.values():
        if len({unicodedata.normalize("NFC", name) for name in names}) > 1:
            listed = " and ".join(sorted(names))
            classes.doubts.append(Doubt(f"{listed} differ in case alone; taken as one kind of defect", ("rename one",)))
    first = {key: max(sorted(names), key=lambda name: names[name]) for key, names in spellings.items()}
    return classes._replace(of={path: first[plain(kind)] for path, kind in classes.of.items()})
