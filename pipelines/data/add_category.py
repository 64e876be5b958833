"""Make a folder of your own images a category: show its content, copy it into data/own/<name>, check every file.

fastflow init /photos/bracket --name bracket       params.yaml then names it, and ImageNet weights
fastflow init mvtec_ad --name bottle               of a public data set, or --name all: fetched by fastflow report
How folders are read: pipelines/data/layouts. The originals are not touched; images are copied byte for byte, masks
become PNG of 0 and 255. Exit code 3 where a doubt remains, or a finding is refused by params.yaml (findings).
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from fastflow.arrange import MAX_STEM_BYTES
from fastflow.decode import AS_MEANT
from fastflow.errors import BadData
from fastflow.files import write_text
from pipelines.core.names import counted, nearest, unknown
from pipelines.core.params import read_params
from pipelines.core.params_edit import write_values
from pipelines.core.paths import DEMO, OWN, STATE
from pipelines.core.pixel_rule import as_pixels, stated_rule
from pipelines.core.sections import CATEGORY_NAME
from pipelines.core.stage import log
from pipelines.data.checks.policy import POLICIES, check_and_decide, listing, to_json
from pipelines.data.data_sets import DATA_SETS
from pipelines.data.layouts.reading import DEFAULT_OPTIONS, ReadingOptions
from pipelines.data.layouts.stored import as_source, how_of, same_place
from pipelines.data.own_folder import import_folder
from pipelines.demo.generate import CATEGORIES

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
    folder = root / name
    params = read_params()
    sources, pixels = dict(params.sources), how.pixels if how.pixels != AS_MEANT else stated_rule(params, name)
    if how._replace(pixels=AS_MEANT) == DEFAULT_OPTIONS and name in sources and same_place(source, sources[name]):
        how = how_of(sources[name])
        log.info("read as params.yaml states, sources.%s", name)
    how = how._replace(pixels=pixels)
    add_category(source, name, root=root, how=how, yes=yes, again=again)
    kept = {key: value.model_dump(exclude_defaults=True) for key, value in sources.items()}
    if source.resolve() != folder.resolve():
        kept[name] = as_source(source, how).model_dump(exclude_defaults=True)
    more: dict[str, object] = {"sources": kept} if kept else {}
    if pixels != stated_rule(params, name):
        every = {**params.pixels, name: as_pixels(pixels)}
        more["pixels"] = {key: value.model_dump(exclude_defaults=True) for key, value in every.items()}
    write_categories([name], root=root, weights=weights, more=more)
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
) -> None:
    """Copies and checks a folder; one that is in its place already is only checked.

    Raises:
        BadData: the folder cannot be read as a category, a doubt remains, or a finding is refused; a refused copy
            stays, to be corrected there.
    """
    if not re.fullmatch(CATEGORY_NAME, name):
        raise ValueError(f"name {name!r} cannot be a category's; allowed: letters, digits, _ . and -")
    if len(name) > MAX_STEM_BYTES:
        raise ValueError(
            f"name {name[:40]!r}... has {len(name)} letters, and becomes a folder's; allowed: {MAX_STEM_BYTES}"
        )
    target = root / name
    there = source.resolve() == target.resolve()
    if not there:
        import_folder(source, target, how, yes=yes, again=again)
    _, decided, _ = check_and_decide(target, read_params().findings, how.pixels)
    everything = STATE / "init" / name / "findings.json"
    write_text(everything, to_json(decided))
    for policy in POLICIES:
        if decided[policy]:
            log.info("%s:\n  %s", policy, listing(decided[policy], all_in=everything.as_posix()))
    if decided["refuse"]:
        raise BadData(
            f"{target}: refused for {counted(len(decided['refuse']), 'finding')}, listed above; correct it there: "
            f"fastflow init {shlex.quote(str(target))} --name {name}"
        )
    log.info("%s is fit for use" if there else "added %s", target)


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
    write_categories(names, root=Path("data") / data_set, weights=weights, more=more)
    log.info("%s", known.notice)
    log.info("next: fastflow report, which downloads what is missing")


def write_categories(
    names: Sequence[str], *, root: Path, weights: str | None, more: Mapping[str, object] = MappingProxyType({})
) -> None:
    """Has params.yaml name the categories, beside others of that root, and the weights: if none are given, they stay
    unchanged, or become ImageNet's where the demo had random ones.

    Raises:
        BadParams: the file would not be valid.
    """
    params = read_params()
    others = params.data.categories if Path(params.data.root) == root else []
    if weights is None:
        demo = Path(params.data.root) == DEMO and params.model.weights == "random"
        weights = "imagenet" if demo else params.model.weights
    if params.download.categories and "download.categories" not in more:  # a plain dvc repro would fetch them
        more = {**more, "download.categories": []}
    if root != DEMO and params.demo.categories:  # it would draw them, and a clone's dvc pull miss them
        more = {**more, "demo.categories": []}
    elif drawn := [name for name in names if root == DEMO and name in CATEGORIES]:
        more = {**more, "demo.categories": list(dict.fromkeys([*params.demo.categories, *drawn]))}
    categories = list(dict.fromkeys([*others, *names]))
    values = {"data.root": root.as_posix(), "data.categories": categories, "model.weights": weights, **more}
    write_values(values)
    if not others:
        own, first = params.data.root, params.data.categories[0]
        back = f" (back: fastflow init {shlex.quote(f'{own}/{first}')} --name {first})" if Path(own) == OWN else ""
        log.info("%s is no longer used; report.html will be of %s%s", own, root, back)
    log.info("params.yaml: %s", ", ".join(f"{key}: {value}" for key, value in values.items() if key != "sources"))
