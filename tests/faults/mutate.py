"""Break each remedy in a copy of the project, and see that the test of its fault fails: python -m tests.faults.mutate

A test that cannot fail proves nothing. Prints a line a remedy. Exit code 1: a broken one goes unnoticed. 2: the list
does not fit the project, and no test was run; or a test fails though nothing is broken, and so shows nothing.
"""

import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent.parent
NOT_COPIED = {".git", ".venv", ".mlflow", ".prefect", ".state", "models", "reports", "data"}  # of the project's folder
PASSED, FAILED = 0, 1  # exit codes of pytest
STALE = 2
TAKEN_UP = (
    "tests/fastflow/test_train.py::"
    "test_a_training_taken_up_after_any_step_ends_with_the_bits_of_one_that_was_not_interrupted"
)
KILLS = "tests/faults/test_killed_training.py"
ENDS = f"{KILLS}::test_every_rerun_ends_with_the_bits_of_the_uninterrupted_one"
TERM, INT = f"{ENDS}[SIGTERM]", f"{ENDS}[SIGINT]"
DVC = "tests/faults/test_killed_dvc.py"
RESOURCES = "tests/faults/test_resources.py"


class Mutation(NamedTuple):
    """`old`, which stands in `file` once, becomes `new`; then `test` must fail."""

    remedy: str
    file: str
    old: str
    new: str
    test: str


MUTATIONS = [
    Mutation("resume", "pipelines/training/resumable.py", "if state := saved.load():", "if state := None:", TERM),
    Mutation("weights", "fastflow/train.py", 'parameter.copy_(state[f"parameter.{i}"])', "pass", TERM),
    Mutation("optimiser's state", "fastflow/train.py", "self._state_of(parameter, name, value.dtype).copy_(value)",
             "pass", TERM),
    Mutation("random state", "fastflow/train.py", 'self.generator.set_state(state["generator"])', "pass", TERM),
    Mutation("data order", "fastflow/train.py", 'int(step), state["order"]', "int(step), self.rows", TERM),
    Mutation(
        "data order, each step", "fastflow/train.py", 'int(step), state["order"]', "int(step), self.rows", TAKEN_UP
    ),
    Mutation("finish the step, save", "pipelines/core/signals.py", "received.append(number)", "os._exit(0)", INT),
    Mutation("key of the training", "fastflow/resume.py", ".get(KEY) != self.key", ".get(KEY) is None",
             f"{KILLS}::test_another_seed_or_image_starts_anew_and_says_so"),
    Mutation("hash of a state", "fastflow/resume.py", 'hexdigest() != path.name.split(".")[1]', "hexdigest() is None",
             f"{KILLS}::test_damaged_and_torn_states_are_passed_over"),
    Mutation("one writer", "pipelines/core/lock.py", "fcntl.flock(file, fcntl.LOCK_EX)", "pass",
             f"{KILLS}::test_two_at_once_take_turns"),
    Mutation("dies with its parent", "pipelines/core/run.py", "        end_with_dvc()\n", "", DVC),
    Mutation("disk space", "fastflow/files.py", "raise with_space_needed(error, path, len(content))", "raise error",
             f"{RESOURCES}::test_a_full_disk_is_reported_in_megabytes_and_the_old_file_stays"),
    Mutation("temporary name", "fastflow/files.py", 'part = path.with_name(f".{path.name}.part")', "part = path",
             f"{RESOURCES}::test_a_full_disk_is_reported_in_megabytes_and_the_old_file_stays"),
    Mutation("old model kept", "fastflow/checkpoint.py", "    shutil.rmtree(part, ignore_errors=True)\n    try:",
             "    shutil.rmtree(folder, ignore_errors=True)\n    try:",
             f"{RESOURCES}::test_a_checkpoint_that_does_not_fit_leaves_the_older_one"),
    Mutation("seal of config.json", "fastflow/sealed.py", "if seal != known:", "if False:",
             f"{RESOURCES}::test_a_flipped_bit_in_any_file_of_a_model_is_found"),
    Mutation("hash of weights", "fastflow/sealed.py", "if got != expected:", "if False:",
             f"{RESOURCES}::test_a_flipped_bit_in_any_file_of_a_model_is_found"),
    Mutation("hash of images", "fastflow/index.py", "elif file_sha256(root / path) != sha256:", "elif False:",
             f"{RESOURCES}::test_a_flipped_bit_in_an_image_or_the_index_ends_a_training_before_it_begins"),
    Mutation("non-finite loss", "fastflow/train.py", "if not math.isfinite(loss):", "if False:",
             f"{RESOURCES}::test_a_loss_that_is_not_finite_fails_the_training_and_names_images"),
    Mutation("images named", "fastflow/train.py", "return found or chosen.tolist()", "return chosen.tolist()",
             f"{RESOURCES}::test_the_image_whose_features_are_not_finite_is_named"),
]  # fmt: skip


def stale(mutations: list[Mutation]) -> list[str]:
    """What is not as the list says: a sentence for each file, text or test that is not there, or stands there twice."""
    found = []
    for remedy, file, old, _, test in mutations:
        count = (ROOT / file).read_text().count(old) if (ROOT / file).is_file() else None
        if count is None:
            found.append(f"{remedy}: there is no file {file}")
        elif count != 1:
            found.append(f"{remedy}: {file} has {old!r} {count} times, it should have it once")
        path, _, name = test.partition("::")
        if not (ROOT / path).is_file():
            found.append(f"{remedy}: there is no file {path}")
        elif name and name.partition("[")[0] not in functions(ROOT / path):
            found.append(f"{remedy}: {path} has no test {name}")
    return found


def functions(path: Path) -> set[str]:
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the project that goes again."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "project"
        shutil.copytree(ROOT, copy, ignore=lambda folder, _: NOT_COPIED if Path(folder) == ROOT else {"__pycache__"})
        yield copy


def run_test(test: str, project: Path, *, trials: str) -> int:
    """pytest's exit code. `trials`: "1" for all of a test of chance, "0" for as many as CI makes."""
    command = [sys.executable, "-m", "pytest", "-x", "-m", "slow or not slow", test]
    environment = os.environ | {"FASTFLOW_FULL": trials, "PYTHONPATH": str(project)}
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, check=False).returncode


@cache
def passes(test: str) -> bool:
    """Whether the test passes where nothing is broken: one that fails there notices nothing."""
    with copied() as project:
        return run_test(test, project, trials="0") == PASSED


def verdict(mutation: Mutation) -> str:
    """Whether the test fails in a copy with the mutation."""
    if not passes(mutation.test):
        return "UNUSABLE"
    with copied() as project:
        file = project / mutation.file
        file.write_text(file.read_text().replace(mutation.old, mutation.new))
        return "noticed" if run_test(mutation.test, project, trials="1") == FAILED else "MISSED"


def main() -> int:
    only = sys.argv[1:]
    known = {mutation.remedy for mutation in MUTATIONS}
    if faults := stale(MUTATIONS) + [f"there is no remedy {name!r}" for name in only if name not in known]:
        print("no mutation was tried:\n  " + "\n  ".join(faults), file=sys.stderr)
        return STALE
    verdicts = set()
    for mutation in MUTATIONS:
        if not only or mutation.remedy in only:
            found = verdict(mutation)
            verdicts.add(found)
            print(f"{found:8} {mutation.remedy:24} {mutation.test.split('::')[-1]}", flush=True)
    return STALE if "UNUSABLE" in verdicts else int("MISSED" in verdicts)


if __name__ == "__main__":
    sys.exit(main())
