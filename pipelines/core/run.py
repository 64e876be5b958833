"""A stage's command: its one option, its turn at its output, its exit code."""

import argparse
from collections.abc import Callable

from pipelines.core.lock import locked
from pipelines.core.params import Params, read_params
from pipelines.core.paths import STATE
from pipelines.core.signals import end_with_dvc
from pipelines.core.stage import exit_code

LOCKS = STATE / "locks"


def run_category_stage(work: Callable[[str, Params], None], *, doc: str | None) -> int:
    """Runs `work(category, params)` for `--category`, one process at a time; returns the exit code, after one sentence
    on stderr."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", required=True, help="one product, a folder of data.root")
    category: str = parser.parse_args().category

    def alone() -> None:
        params = read_params()
        LOCKS.mkdir(parents=True, exist_ok=True)
        stage = f"{work.__name__}@{category}"
        with locked(LOCKS / f"{stage}.lock", what=stage):
            work(category, params)

    end_with_dvc()
    return exit_code(alone)


def run_stage(work: Callable[[Params], None], *, doc: str | None) -> int:
    """Runs `work(params)` for a stage of all categories; returns the exit code."""
    argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    return exit_code(lambda: work(read_params()))
