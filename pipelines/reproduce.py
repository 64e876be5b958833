"""How to make a registered version again, from its number alone: commit, images, parameters, commands.

Run as: python -m pipelines.reproduce --category bottle --version 7
"""

import argparse
import sys

import mlflow
from mlflow.exceptions import MlflowException

from pipelines import aliases, store
from pipelines.stage import exit_code

PARAMS_ARTIFACT = "source/params.yaml"


def recipe(category: str, version: str) -> str:
    """Commands with comments, for a shell: run in a fresh clone they end with the printed weights hash.

    Raises:
        ValueError: no such version, or its run is not in this store.
        ServerAway: the store does not answer.
    """
    client = store.connect()
    with store.answering():
        made = aliases.get_version(client, category, version)
        tags = dict(made.tags)
        params = _params(str(made.run_id))
    threads = tags.get("hardware", "").partition(" threads")[0].rpartition(" ")[2]
    dirty = tags.get("git_dirty") != "false"
    lines = [
        f"# {made.name} version {version}: seed {tags.get('seed')}, params.yaml {tags.get('params_sha256', '')[:12]}",
        "# WARNING: it was made with uncommitted changes: the commit alone may differ" if dirty else "# clean commit",
        f"git checkout {tags.get('git_commit')}",
        "cat > params.yaml <<'END_OF_PARAMS'",
        params.rstrip("\n"),
        "END_OF_PARAMS",
        f"# images: DVC knows them as {tags.get('data_dvc_md5')}; drawn or prepared ones need no pull",
        "dvc pull --run-cache --allow-missing || true",
        f"export OMP_NUM_THREADS={threads or 1}    # made on: {tags.get('hardware')}",
        f"dvc repro prepare@{category}",
        f"dvc repro --single-item --force train@{category}",
        f"echo '{tags.get('sha256.flow.safetensors')}  models/{category}/flow.safetensors' | sha256sum --check",
    ]
    return "\n".join(lines)


def _params(run_id: str) -> str:
    try:
        address = f"{mlflow.get_run(run_id).info.artifact_uri}/{PARAMS_ARTIFACT}"
        return str(mlflow.artifacts.load_text(address))
    except (MlflowException, OSError) as error:
        raise ValueError(f"run {run_id} or its {PARAMS_ARTIFACT} is not in this store") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", required=True)
    parser.add_argument("--version", required=True, help="a number, as the registry shows it")
    args = parser.parse_args()
    print(recipe(args.category, args.version))


if __name__ == "__main__":
    sys.exit(exit_code(main))
