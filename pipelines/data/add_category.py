"""Make a folder of your own images a category: show its content, copy it into data/own/<name>, check every file.

fastflow init /photos/bracket --name bracket       params.yaml then names it, and ImageNet weights
fastflow init mvtec_ad --name bottle               of a public data set, or --name all: fetched by fastflow report
How folders are read: pipelines/data/layouts. The originals are not touched; images are copied byte for byte, masks
become PNG of 0 and 255. Exit code 3 where a doubt remains, or a finding is refused by params.yaml (findings).
"""

import re
import shlex
from collections.abc import Callable
from functools import partial
from pathlib import Path

from fastflow.arrange import MAX_STEM_BYTES
from fastflow.decode import AS_MEANT
from fastflow.errors import BadData
from fastflow.files import write_text
from pipelines.core.names import counted, nearest, unknown
from pipelines.core.params import read_params
from pipelines.core.paths import OWN, STATE
from pipelines.core.pixel_rule import stated_rule
from pipelines.core.sections import CATEGORY_NAME
from pipelines.core.stage import log
from pipelines.data.category_params import editing, keep_reading, merged, with_stated, write_categories
from pipelines.data.checks.policy import POLICIES, check_and_decide, listing, to_json
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.stored import how_of, same_place
from pipelines.data.own_folder import import_folder

ALL = "all"  # categories of a public data set


def init(
    source: Path,
    name: str,
    *,
    root: Path | None = None,
    how: ReadingOptions = DEFAULT_OPTIONS,
    weights: str | None = None,
    yes: bool = False,
    again: bool = False,
) -> None:
    """Has params.yaml name a category of your own photographs, copied and checked, or one of a public data set.

    `root`: where categories lie, by default data/own. `how`: options of the reading; without any, the
    folder is read as params.yaml (sources) states. Those used are written there. `weights`: as for `write_categories`.
    `yes`: whatever is doubtful is as the table shows it. `again`: the folder is read again, and its copy replaced.

    Raises:
        BadData, ValueError: as `add_category` and `add_public` do; or the fraction is out of range.
    """
    root = root or OWN
    if not 0 <= how.test_fraction < 1:
        raise ValueError(f"--test-fraction is {how.test_fraction}; allowed: 0 to below 1")
    low_high = how.pixels.value_range
    if low_high is not None and not low_high[0] < low_high[1]:
        raise ValueError(f"--value-range is {low_high[0]:g} {low_high[1]:g}; allowed: black, then a higher white")
    if str(source) in DATA_SETS and not source.exists():
        add_public(str(source), name, weights=weights)
        return
    if not source.exists() and (near := nearest(str(source), DATA_SETS)):
        raise BadData(f"folder {source} does not exist; did you mean the data set {near}?")
    folder, stated = root / name, how
    params = read_params()
    pixels = merged(how.pixels, stated_rule(params, name), AS_MEANT)
    if name in params.sources and same_place(source, params.sources[name]):
        how = with_stated(how, how_of(params.sources[name]))
    how = how._replace(pixels=pixels)
    if how != stated:
        log.info("options that were not given are those of params.yaml: sources.%s, pixels.%s", name, name)

    def keep() -> None:
        keep_reading(name, None if source.resolve() == folder.resolve() else source, how)

    add_category(source, name, root=root, how=how, yes=yes, again=again, on_copied=keep)
    with editing():
        write_categories([name], root=root, weights=weights)
    track = f". To have the images tracked: dvc add {shlex.quote(str(folder))}"
    log.info("next: fastflow report%s", track * (not Path(f"{folder}.dvc").is_file() or again))


def add_category(
    source: Path,
    name: str,
    *,
    root: Path,
    how: ReadingOptions = DEFAULT_OPTIONS,
    yes: bool = False,
    again: bool = False,
    on_copied: Callable[[], None] = lambda: None,
) -> None:
    """Copies and checks a folder; one that is in its place already is only checked. `on_copied` is called between.

    Raises:
        BadData: the folder cannot be read as a category, a doubt remains, or a finding is refused; a refused copy
            stays, to be corrected there, but for one that would replace an earlier copy.
    """
    if not re.fullmatch(CATEGORY_NAME, name):
        raise ValueError(f"name {name!r} cannot be a category's; allowed: letters, digits, _ . and -")
    if len(name) > MAX_STEM_BYTES:
        raise ValueError(
            f"name {name[:40]!r}... has {len(name)} letters, and becomes a folder's; allowed: {MAX_STEM_BYTES}"
        )
    target = root / name
    there = source.resolve() == target.resolve()
    usable = partial(require_usable, name, how)
    checked = not there and import_folder(source, target, how, yes=yes, again=again, usable=usable)
    on_copied()
    if refused := 0 if checked else findings_of(target, name, how):
        raise BadData(
            f"{target}: refused for {counted(refused, 'finding')}, listed above; correct it there: "
            f"fastflow init {shlex.quote(str(target))} --name {name}"
        )
    log.info("%s is fit for use" if there else "added %s", target)


def findings_of(folder: Path, name: str, how: ReadingOptions) -> int:
    """Logs what is wrong with a category's folder; the number of findings for which it is refused."""
    _, decided, _ = check_and_decide(folder, read_params().findings, how.pixels)
    everything = STATE / "init" / name / "findings.json"
    write_text(everything, to_json(decided))
    for policy in POLICIES:
        if decided[policy]:
            log.info("%s:\n  %s", policy, listing(decided[policy], all_in=everything.as_posix()))
    return len(decided["refuse"])


def require_usable(name: str, how: ReadingOptions, copy: Path) -> None:
    """Raises BadData where a copy, not in its place yet, would be refused."""
    if refused := findings_of(copy, name, how):
        raise BadData(
            f"the new copy is refused for {counted(refused, 'finding')}, listed above, and the earlier one stays; "
            "correct the folder that is read, and run the same command again"
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
    with editing():
        there = read_params().download
        fetched = list(dict.fromkeys([*(there.categories if there.source == data_set else []), *names]))
        more = {"download.source": data_set, "download.categories": fetched}
        write_categories(names, root=Path("data") / data_set, weights=weights, more=more)
    log.info("%s", known.notice)
    log.info("next: fastflow report, which downloads what is missing")
