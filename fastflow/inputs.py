"""Which image files the library's functions are given: a folder, or files."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from fastflow.decode import SUFFIXES, image_files
from fastflow.errors import BadData
from fastflow.pairing import beside
from fastflow.sources import plain

Images = str | Path | Sequence[str | Path]
NOT_GOOD = {  # folders of data sets that hold what nothing is trained on
    "test", "testing", "test_public", "ground_truth", "groundtruth", "gt", "mask", "masks", "label", "labels", "defect",
    "defects", "defective", "bad", "ng", "nok", "ko", "anomaly", "anomalies", "anomalous", "abnormal",
}  # fmt: skip


def paths_of(images: Images) -> list[Path]:
    """Image files: those of a folder and below it, by name, or those named. Raises BadData where there is none."""
    if not isinstance(images, str | Path):
        return [Path(image) for image in images]
    folder = Path(images)
    if folder.is_file():
        return [folder]
    found = image_files(folder)
    if not found:
        raise BadData(f"{folder} holds no image; looked for {', '.join(SUFFIXES)} in it and below")
    return found


def good_paths_of(images: Images) -> list[Path]:
    """The same, of good parts alone. Raises BadData where a folder holds tests, defects or masks, too: trained on, they
    would count as good."""
    paths = paths_of(images)
    if not isinstance(images, str | Path):
        return paths
    folder = Path(images)
    if strange := sorted(set(_not_good(paths, folder))):
        good = next((place for place in ("train/good", "train/ok", "good", "ok") if (folder / place).is_dir()), None)
        give = f"give {folder / good}" if good else "give a folder of good ones, or a list of files"
        raise BadData(f"{folder} is no folder of good parts alone: it holds {', '.join(strange[:3])}; {give}")
    return paths


def _not_good(paths: Sequence[Path], folder: Path) -> Iterator[str]:
    """Names of folders that hold tests, defects or masks, and of masks that lie beside their images."""
    stems: dict[Path, dict[str, list[Path]]] = {}
    for path in paths:
        stems.setdefault(path.parent, {}).setdefault(plain(path.stem), []).append(path)
    for path in paths:
        yield from (part for part in path.relative_to(folder).parts[:-1] if plain(part) in NOT_GOOD)
        if (other := beside(path, stems[path.parent])) and plain(other.stem) != plain(path.stem):
            yield path.name
