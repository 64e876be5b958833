"""Classes of images that their folders do not classify: by annotations, masks, their own names, or by default."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fastflow.index import GOOD
from fastflow.marks import MaskRule
from pipelines.core.names import counted
from pipelines.data.annotations.outline import Annotated
from pipelines.data.layouts.classes import DEFECT, Classes
from pipelines.data.layouts.marked import Masks, marks_defect
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Doubt, glob_of, pattern_of, quoted, some
from pipelines.data.words import clear_word, label_of

WITHOUT_MASK = "without a mask, where others have one"
NEARLY_ALL_FRACTION = 0.9


class Evidence(NamedTuple):
    """What classifies images beside their folders."""

    masks: Masks
    said: Annotated
    rule: MaskRule
    places: Places

    @property
    def folder(self) -> Path:
        return self.places.folder


def classify_rest(classes: Classes, evidence: Evidence) -> Classes:
    """All images with a class, but those that lie beside a folder of good ones and could be anything."""
    of, doubts = dict(classes.of), list(classes.doubts)
    unclassified = sorted(classes.unclassified)
    if of and not unclassified and GOOD not in of.values() and _items_in_folders(of, evidence):
        unclassified, of = sorted(of), {}  # kos01, kos02: a folder an item, none a class
    said_good = GOOD in of.values()
    kinds = sorted(set(of.values()) - {GOOD})
    listed = [path for path in unclassified if path in evidence.said.kinds]
    marked = [path for path in unclassified if path in evidence.masks and path not in evidence.said.kinds]
    of |= {path: evidence.said.kinds[path] or GOOD for path in listed}
    defects = marks_defect(marked, evidence.masks, evidence.rule)
    of |= {path: DEFECT if defect else GOOD for path, defect in zip(marked, defects, strict=True)}
    rest = [path for path in unclassified if path not in of]
    labels = {path: label_of(path.stem) for path in rest}
    told_bad = set(labels.values()) - {"", "good"}
    if told_bad and (len(set(labels.values())) > 1 or GOOD in of.values()):
        of |= {path: label if label not in ("", "good") else GOOD for path, label in labels.items()}
        return Classes(of, [], [*doubts, *_nameless(labels, evidence.folder)])
    if rest and said_good:
        message = f"{counted(len(rest), 'image')} beside the good ones' folder, left out: {some(rest, evidence.folder)}"
        return Classes(of, rest, [*doubts, Doubt(message, _options(rest, of, evidence.folder))])
    left, rest = _not_sorted(rest, of, evidence.places)
    if left:
        message = f"{counted(len(left), 'image')} not sorted yet, left out: {some(left, evidence.folder)}"
        doubts.append(Doubt(message, _options(left, [*of, *rest], evidence.folder)))
    labels = {path: labels[path] for path in rest}
    rest_is_good = set(labels.values()) == {"good"}
    why = "" if rest_is_good else _why_doubtful(kinds, len(listed) + len(marked), labels)
    if rest and why:
        message = f"{counted(len(rest), 'image')} {why}, taken as good: {some(rest, evidence.folder)}"
        doubts.append(Doubt(message, _options(rest, of, evidence.folder)))
    elif not rest_is_good:
        if any(clear_word(path.stem)[0] == "good" for path in rest):
            doubts += _nameless(labels, evidence.folder)
        doubts += _doubts_of_test(rest, of, evidence.places)
    return Classes(of | dict.fromkeys(rest, GOOD), left, doubts)


def _not_sorted(rest: Sequence[Path], of: Mapping[Path, str], places: Places) -> tuple[list[Path], list[Path]]:
    """Images in folders such as to review, unless there are no others; and those in none."""
    unclear = [path for path in rest if places[path].unclear]
    if not of and len(unclear) == len(rest):
        return [], list(rest)
    return unclear, [path for path in rest if not places[path].unclear]


def _doubts_of_test(rest: Sequence[Path], of: Mapping[Path, str], places: Places) -> Iterator[Doubt]:
    """A folder for the test that names no defect: its images may be good ones or defects."""
    test = [path for path in rest if places[path].split == "test"]
    if test and not any(places[path].split == "test" for path, kind in of.items() if kind != GOOD):
        train = [path for path in rest if places[path].split != "test"]
        good, *others = _options(test, [*of, *train], places.folder)
        message = f"{counted(len(test), 'image')} for the test, not said to be good, taken as good"
        both = f"{_options(train, [*of, *test], places.folder)[0]} " if train else ""
        options = (both + good.replace("--good", "--test-good"), *others)
        yield Doubt(f"{message}: {some(test, places.folder)}", options)


def _items_in_folders(of: Mapping[Path, str], evidence: Evidence) -> bool:
    """Whether nearly all images have a mask or are annotated, and no folder is called after defects."""
    known = sum(path in evidence.masks or path in evidence.said.kinds for path in of)
    return known >= NEARLY_ALL_FRACTION * len(of) and not any(map(label_of, set(of.values())))


def _why_doubtful(kinds: Sequence[str], others: int, labels: Mapping[Path, str]) -> str:
    """Why images of which nothing is said may be no good ones; "" where they are alone, or beside defects."""
    if others:
        return WITHOUT_MASK
    if unclear := [kind for kind in kinds if not label_of(kind)]:
        return f"beside {', '.join(unclear[:3])}"
    return "all called after a defect" if set(labels.values()) - {"", "good"} else ""


def _nameless(labels: Mapping[Path, str], folder: Path) -> list[Doubt]:
    """A doubt where some names speak of defects, or of good ones, and others say nothing."""
    rest = [path for path, label in labels.items() if not label]
    bad = sorted(set(labels.values()) - {"", "good"}) or [GOOD]
    if not rest:
        return []
    message = (
        f"file names speak of {', '.join(bad[:3])}, those of others say nothing, taken as good: {some(rest, folder)}"
    )
    return [Doubt(message, _options(rest, [path for path in labels if path not in rest], folder))]


def _options(paths: Sequence[Path], others: Mapping[Path, str] | Sequence[Path], folder: Path) -> tuple[str, ...]:
    """What names these files and none of the others, if there is such a glob."""
    places = sorted({path.parent for path in paths})
    elsewhere = {path.parent for path in others}
    globs = [glob_of(folder, place, elsewhere) for place in places[:2]]
    if elsewhere & set(places):
        patterns = {pattern_of(path.name) for path in paths}
        if len(patterns) > 1 or patterns & {pattern_of(path.name) for path in others}:
            return ("--good GLOB", "--defects GLOB")
        globs = [quoted(patterns.pop())]
    return tuple(" ".join(f"{option} {glob}" for glob in globs) for option in ("--good", "--defects", "--ignore"))
