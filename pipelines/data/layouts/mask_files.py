"""Which image files are masks: names compared with content."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastflow.decode import open_image
from fastflow.errors import BadImage
from fastflow.pairing import beginnings, beside, keys
from fastflow.pixels.meaning import to_rgb
from fastflow.sources import plain
from pipelines.core.names import counted
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.reading import Doubt, glob_of, quoted
from pipelines.data.words import without_masks, word_of

FILES_SAMPLED = 5  # of a group
MAX_COLOURS, MIN_COVERED_FRACTION = 4, 0.98  # so many colours cover this fraction of a mask
MAX_GREY_LEVELS_OFF = 12  # from black or white, changed by JPEG
CLASSES = ("good", "bad", "defect")  # what a folder's name may say of its images
NEARLY_ALL_FRACTION, MIN_COMPANIONS = 0.9, 3  # of the photographs that have a file made of them beside them
MAX_FOLDERS = 100  # without a mask's word, that are opened


class MaskFiles(NamedTuple):
    """`files` are masks; `unsure` are neither masks nor images, unless an option says so."""

    files: set[Path]
    unsure: set[Path]
    doubts: list[Doubt]


def find_masks(images: Sequence[Path], places: Places, roles: Mapping[Path, str]) -> MaskFiles:
    """Masks among image files; `roles` are those that the user gave to some of them."""
    found = MaskFiles({path for path in images if roles.get(path) == "masks"}, set(), [])
    free = [path for path in images if path not in roles]
    _in_mask_folders([path for path in free if places[path].masks], images, places, found)
    rest = [path for path in free if not places[path].masks]
    _beside_images(rest, images, places.folder, found)
    _in_other_folders([p for p in rest if p not in found.files | found.unsure], places, found)
    return found


def _in_mask_folders(files: Iterable[Path], images: Sequence[Path], places: Places, found: MaskFiles) -> None:
    """Folders whose name says masks; one that may say so and shows photographs is left out."""
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files:
        groups[places[path].mask_root, places[path].masks].append(path)
    alike = {root: look_like_masks(group) for (root, _), group in groups.items()}
    named = [root for root in alike if not alike[root] and without_masks(root.name)]
    if any(word_of(without_masks(root.name)).meaning in CLASSES for root in named):
        for root in named:  # a product: mask_ok and mask_torn
            places.are_photographs(root)
    else:
        named = []
    outside = {plain(path.stem) for path in images if not places[path].masks}
    for (root, word), group in groups.items():
        glob = quoted(f"{root.as_posix()}/**")
        message = f"{counted(len(group), 'file')} in {root}/"
        options = (f"--masks {glob}", f"--defects {glob}", f"--ignore {glob}")
        if alike[root]:
            found.files.update(group)
            paired = sum(any(key in outside for key in keys(path.stem)) for path in group)
            if word == "maybe_masks" and paired < len(group) / 2:
                found.doubts.append(Doubt(f"{message} look like masks, but are not called as images", options))
        elif word == "masks" and root not in named:
            found.files.update(group)
            found.doubts.append(Doubt(f"{message} look like photographs; taken as masks", options))
        elif root not in named:
            found.unsure.update(group)
            found.doubts.append(Doubt(f"{message} look like photographs; left out", options))


def _beside_images(files: Sequence[Path], images: Sequence[Path], folder: Path, found: MaskFiles) -> None:
    """Files called as another one of their folder: with a mask's word, of another format, or with more behind."""
    stems: dict[Path, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in images:
        stems[path.parent][plain(path.stem)].append(path)
    groups: dict[tuple[str, str, str], list[tuple[Path, Path]]] = defaultdict(list)
    for path in files:
        if partner := beside(path, stems[path.parent]):
            same = plain(partner.stem) == plain(path.stem)
            more = re.sub(r"\d+$", "", plain(path.stem).replace(plain(partner.stem), "", 1))
            groups["format" if same else "word", more, path.suffix.lower()].append((path, partner))
        elif partner := _longer(path, stems[path.parent]):
            groups["longer", plain(path.stem)[len(partner.stem) :], path.suffix.lower()].append((path, partner))
    longer = {path for (manner, _, _), pairs in groups.items() if manner == "longer" for path, _ in pairs}
    counts = Counter(path.parent for path in files if path not in longer)
    for (manner, more, suffix), pairs in groups.items():
        masks = [path for path, _ in pairs]
        glob = quoted(f"*{more if manner != 'format' else ''}{suffix}")
        message = f"{counted(len(masks), 'file')} called <image>{more}{suffix}"
        options = (f"--masks {glob}", f"--defects {glob}", f"--ignore {glob}")
        if look_like_masks(masks) and not look_like_masks([partner for _, partner in pairs]):
            found.files.update(masks)
            if manner == "longer":
                found.doubts.append(Doubt(f"{message} look like masks; taken as such", options))
        elif manner == "word":
            found.unsure.update(masks)
            found.doubts.append(Doubt(f"{message} could be masks, but look like photographs; left out", options))
        elif manner == "longer" and _beside_nearly_all(more, [partner for _, partner in pairs], counts):
            found.unsure.update(masks)
            keep = "--good GLOB --defects GLOB where they are photographs of their own"
            message = f"{message} could be made of the images beside them; left out"
            found.doubts.append(Doubt(message, (f"--ignore {glob}", keep)))


def _beside_nearly_all(more: str, partners: Sequence[Path], counts: Mapping[Path, int]) -> bool:
    """Whether nearly every photograph of these folders has such a file beside it, as x_preview.jpg and x_result.png
    are; `counts` are the photographs by folder, and numbers tell shots of one part apart."""
    every = sum(counts[place] for place in {path.parent for path in partners})
    few = len(set(partners)) < MIN_COMPANIONS
    return not few and any(map(str.isalpha, more)) and len(set(partners)) >= NEARLY_ALL_FRACTION * every


def _longer(path: Path, stems: Mapping[str, Sequence[Path]]) -> Path | None:
    """The file of the same folder whose name this one begins with: 000-x.png of 000.png."""
    return next((stems[stem][0] for stem in beginnings(path.stem) if stem in stems), None)


def _in_other_folders(files: Sequence[Path], places: Places, found: MaskFiles) -> None:
    """Folders whose name says nothing of masks, but whose files look like some and are called as others' images."""
    by_place: dict[Path, list[Path]] = defaultdict(list)
    stems: dict[str, set[Path]] = defaultdict(set)
    for path in files:
        by_place[path.parent].append(path)
        stems[plain(path.stem)].add(path.parent)
    alike = {place: look_like_masks(group) for place, group in list(by_place.items())[:MAX_FOLDERS]}
    for place, group in by_place.items():
        photographs = {other for other in by_place if other != place and not alike.get(other, False)}
        if alike.get(place) and _paired(group, stems, photographs) > len(group) / 2:
            glob = glob_of(places.folder, place)
            found.files.update(group)
            found.doubts.append(
                Doubt(
                    f"{counted(len(group), 'file')} in {place.relative_to(places.folder)}/ look like masks, and are "
                    "called as images are; taken as masks",
                    (f"--masks {glob}", f"--defects {glob}", f"--ignore {glob}"),
                )
            )


def _paired(group: Sequence[Path], stems: Mapping[str, set[Path]], places: set[Path]) -> int:
    return sum(any(stems.get(key, set()) & places for key in keys(path.stem)) for path in group)


def look_like_masks(paths: Sequence[Path]) -> bool:
    """Whether most of a sample of the files do."""
    step = max(1, len(paths) // FILES_SAMPLED)
    sample = sorted(paths)[::step][:FILES_SAMPLED]
    return sum(map(looks_like_mask, sample)) > len(sample) / 2


def looks_like_mask(path: Path) -> bool:
    """Few colours and nothing between them, where photographs have noise. False where it cannot be read."""
    try:
        image = open_image(path)
        if image.info["lossy"]:
            pixels = np.asarray(image.convert("L"))
            return bool((np.minimum(pixels, 255 - pixels) <= MAX_GREY_LEVELS_OFF).mean() >= MIN_COVERED_FRACTION)
        if image.mode.startswith("I;"):
            image = image.convert("I")
        colours = (image if image.mode in ("P", "I", "F") else to_rgb(image, path)).getcolors()
    except BadImage:
        return False
    most = sorted(count for count, _ in colours or [])[-MAX_COLOURS:]
    return sum(most) >= MIN_COVERED_FRACTION * image.width * image.height
