"""How to make a registered version again, from its number alone: commit, images, parameters, commands.

Run as: fastflow reproduce bottle 7 > recipe.sh
"""

import re
import shlex
from collections.abc import Mapping

import mlflow
from mlflow.exceptions import MlflowException

from pipelines.core.paths import model_name
from pipelines.core.percent import choosing
from pipelines.core.sections import CATEGORY_NAME
from pipelines.registry import aliases, store
from pipelines.registry.registered import WEIGHTS_TAG

PARAMS_ARTIFACT = "source/params.yaml"
WEIGHTS_FILE = "weights_sha256"  # of a file of the backbone's weights; only trainings with such a file have this tag
RUN_TAGS = {  # values as a training writes them: no other text of a store may reach a shell
    "category": CATEGORY_NAME,
    "version": "[0-9]+",
    "git_commit": "[0-9a-f]{40}|[0-9a-f]{64}",
    "git_dirty": "true|false|unknown",
    "seed": "-?[0-9]+",
    "params_sha256": "[0-9a-f]{64}",
    "data_dvc_md5": r"[0-9a-f]{32}(\.dir)?|unknown",
    "hardware": ".* [1-9][0-9]* threads.*",
    WEIGHTS_TAG: "[0-9a-f]{64}",
    WEIGHTS_FILE: "[0-9a-f]{64}|none",
}
VERSION_TAGS = {  # and an evaluation, about the threshold; older versions have no rate
    "threshold": "-?[0-9.]+(e[+-]?[0-9]+)?|unknown",
    "threshold_method": "[a-z]+|unknown",
    "threshold_rate": "[0-9.]+(e-[0-9]+)?|unknown",
}
CONTROL_CHARACTERS = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f]")  # a terminal may act on these


def recipe(category: str, version: str) -> str:
    """A script for a shell: run in a fresh clone it ends with the checks of the weights' hash and of the threshold.

    Raises:
        ValueError: no such version, its run is not in this store, or its tags or parameters are not usable.
        ServerAway: the store does not answer.
    """
    client = store.connect()
    with store.answering():
        made = aliases.get_version(client, category, version)
        tags, params = _run_facts(str(made.run_id))
    own = {name: made.tags.get(name, "unknown") for name in (WEIGHTS_TAG, *VERSION_TAGS)}
    return script(category, str(made.version), tags | own, params)


def script(category: str, version: str, tags: Mapping[str, str], params: str) -> str:
    """The commands. `tags` are those of the training's run, as a version's may be of a later evaluation; those of the
    weights and the threshold are the version's.

    Raises:
        ValueError: tags or parameters do not have the form that a training writes.
    """
    name = f"{model_name(category)} version {version}"
    facts = dict.fromkeys((*RUN_TAGS, *VERSION_TAGS), "unknown") | {WEIGHTS_FILE: "none"} | dict(tags)
    facts |= {"category": category, "version": version}
    for what, allowed in (RUN_TAGS | VERSION_TAGS).items():
        if not re.fullmatch(allowed, facts[what]):
            raise ValueError(f"{name} cannot be made again: its {what} is {facts[what]!r}, which is not {allowed!r}")
    if CONTROL_CHARACTERS.search(params):
        raise ValueError(f"{name} cannot be made again: its {PARAMS_ARTIFACT} holds control characters")
    commit, hardware = facts["git_commit"], re.sub(r"[^\w ,./+-]", "?", facts["hardware"], flags=re.ASCII)
    clean = facts["git_dirty"] == "false"
    digest = facts[WEIGHTS_FILE]
    by_hand = (
        [f"# model.weights names a file: copy it here by hand, its sha256 is {digest}"] if digest != "none" else []
    )
    lines = [
        f"# {name}: seed {facts['seed']}, params.yaml {facts['params_sha256'][:12]}",
        "# clean commit" if clean else "# WARNING: it was made with uncommitted changes: the commit alone may differ",
        f"# first, in a fresh clone: git checkout {commit}; make setup; . .venv/bin/activate; then bash with this file",
        "(  # what fails ends these parentheses, not the shell of whoever pasted them",
        "set -eu",
        "git diff --quiet HEAD -- params.yaml || { echo 'params.yaml was changed: use a fresh clone'; exit 1; } >&2",
        f"git checkout --quiet --detach {commit}",
        f"printf %s {shlex.quote(params)} > params.yaml",
        'export DVC_SITE_CACHE_DIR="${DVC_SITE_CACHE_DIR:-$PWD/.dvc/site-cache}"',
        f"# images: DVC knows them as {facts['data_dvc_md5']}; drawn ones need no pull, and those that nobody gave to",
        "# `dvc add` and `dvc push` have to be copied here by hand first",
        f"dvc pull --with-deps --allow-missing prepare@{category} || true",
        *by_hand,
        f"export OMP_NUM_THREADS={re.findall('([0-9]+) threads', hardware)[0]}  # made on: {hardware}",
        f"dvc repro prepare@{category}",
        f"dvc repro --single-item --force train@{category}",
        f"echo '{facts[WEIGHTS_TAG]}  models/{category}/flow.safetensors' | sha256sum --check",
        *_threshold(category, facts, params),
        ")",
    ]
    return "\n".join(lines)


def _threshold(category: str, facts: Mapping[str, str], params: str) -> list[str]:
    """Commands that choose the version's threshold again, where `fastflow threshold` chose it, and a check of it."""
    value, method, rate = (facts[name] for name in VERSION_TAGS)
    if value == "unknown":
        return []
    chosen = []
    if rate != "unknown":
        trained_for = re.search(
            r"^  false_reject_rate: ([0-9.e-]+)", f"\n{params}".partition("\nthreshold:")[2], re.MULTILINE
        )
        if method == "misses":
            chosen = [f"dvc repro --single-item evaluate@{category}", choosing(category, facts)]
        elif trained_for is None or float(trained_for[1]) != float(rate):
            chosen = [choosing(category, facts)]
    read = f"fastflow.sealed.read_config(pathlib.Path('models/{category}'))['threshold']['image']"
    check = f"import pathlib, fastflow.sealed; t = format({read}, '.6g'); print('threshold', t); exit(t != '{value}')"
    return [*chosen, f'python -c "{check}" || {{ echo "it was {value}: fastflow threshold {category}"; exit 1; }} >&2']


def _run_facts(run_id: str) -> tuple[dict[str, str], str]:
    """The tags and the params.yaml of a training's run."""
    try:
        run = mlflow.get_run(run_id)
        return dict(run.data.tags), str(mlflow.artifacts.load_text(f"{run.info.artifact_uri}/{PARAMS_ARTIFACT}"))
    except (MlflowException, OSError) as error:
        raise ValueError(f"run {run_id} or its {PARAMS_ARTIFACT} is not in this store") from error
