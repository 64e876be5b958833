"""Which pictures the library's functions are given: a folder, files, arrays, Pillow's images."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fastflow.decode import MAX_PIXELS, SUFFIXES, TOO_MANY_PIXELS, image_files
from fastflow.errors import BadData, BadImage
from fastflow.files import file_sha256
from fastflow.pairing import beside
from fastflow.pixels.picture import Picture, picture_of_array, picture_of_image
from fastflow.sources import plain

Array = NDArray[np.uint8]
One = str | Path | Array | Image.Image
Images = One | Sequence[str | Path] | Sequence[Array | Image.Image]
"""A folder or a file, files; or pictures in memory: arrays uint8 (H, W, 3) in RGB, (N, H, W, 3), Pillow's images of 8
bits. Of colours of 16 bits Pillow keeps 8, and no longer says so once they are loaded: give the file."""
Sources = list[Path] | list[Picture]
NOT_GOOD = {  # folders of data sets that hold what nothing is trained on
    "test", "testing", "test_public", "ground_truth", "groundtruth", "gt", "mask", "masks", "label", "labels", "defect",
    "defects", "defective", "bad", "ng", "nok", "ko", "anomaly", "anomalies", "anomalous", "abnormal",
}  # fmt: skip


def sources_of(images: Images) -> Sources:
    """Image files: those of a folder and below it, by name, or those named; or pictures, named image 0, image 1, ...

    Raises:
        BadData: there is none; or a list of files and pictures both.
        BadImage: an array or an image that is none of `Images`.
        ValueError: what is no picture at all.
    """
    if isinstance(images, str | Path):
        return paths_of(Path(images))
    given = [images] if isinstance(images, Image.Image) or _is_one(images) else list(images)
    if not given:
        raise BadData("an empty list of images; name at least one")
    files = [isinstance(one, str | Path) for one in given]
    if all(files):
        return [Path(str(one)) for one in given]
    if any(files):
        raise BadData("a list of files and pictures both; give the one or the other, so that copies are recognised")
    return [_picture(one, f"image {number}") for number, one in enumerate(given)]


def _is_one(images: object) -> TypeGuard[Array]:
    return isinstance(images, np.ndarray) and images.dtype.kind not in "OU" and images.ndim != 4


def _picture(given: object, name: str) -> Picture:
    match given:
        case Image.Image():
            found = picture_of_image(given, name)
        case np.ndarray():
            found = picture_of_array(given, name)
        case _:
            kinds = "a path, an array uint8 (H, W, 3), or Pillow's image"
            raise ValueError(f"{name}: an image is {kinds}, got {type(given).__name__}")
    if found.image.width * found.image.height > MAX_PIXELS:
        raise BadImage(f"{name}: {found.image.width}x{found.image.height} pixels{TOO_MANY_PIXELS}")
    return found


def paths_of(folder: Path) -> list[Path]:
    """The image files of a folder and below it, by name; a file is itself. Raises BadData where there is none."""
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise BadData(f"{folder} is neither a folder nor a file; name one that is there")
    found = image_files(folder)
    if not found:
        raise BadData(f"{folder} holds no image; looked for {', '.join(SUFFIXES)} in it and below")
    return found


def good_sources_of(images: Images) -> Sources:
    """The same, of good parts alone. Raises BadData where a folder holds tests, defects or masks, too: trained on, they
    would count as good."""
    if not isinstance(images, str | Path):
        return sources_of(images)
    folder = Path(images)
    paths = paths_of(folder)
    if strange := sorted(set(_not_good(paths, folder))):
        good = next((place for place in ("train/good", "train/ok", "good", "ok") if (folder / place).is_dir()), None)
        give = f"give {folder / good}" if good else "give a folder of good ones, or a list of files"
        raise BadData(f"{folder} is no folder of good parts alone: it holds {', '.join(strange[:3])}; {give}")
    return paths


def contents_of(sources: Sources) -> list[str]:
    """A hash of each, equal for copies."""
    return [one.sha256 if isinstance(one, Picture) else file_sha256(one) for one in sources]


def _not_good(paths: Sequence[Path], folder: Path) -> Iterator[str]:
    """Names of folders that hold tests, defects or masks, and of masks that lie beside their images."""
    stems: dict[Path, dict[str, list[Path]]] = {}
    for path in paths:
        stems.setdefault(path.parent, {}).setdefault(plain(path.stem), []).append(path)
    for path in paths:
        yield from (part for part in path.relative_to(folder).parts[:-1] if plain(part) in NOT_GOOD)
        if (other := beside(path, stems[path.parent])) and plain(other.stem) != plain(path.stem):
            yield path.name
