"""Where the files of a table lie: as it says, or below its folder, where all that both say of the path is the same."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from fastflow.files import walk
from pipelines.data.words import word_of


class Files:
    """The files below a table's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        for file in walk(folder):
            self._by_name[_composed(file.name)].append(file)

    def find(self, paths: Iterable[Path], *, never: Collection[Path] = (), masks: bool) -> Mapping[Path, Path]:
        """Each path and the file it means; itself where there is none, or no single one, or two paths would mean it.

        `paths` are as the table writes them, below its folder. Found in spite of a folder's name are files whose
        remaining parts agree, as img/1.png for /data/line/img/1.png; `never` are files that cannot be meant, and
        without `masks` none in a folder of masks.
        """
        found = {path: path if path.is_file() else self._elsewhere(path, never, masks=masks) for path in paths}
        meant: dict[Path, list[Path]] = defaultdict(list)
        for path, file in found.items():
            meant[file].append(path)
        return {path: file if len(meant[file]) == 1 or _same(path, file) else path for path, file in found.items()}

    def _elsewhere(self, path: Path, never: Collection[Path], *, masks: bool) -> Path:
        written = _parts(path, self.folder)
        fitting = []
        for file in self._by_name.get(_composed(path.name), []):
            parts = _parts(file, self.folder)
            common = min(len(parts), len(written))
            if parts[-common:] != written[-common:] or file in never:
                continue
            if masks or not any(word_of(part).meaning == "masks" for part in parts[:-1]):
                fitting.append(file)
        exact = [file for file in fitting if _same(path, file)]
        several = exact or fitting
        return several[0] if len(several) == 1 else path


def _parts(path: Path, folder: Path) -> tuple[str, ...]:
    inside = path.relative_to(folder) if path.is_relative_to(folder) else path
    return tuple(_composed(part) for part in inside.parts)


def _same(path: Path, file: Path) -> bool:
    """Whether two paths are one but for their Unicode form."""
    return _composed(str(path)) == _composed(str(file))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)
