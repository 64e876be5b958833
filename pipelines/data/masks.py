"""Where a person's masks lie: which file is the mask of which image.

In masks/ (or mask/, ground_truth/, gt/), in a folder of the defect's name or not, called as their image or
<image>_mask; or beside their image as <image>_mask. Upper and lower case are one.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from fastflow.errors import BadData
from fastflow.index import MASK_SUFFIX, folders, list_images

MASK_NAMES = ("masks", "mask", "ground_truth", "groundtruth", "gt")
DOUBTFUL_NAMES = ("label", "labels", "annotation", "annotations", "segmentation", "segmentations")  # or defect types


def masks_of(folder: Path, kind: Path, images: Sequence[Path]) -> dict[Path, Path]:
    """The mask of each image of the class folder `kind` that has one. Raises BadData where several could be meant."""
    places = [place for place in folders(folder) if place.name.casefold() in MASK_NAMES]
    places += [inner for place in places for inner in folders(place) if inner.name.casefold() == kind.name.casefold()]
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for path in (path for place in places for path in list_images(place)):
        by_stem[path.stem.casefold()].append(path)
    for path in list_images(kind):
        if path.stem.casefold().endswith(MASK_SUFFIX):
            by_stem[path.stem.casefold()].append(path)
    masks: dict[Path, Path] = {}
    for image in images:
        stem = image.stem.casefold()
        found = by_stem[stem] + by_stem[stem + MASK_SUFFIX]
        found = [path for path in found if path != image]
        if len(found) > 1:
            raise BadData(f"{image}: several files could be its mask: {', '.join(map(str, found))}; keep one")
        if found:
            masks[image] = found[0]
    return masks
