"""A folder is read by its folders' and files' names, by its masks and annotations, and by the user's options."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from fastflow.arrange import Drawing, Item, named
from fastflow.errors import BadData
from fastflow.index import GOOD
from fastflow.pairing import pair
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.annotations.outline import Annotated
from pipelines.data.layouts.classes import classify
from pipelines.data.layouts.marked import Masks, pair_doubts, refuse_shared
from pipelines.data.layouts.mask_files import find_masks
from pipelines.data.layouts.mask_parts import give_to_test, of_left_out
from pipelines.data.layouts.mask_values import colours_of, ways_to_say
from pipelines.data.layouts.misfiled import misfiled
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Reading, ReadingOptions, glob_of, set_apart
from pipelines.data.layouts.tree import Tree
from pipelines.data.layouts.unclassified import Evidence, classify_rest
from pipelines.data.words import label_of


def read_folders(
    tree: Tree, how: ReadingOptions, roles: Mapping[Path, str], said: Annotated, not_read: Sequence[str]
) -> tuple[Reading, Places]:
    """What a folder holds, without the files that `roles` ignore; `not_read`: what may say more, for a message.

    Raises:
        BadData: no good image, several data sets, or a mask that could be of several images.
    """
    folder, places = tree.folder, Places(tree.folder)
    ignored = [path for path in tree.images if roles.get(path) == "ignore"]
    points = {path for path in tree.images if _is_of_points(path) and path not in roles}
    files = sorted(set(tree.images) - set(ignored) - points)
    found = find_masks(files, places, roles)
    objects = _single_objects(found.files, roles)
    found.files.difference_update(objects)
    images = sorted(set(files) - found.files - found.unsure - objects)
    private = [path for path in images if places[path].split == "private" and path not in roles]
    images = sorted(set(images) - set(private))
    classes = classify(images, places, roles, how.sources)
    pairs = pair(images, sorted(found.files), folder, likely=lambda path: classes.of.get(path) != GOOD)
    parts = [*give_to_test(pairs, classes.of, places), *of_left_out(pairs, classes.of, ignored, places)]
    of_good = [mask for mask, several in pairs.shared.items() if all(classes.of.get(p) == GOOD for p in several)]
    refuse_shared({mask: several for mask, several in pairs.shared.items() if mask not in of_good}, folder)
    masks: dict[Path, tuple[Path | Drawing, ...]] = {path: tuple(several) for path, several in pairs.masks.items()}
    masks |= {path: (*masks.get(path, ()), *outlines) for path, outlines in said.outlines.items() if outlines}
    by_folder = {path: kind for path, kind in classes.of.items() if places[path].words}
    classes = classify_rest(classes, Evidence(masks, said, how.rule, places))
    by_folder = {path: kind for path, kind in by_folder.items() if classes.of.get(path) == kind}
    if GOOD not in classes.of.values():
        raise BadData(_no_good(tree, images, masks, not_read))
    doubts = [*found.doubts, *classes.doubts, *parts, *misfiled(by_folder, places, roles)]
    doubts += pair_doubts(pairs, classes.of, masks, of_good, folder, how.rule)
    items = _split(classes.of, masks, places, roles, how.test_fraction)
    test = {item.image for item in items if item.split == "test" and item.defect_type == GOOD}
    apart = sorted(path for path in test if places[path].split != "test" and roles.get(path) != "test_good")
    left_out = {
        "private test, without labels": private,
        "masks, overlays or photographs?": sorted(found.unsure),
        "good or not?": classes.unclassified,
        "masks called as no image": pairs.orphans,
        "masks of good images": of_good,
        "masks of single objects": sorted(objects),
        "points in space, no images": sorted(points),
    }
    return Reading("", named(items, folder), doubts, left_out, apart), places


def _is_of_points(path: Path) -> bool:
    """Whether a file holds x, y and z of each pixel of an image, as MVTec 3D-AD has them in xyz/ beside rgb/."""
    return plain(path.parent.name) == "xyz" and path.parent.with_name("rgb").is_dir()


def _single_objects(masks: set[Path], roles: Mapping[Path, str]) -> set[Path]:
    """Masks that number objects, beside others that number classes: Pascal VOC's, as CVAT exports them."""
    by_class = any(path.parent.name == "SegmentationClass" for path in masks)
    return {path for path in masks if by_class and path.parent.name == "SegmentationObject" and path not in roles}


def _split(
    of: Mapping[Path, str], masks: Masks, places: Places, roles: Mapping[Path, str], test_fraction: float
) -> list[Item]:
    """Defects and what is said to be for the test to the test; good ones are set apart where none of them is."""
    bad = [Item(path, "test", kind, masks.get(path, ())) for path, kind in sorted(of.items()) if kind != GOOD]
    good = sorted(path for path, kind in of.items() if kind == GOOD)
    by_place = {path for path in good if places[path].split == "test" and path not in roles}
    test = by_place | {path for path in good if roles.get(path) == "test_good"}
    if not test:
        return [*set_apart(good, test_fraction), *bad]
    return [*(Item(path, "test" if path in test else "train", GOOD) for path in good), *bad]


def _no_good(tree: Tree, images: Sequence[Path], masks: Masks, not_read: Sequence[str]) -> str:
    count = Counter(path.parent for path in images if path.parent != tree.folder)
    there = sorted(count)
    listed = ", ".join(f"{place.relative_to(tree.folder)}/" for place in there[:5]) or "no folder of images"
    more = f" and {len(there) - 5} more" if len(there) > 5 else ""
    likely = sorted((place for place in there if not label_of(place.name)), key=lambda place: -count[place])
    each = " or ".join(f"--good {glob_of(tree.folder, place, there)}" for place in likely[:3])
    unnamed = len(likely) == len(there) and not not_read  # none is called after a defect
    every = ", or all: --good '**'" if unnamed else ""
    say = f"; say which are good: {each}{every}" if likely else ""
    if images and all(path in masks for path in images):
        drawn = [mask for path in images for mask in masks[path] if isinstance(mask, Path)]
        ways = " or ".join(ways_to_say(colours_of(drawn)))
        one = f"say which colour of the masks is the defect: {ways}; " if ways else ""
        left = glob_of(tree.folder, drawn[0].parent, there) if drawn else "'*.json'"
        say = (
            f"; each is marked as defective: {one}where outlines or masks show the part, not a defect, leave them out "
            f"and say which images are good: --ignore {left} --good GLOB --defects GLOB"
        )
    beside = f"; what they are may stand in {'; '.join(not_read)}" if not_read else ""
    return (
        f"{tree.folder} holds no good image; expected images in it, in good/ or in train/good; it has {listed}{more}, "
        f"{counted(len(images), 'image')}{say}{beside}"
    )
