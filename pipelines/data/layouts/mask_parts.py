"""Masks in no part of a data set, as MVTec's ground_truth, where its parts have images of one name: they are of the
test."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from fastflow.index import GOOD
from fastflow.pairing import Pairs
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Doubt, glob_of, some

TRAINED = ("train", "validation")


def give_to_test(pairs: Pairs, of: Mapping[Path, str], places: Places) -> list[Doubt]:
    """Gives masks that could be of a defect of train and of one of test to the latter; `of`: classes."""
    bare: set[Path] = set()
    for mask, several in list(pairs.shared.items()):
        test = [path for path in several if places[path].split == "test"]
        rest = [path for path in several if places[path].split in TRAINED]
        defects = all(of.get(path, GOOD) != GOOD for path in several)
        if defects and len(test) == 1 and len(rest) == len(several) - 1 and not places[mask].split:
            del pairs.shared[mask]
            pairs.masks.setdefault(test[0], []).append(mask)
            bare.update(rest)
    bare -= set(pairs.masks)
    if not bare:
        return []
    message = f"{counted(len(bare), 'image')} of training called as images of the test, whose the masks are"
    ignore = " ".join(f"--ignore {glob_of(places.folder, place)}" for place in sorted({p.parent for p in bare})[:3])
    return [Doubt(f"{message}; taken as defects without a mask: {some(sorted(bare), places.folder)}", (ignore,))]


def of_left_out(pairs: Pairs, of: Mapping[Path, str], ignored: Collection[Path], places: Places) -> Iterator[Doubt]:
    """A doubt where masks go to images of train, as those of the test that are called alike are `ignored`."""
    gone = {(plain(path.stem), places[path].names) for path in ignored if places[path].split == "test"}
    alike = [p for p in pairs.masks if places[p].split in TRAINED and (plain(p.stem), places[p].names) in gone]
    alike = [path for path in alike if of.get(path) != GOOD]
    masks = sorted(mask for path in alike for mask in pairs.masks[path] if not places[mask].split)
    if masks:
        ignore = " ".join(f"--ignore {glob_of(places.folder, m)}" for m in sorted({m.parent for m in masks})[:3])
        message = f"{counted(len(masks), 'mask')} of images of training only as those of the test, called alike, are"
        yield Doubt(f"{message} left out: {some(masks, places.folder)}", (ignore,))
