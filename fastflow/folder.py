"""A user's own folder, read by globs, into MVTec AD's layout."""

from collections.abc import Callable
from pathlib import Path

from fastflow.arrange import Item, copy, named, split_good
from fastflow.decode import DEFECT, SUFFIXES, image_files
from fastflow.errors import BadData
from fastflow.index import GOOD
from fastflow.marks import MaskRule, check_rule, read_marks
from fastflow.pairing import pair
from fastflow.sources import Sources, assign

DEFAULT_KIND = "defect"  # the kind of defects that lie in the folder itself
NAMES_SHOWN = 3  # names that a message lists


def read_sources(
    folder: Path, sources: Sources, rule: MaskRule, *, test_fraction: float, page: int | None = None
) -> list[Item]:
    """Each image of a folder by the globs; a defect's kind is the folder it lies in. `page`: that of the images.

    Raises:
        BadData: an image or a mask that no glob names, a mask that could be of several images or marks a good
            one, no good image.
    """
    files = image_files(folder)
    roles = assign(files, folder, sources)
    if unnamed := [path for path in files if path not in roles]:
        raise BadData(f"{folder}: no glob names {_some(unnamed, folder)}; good, defects, masks, or ignore?")
    images = [path for path in files if roles[path] in ("good", "test_good", "defects")]
    masks = [path for path in files if roles[path] == "masks"]
    pairs = pair(images, masks, folder, likely=lambda path: roles[path] == "defects")
    if pairs.orphans or pairs.shared:
        of = "no image" if pairs.orphans else "any of several images"
        raise BadData(f"{folder}: masks of {of}: {_some([*pairs.orphans, *pairs.shared], folder)}")
    marked = {path: several for path, several in pairs.masks.items() if roles[path] != "defects"}
    if wrong := [mask for several in marked.values() for mask in several if (read_marks(mask, rule) == DEFECT).any()]:
        raise BadData(f"{folder}: masks that mark a defect of a good image: {_some(wrong, folder)}")
    good = [path for path in images if roles[path] == "good"]
    held = [Item(path, "test", GOOD) for path in images if roles[path] == "test_good"]
    if not good:
        raise BadData(f"{folder}: no image is good; looked for {', '.join(SUFFIXES)}")
    trained = [Item(path, "train", GOOD) for path in good] if held else split_good(good, test_fraction)
    bad = [
        Item(
            path, "test", DEFAULT_KIND if path.parent == folder else path.parent.name, tuple(pairs.masks.get(path, ()))
        )
        for path in images
        if roles[path] == "defects"
    ]
    return named([item._replace(page=page) for item in (*trained, *held, *bad)], folder)


def arrange(
    folder: Path,
    to: Path,
    sources: Sources,
    rule: MaskRule,
    *,
    test_fraction: float,
    page: int | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> list[Item]:
    """Copies what `read_sources` finds to a new folder `to`.

    Raises:
        BadData, ValueError: as `read_sources` and `check_rule` do. FileExistsError: `to` is there already.
    """
    check_rule(rule)
    items = read_sources(folder, sources, rule, test_fraction=test_fraction, page=page)
    to.mkdir(parents=True)
    copy(items, to, rule=rule, on_image=on_image)
    return items


def _some(paths: list[Path], folder: Path) -> str:
    more = f" and {len(paths) - NAMES_SHOWN:,} more" if len(paths) > NAMES_SHOWN else ""
    return ", ".join(path.relative_to(folder).as_posix() for path in paths[:NAMES_SHOWN]) + more
