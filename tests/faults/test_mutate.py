"""The list of mutations fits the project, and where it does not, each fault is named."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.faults.mutate import MUTATIONS, STALE, Mutation, stale

GOOD = Mutation(
    "a", "tests/faults/mutate.py", "NOT_COPIED =", "", "tests/faults/test_mutate.py::test_the_list_fits_the_project"
)


def test_the_list_fits_the_project() -> None:
    assert stale(MUTATIONS) == []
    assert len({mutation.remedy for mutation in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"file": "fastflow/none.py"}, "a: there is no file fastflow/none.py"),
        (
            {"old": "never written " + "here"},
            "a: tests/faults/mutate.py has 'never written here' 0 times, it should have it once",
        ),
        ({"old": "import"}, " times, it should have it once"),
        ({"test": "tests/none.py"}, "a: there is no file tests/none.py"),
        (
            {"test": "tests/faults/test_mutate.py::test_none[x]"},
            "a: tests/faults/test_mutate.py has no test test_none[x]",
        ),
    ],
)
def test_what_is_stale_is_named(change: dict[str, str], sentence: str) -> None:
    assert stale([GOOD]) == []
    (found,) = stale([GOOD._replace(**change)])
    assert found.endswith(sentence)


def test_an_unknown_remedy_ends_the_run_before_any_test() -> None:
    command = [sys.executable, "-m", "tests.faults.mutate", "cold fusion"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == STALE
    assert done.stderr == "no mutation was tried:\n  there is no remedy 'cold fusion'\n"
