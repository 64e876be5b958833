"""Check everything that a run needs: versions, parameters, weights, locks, caches, data, models, stores, disk.

fastflow doctor            one line a finding, with its remedy; exit code 1 if something is broken
fastflow doctor --fix      cures what can be cured safely: damaged cache files, remnants, permissions
"""

import json
import os
import subprocess
from collections.abc import Iterator

from pipelines.core.dvc import DVC, TIMED_OUT, stage_environment
from pipelines.core.names import counted
from pipelines.core.params import BadParams, Params, read_params
from pipelines.core.paths import STORE, model_folder, model_name
from pipelines.core.stage import Failed, ServerAway
from pipelines.core.tracking_uri import VARIABLE
from pipelines.monitoring import diagnosis
from pipelines.monitoring.diagnosis import Remark
from pipelines.monitoring.surroundings import surroundings
from pipelines.registry import aliases, store
from pipelines.tracking.registration import version_of

DVC_SECONDS = 300  # for an answer of DVC, which may wait for another one's lock, or for its remote


def examine() -> Iterator[Remark]:
    """All remarks, as they are found."""
    yield from diagnosis.versions()
    try:
        params = read_params()
    except BadParams as error:
        yield Remark("fail", "params", str(error), "correct params.yaml")
        return
    yield Remark("ok", "params", "params.yaml")
    for found in (
        surroundings(params), diagnosis.disk(params), diagnosis.weights(params), diagnosis.locks(), remotes(),
        diagnosis.cache(), diagnosis.outputs(params), diagnosis.remnants(),
    ):  # fmt: skip
        yield from found
    store_remarks = list(diagnosis.store())
    yield from store_remarks
    if all(remark.level != "fail" for remark in store_remarks):
        yield from registry(params)


def remotes() -> Iterator[Remark]:
    """DVC itself, and whether its default remote answers."""
    done = _dvc("remote", "default")
    name = done.stdout.strip()
    if done.returncode not in (0, 251) and "No default remote" not in done.stdout + done.stderr:
        yield Remark("fail", "DVC", done.stderr.strip()[-300:] or "does not run", "run from the project's folder")
    elif not name or "No default remote" in name:
        yield Remark(
            "warn",
            "DVC remote",
            "none is set: data and models are on this disk alone",
            "dvc remote add --default NAME ADDRESS, then dvc push: docs/data.md",
        )
    elif _dvc("status", "--cloud", "--json", "--quiet").returncode in (0, 1):
        yield Remark("ok", "DVC remote", name)
    else:
        asked = _dvc("status", "--cloud", "--json")
        first = asked.stderr.strip().partition("\n")[0].removeprefix("ERROR: ")[-300:]
        message = f"{name}: {first or 'does not answer'}"
        yield Remark("fail", "DVC remote", message, "dvc remote list; check that it is reachable")


def registry(params: Params) -> Iterator[Remark]:
    """Which version is champion, and which one models/<category> is."""
    if not os.environ.get(VARIABLE) and not (STORE / "mlflow.db").is_file():
        return
    try:
        client = store.connect()
        with store.answering():
            for category in params.data.categories:
                champion = aliases.alias(client, model_name(category), aliases.CHAMPION)
                folder, known = model_folder(category), aliases.versions(client, model_name(category))
                here = version_of(known, folder) if folder.is_dir() else None
                message = f"{category}: " + (f"version {champion} is champion" if champion else "no champion")
                message += f", {folder} is version {here}" if here else f", {folder} is none of {len(known)} versions"
                yield Remark("ok", "registry", message)
    except (ServerAway, ValueError) as error:
        yield Remark("fail", "registry", str(error), f"start the server, or correct or unset {VARIABLE}")


def _dvc(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*DVC, *arguments]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, env=stage_environment(), check=False, timeout=DVC_SECONDS
        )
    except subprocess.TimeoutExpired:
        said = f"ERROR: no answer within {DVC_SECONDS} s: another DVC may hold its lock, or a remote be away"
        return subprocess.CompletedProcess(command, TIMED_OUT, "", said)


def doctor(*, fix: bool, as_json: bool) -> None:
    """Prints the remarks. Raises Failed if something is broken and was not cured."""
    broken, rows = 0, []
    for remark in examine():
        cured = fix and remark.cure is not None
        if cured and remark.cure:
            remark.cure()
        broken += remark.level == "fail" and not cured
        rows.append(remark._asdict() | {"cure": remark.cure is not None, "cured": cured})
        if not as_json:
            state = "cured" if cured else remark.level
            print(f"{state:5}  {remark.about}: {remark.message}" + (f"\n       {remark.remedy}" * bool(remark.remedy)))
    if as_json:
        print(json.dumps(rows, indent=2))
    if broken:
        raise Failed(f"{counted(broken, 'finding')} to cure")
