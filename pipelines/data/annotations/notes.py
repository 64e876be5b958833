"""What files of annotations say beside outlines: labels of whole images, and what a person must decide."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from fastflow.sources import squashed
from pipelines.data.words import label_of

LEFT_OUT = ("ignore", "ignored", "ignoreregion", "dontcare", "donotcare", "void")


class Notes(NamedTuple):
    """`files` that say something of each image; images that are `good` by a label or flag; `no_area`: images with a
    defect that has no mask, by what marks it; `left_out`: those with a region that is not to be evaluated; `unsure`:
    those that need a person, by the reason."""

    files: dict[Path, list[Path]]
    good: set[Path]
    no_area: dict[str, set[Path]]
    left_out: set[Path]
    unsure: dict[str, set[Path]]


def no_notes() -> Notes:
    return Notes({}, set(), defaultdict(set), set(), defaultdict(set))


def is_left_out(label: str) -> bool:
    """Whether a label says that what it marks is not to be evaluated."""
    return squashed(label) in LEFT_OUT


class Flags(NamedTuple):
    """The flags of an image that are set, by what they say: `good`, `bad`, or `others`; `no_good` where one for good
    ones is there, and not set."""

    good: list[str]
    bad: list[str]
    others: list[str]
    no_good: bool


def flags_of(flags: object) -> Flags:
    """Of labelme's flags, such as {"OK": false, "NG": true}."""
    found = Flags([], [], [], no_good=False)
    if not isinstance(flags, Mapping):
        return found
    for name, is_set in flags.items():
        said = label_of(str(name))
        if is_set:
            (found.good if said == "good" else found.bad if said else found.others).append(str(name))
        elif said == "good":
            found = found._replace(no_good=True)
    return found


def contradiction(flags: Flags, labels: set[str]) -> str:
    """What is unclear of an image with these flags and the `labels` of defects; "" for nothing."""
    if flags.good and (flags.bad or labels):
        return f"flagged {flags.good[0]}, and {'flagged' if flags.bad else 'marked with'} {sorted(labels)[0]}"
    if flags.good or labels:
        return ""
    if flags.others:
        return f"flagged {', '.join(flags.others)}, which says neither good nor defective, and without a shape"
    return "without a shape, and not flagged as good, where a flag says so" if flags.no_good else ""
