"""Make a folder of your own images a category: say what it holds, copy it into data/own/<name>, check every file.

fastflow init /photos/bracket --name bracket       params.yaml then names it, and ImageNet weights
fastflow init mvtec_ad --name bottle               of a public data set, or --name all: fetched by fastflow report
Layouts: pipelines/data/layouts.py. The originals are not touched; images are copied byte for byte, masks become PNG of
0 and 255. Exit code 3 if something is found that params.yaml (section findings) refuses.
"""

import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import numpy as np
from PIL import Image

from fastflow.decode import BadImage, read_mask
from fastflow.errors import BadData
from pipelines.core.lock import locked
from pipelines.core.names import counted, nearest, unknown
from pipelines.core.params import CATEGORY_NAME, read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import DEMO, OWN
from pipelines.core.progress import progress
from pipelines.core.stage import log
from pipelines.data.checks.policy import POLICIES, check_and_decide, tell
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.layouts import Found, find_layout

ALL = "all"  # categories of a public data set
TEST_FRACTION = 0.2
NAMED = 10  # files that a line lists


def init(
    source: Path,
    name: str,
    *,
    root: Path | None = None,
    test_fraction: float | None = None,
    weights: str | None = None,
) -> None:
    """Has params.yaml name a category of your own photographs, copied and checked, or one of a public data set.

    `root`: where categories lie, by default data/own. `test_fraction`: of the good images, where none are set apart, by
    default TEST_FRACTION. `weights`: as `take_into_use` says.

    Raises:
        BadData, ValueError: as `add_category` and `add_public` do; or the fraction is none.
    """
    root = root or OWN
    fraction = TEST_FRACTION if test_fraction is None else test_fraction
    if not 0 <= fraction < 1:
        raise ValueError(f"--test-fraction is {fraction}; allowed: 0 to below 1")
    if str(source) in DATA_SETS and not source.exists():
        add_public(str(source), name, weights=weights)
        return
    if not source.exists() and (near := nearest(str(source), DATA_SETS)):
        raise BadData(f"folder {source} does not exist; did you mean the data set {near}?")
    add_category(source, name, root=root, test_fraction=fraction)
    take_into_use([name], root=root, weights=weights)
    folder = root / name
    untracked = f". To have the images tracked: dvc add {folder}" * (not Path(f"{folder}.dvc").is_file())
    log.info("next: fastflow report%s", untracked)


def add_category(source: Path, name: str, *, root: Path, test_fraction: float) -> None:
    """Copies and checks; a category that is in its place already is only checked.

    Raises:
        BadData: nothing can be made of the folder, or a finding is refused; its copy stays, to be cured there.
    """
    if not re.fullmatch(CATEGORY_NAME, name):
        raise ValueError(f"name {name!r} cannot be a category's; allowed: letters, digits, _ . and -")
    target = root / name
    there = source.resolve() == target.resolve()
    if not there:
        copy_from(source, target, test_fraction=test_fraction)
    _, decided = check_and_decide(target, read_params().findings)
    for policy in POLICIES:
        if decided[policy]:
            log.info("%s:\n  %s", policy, tell(decided[policy]))
    if decided["refuse"]:
        raise BadData(
            f"{target}: refused for {counted(len(decided['refuse']), 'finding')}, told above; cure that there, then: "
            f"fastflow init {target} --name {name}"
        )
    log.info("%s is fit for use" if there else "added %s", target)


def copy_from(source: Path, target: Path, *, test_fraction: float) -> None:
    """The folder in MVTec AD's layout, all of it or nothing. Raises BadData, ValueError."""
    root, name = target.parent, target.name
    if target.exists():
        raise there_already(target)
    found = find_layout(source, test_fraction=test_fraction)
    log.info("%s", summary(source, found))
    root.mkdir(parents=True, exist_ok=True)
    with locked(root / f".{name}.lock"):  # of two calls the second finds the first one's category
        if target.exists():
            raise there_already(target)
        staging = target.with_name(f".{name}.part")
        shutil.rmtree(staging, ignore_errors=True)  # left by a call that was killed
        try:
            copy(found, staging)
            staging.rename(target)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def there_already(target: Path) -> ValueError:
    return ValueError(
        f"{target} exists; to check it again: fastflow init {target} --name {target.name}, with --weights where those "
        "are to change; for other images choose another --name, or remove it"
    )


def add_public(data_set: str, name: str, *, weights: str | None) -> None:
    """Has params.yaml name a category of a public data set, or all of them: nothing is fetched yet.

    Raises:
        ValueError: it has no such category.
    """
    known = DATA_SETS[data_set]
    if name != ALL and name not in known.counts:
        raise ValueError(unknown(name, known.counts, what="category", where=known.title))
    names = list(known.counts) if name == ALL else [name]
    there = read_params().download
    fetched = list(dict.fromkeys([*(there.categories if there.source == data_set else []), *names]))
    more = {"download.source": data_set, "download.categories": fetched}
    take_into_use(names, root=Path("data") / data_set, weights=weights, more=more)
    log.info("%s", known.notice)
    log.info("next: fastflow report, which downloads what is not here")


def take_into_use(
    names: Sequence[str], *, root: Path, weights: str | None, more: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Has params.yaml name the categories, beside others of that root, and the weights: if none are given, they stay as
    they are, or become ImageNet's where the demo was content with random ones.

    Raises:
        BadParams: the file would not be valid.
    """
    params = read_params()
    others = params.data.categories if Path(params.data.root) == root else []
    if weights is None:
        demo = Path(params.data.root) == DEMO and params.model.weights == "random"
        weights = "imagenet" if demo else params.model.weights
    if params.download.categories and "download.categories" not in more:  # a plain dvc repro would fetch them
        more = {"download.categories": []}
    categories = list(dict.fromkeys([*others, *names]))
    values = {"data.root": root.as_posix(), "data.categories": categories, "model.weights": weights, **more}
    write_values(values)
    if not others:
        own, first = params.data.root, params.data.categories[0]
        back = f" (back: fastflow init {own}/{first} --name {first})" if Path(own) == OWN else ""
        log.info("%s is no longer looked at; report.html will be of %s%s", own, root, back)
    log.info("params.yaml: %s", ", ".join(f"{key}: {value}" for key, value in values.items()))


def summary(source: Path, found: Found) -> str:
    """What was found, a line a class."""
    counts = Counter((item.split, item.defect_type) for item in found.items)
    masks = Counter((item.split, item.defect_type) for item in found.items if item.mask)
    lines = [f"{source}: layout {found.layout}"]
    lines += [
        f"  {split}/{kind}: {counted(n, 'image')}, {counted(masks[split, kind], 'mask')}"
        for (split, kind), n in sorted(counts.items())
    ]
    if found.set_apart:
        names = ", ".join(path.name for path in found.set_apart[:NAMED])
        more = f" and {len(found.set_apart) - NAMED} more" if len(found.set_apart) > NAMED else ""
        lines.append(f"  set apart for the test, by their content's hash: {names}{more}")
    if not any(item.defect_type != "good" for item in found.items):
        lines.append("  no defect: training, threshold and report work; metrics that need defects will be null")
    if found.unused:
        lines += [f"  NOT USED: {counted(len(found.unused), 'file')}", *(f"    {path}" for path in found.unused)]
    return "\n".join(lines)


def copy(found: Found, folder: Path) -> None:
    """Writes the MVTec AD layout."""
    with progress("copying", len(found.items), unit="image") as advance:
        for item in found.items:
            target = folder / item.targets()[0]
            target.parent.mkdir(parents=True, exist_ok=True)
            with item.image.open("rb") as source, target.open("xb") as file:  # x: never over another
                shutil.copyfileobj(source, file)
            if item.mask:
                copy_mask(item.mask, folder / item.targets()[1])
            advance()


def copy_mask(mask: Path, target: Path) -> None:
    """As PNG of 0 and 255, read as `fastflow.decode` says. What is unreadable is copied as it is, for the check."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        marked = read_mask(mask)
    except BadImage:
        shutil.copyfile(mask, target)
        return
    Image.fromarray(marked.astype(np.uint8) * 255).save(target)
