"""The usual name of a layout: the first description that fits the content of a folder."""

import re
from collections.abc import Callable
from typing import NamedTuple

from fastflow.sources import plain
from pipelines.data.layouts.places import Places
from pipelines.data.layouts.tree import Tree


class Shape(NamedTuple):
    """Folders and files below the folder, relative, in lower case, and the words of the folders."""

    folders: set[str]
    files: set[str]
    words: set[str]

    def beside(self, one: str, other: str) -> bool:
        """Whether two folders of these names lie side by side."""
        return any(
            f"{folder[: -len(one)]}{other}" in self.folders
            for folder in self.folders
            if f"/{folder}".endswith(f"/{one}")
        )

    def any_file(self, pattern: str) -> bool:
        return any(re.search(pattern, file) for file in self.files)

    def any_folder(self, pattern: str) -> bool:
        return any(re.search(pattern, folder) for folder in self.folders)


LAYOUTS: tuple[tuple[str, Callable[[Shape], bool]], ...] = (
    ("VisA", lambda s: s.any_folder(r"(^|/)data/images/(normal|anomaly)$")),
    ("MVTec AD 2", lambda s: s.any_folder(r"(^|/)test_public(/|$)")),
    ("MVTec LOCO AD", lambda s: s.any_folder(r"(^|/)ground_truth/(logical|structural)_anomalies(/|$)")),
    ("BTAD", lambda s: s.any_folder(r"(^|/)train/ok$") and s.any_folder(r"(^|/)test/ko$")),
    ("KolektorSDD", lambda s: s.any_folder(r"(^|/)kos\d+$")),
    ("KolektorSDD2", lambda s: s.any_file(r"^(train|test)/[^/]*\d_gt\.png$")),
    ("DAGM", lambda s: s.any_folder(r"(^|/)train/label$")),
    ("magnetic tiles", lambda s: s.any_folder(r"(^|/)mt_\w+(/imgs)?$")),
    ("Roboflow, label masks", lambda s: s.any_file(r"(^|/)_classes\.csv$")),
    ("CVAT or Pascal VOC, label masks", lambda s: s.any_folder(r"(^|/)segmentation(class|object)$")),
    ("MVTec AD", lambda s: s.beside("train", "ground_truth")),
    ("MVTec AD", lambda s: s.beside("train", "test") and not s.beside("train", "valid")),
    ("train, valid and test by class", lambda s: "split" in s.words and bool(s.words & {"good", "bad"})),
    ("by class", lambda s: bool(s.words & {"good", "bad", "defect", ""})),
    ("masks in a folder", lambda s: bool(s.words & {"masks", "maybe_masks"})),
    ("masks beside images", lambda s: s.any_file(r"[-_ ](mask|gt|label|seg\w*)\.\w+$")),
)


def layout_name(tree: Tree, places: Places, *, said: bool) -> str:
    """Such as MVTec AD, by class or flat; `said`: options name what the files are."""
    files = {plain(path.relative_to(tree.folder).as_posix()) for path in [*tree.images, *tree.others]}
    folders = {file[: slash.start()] for file in files for slash in re.finditer("/", file)}
    meanings = {word.meaning for path in tree.images for word in places[path].words}
    meanings |= {"split" for path in tree.images if places[path].split}
    meanings |= {places[path].masks for path in tree.images if places[path].masks}
    shape = Shape(folders, files, meanings)
    name = next((name for name, fits in LAYOUTS if fits(shape)), "flat")
    return f"{name}, as the options say" if said else name
