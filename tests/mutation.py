"""Whether tests notice small faults in the modules whose mistakes cost most: python -P tests/mutation.py [MODULE ...]

mutmut makes the faults: of each module a sample, the same for the same module and `--seed`, and tries each with the
test files that are meant for the module (`[tool.mutation]` of pyproject.toml). Faults in a text alone are left out; two
kinds are added, the statement that is missing and the check that never refuses. Survivors are printed as differences.
Exit code 1: a module stays below `--least`. What it writes lies in mutants/.
"""

import argparse
import ast
import gc
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import libcst as cst
from mutmut import __main__ as mutmut
from mutmut.configuration import config
from mutmut.mutation.file_mutation import mutate_file_contents
from mutmut.mutation.mutators import mutation_operators

ROOT = Path(__file__).parent.parent
WORK = ROOT / "mutants"
IMPORTED_ONCE = ("mlflow", "numba", "pandas", "scipy.stats", "sklearn.metrics", "timm", "torch")
LATE = {-24, -9, 24, 36, 152}  # exit codes of tests that ran past their time, on a busy machine for that alone
KILLED = {1, 3} | LATE  # pytest's of a failed test
NOT_COUNTED = """import os
if os.environ.get("MUTANT_UNDER_TEST") == "stats" and not os.path.isfile("pyproject.toml"):
    del os.environ["MUTANT_UNDER_TEST"]
"""


def without_statement(node: cst.Expr) -> Iterator[cst.Expr]:
    """A call for its effect is not made."""
    if isinstance(node.value, cst.Call):
        yield node.with_changes(value=cst.Ellipsis())


def without_refusal(node: cst.If) -> Iterator[cst.If]:
    """What ends in an exception is never refused."""
    last = node.body.body[-1]
    if isinstance(last, cst.SimpleStatementLine) and isinstance(last.body[-1], cst.Raise):
        yield node.with_changes(test=cst.Name("False"))


def tell_nothing(function: ast.AST) -> str:
    """The code of a function without its name and its texts."""
    for node in ast.walk(function):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name:
            node.name = ""
    return ast.dump(function)


def sample(module: str, *, size: int, seed: int) -> list[str]:
    """Names of `size` faults of the module; all, where it has fewer."""
    made = mutate_file_contents(module, (ROOT / module).read_text())
    functions = {
        node.name: node
        for node in ast.walk(ast.parse(made.code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "__mutmut_" in node.name
    }
    told = {name: tell_nothing(node) for name, node in functions.items()}
    faults = sorted(
        name for name in made.mutant_names if told[name] != told[f"{name.rpartition('__mutmut_')[0]}__mutmut_orig"]
    )
    chosen = random.Random(f"{seed} {module}").sample(faults, min(size, len(faults)))
    return [f"{module.removesuffix('.py').replace('/', '.')}.{name}" for name in chosen]


def copied() -> None:
    """The project as it is now, to `WORK`. A Python that tests start runs `NOT_COUNTED` first: there mutmut would note
    which test runs what, and finds its settings in the project's folder alone."""
    shutil.rmtree(WORK, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and Path(name).is_file():
            (WORK / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, WORK / name)
    (WORK / "sitecustomize.py").write_text(NOT_COUNTED)


def try_faults(faults: dict[str, list[str]], tests: list[str]) -> None:
    """Tries these faults of each module, each with those of the tests that run it; mutmut keeps what came of it."""
    os.environ["PYTHONPATH"] = str(WORK)  # of processes that tests start
    config().only_mutate[:] = list(faults)
    config().pytest_add_cli_args_test_selection[:] = tests
    for name in IMPORTED_ONCE:
        import_module(name)
    gc.freeze()  # children would copy it all to look for garbage
    with told_to(WORK / "output.txt"):
        mutmut._run([name for names in faults.values() for name in names], 1)


def share_noticed(module: str, names: list[str]) -> float:
    """Prints what survived, and how many were noticed."""
    codes = json.loads((WORK / f"{module}.meta").read_text())["exit_code_by_key"]
    alive = [name for name in names if codes[name] not in KILLED]
    for name in alive:
        changed = [line for line in mutmut.get_diff_for_mutant(name).splitlines() if line[:1] in "+-"]
        print(f"  survived ({codes[name]}): {name}", *changed[2:], sep="\n    ")
    noticed = len(names) - len(alive)
    late = sum(codes[name] in LATE for name in names)
    told = f", {late} of them by a test that ran past its time" * bool(late)
    print(f"{module}: {noticed} of {len(names)} noticed ({noticed / max(1, len(names)):.0%}){told}", flush=True)
    return noticed / max(1, len(names))


@contextmanager
def told_to(file: Path) -> Iterator[None]:
    """What this process and its children print goes to a file."""
    kept = os.dup(1)
    sys.stdout.flush()
    with file.open("w") as told:
        os.dup2(told.fileno(), 1)
    try:
        yield
    except SystemExit:
        print(file.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def main() -> int:
    known: dict[str, list[str]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mutation"]
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("modules", nargs="*", help="such as fastflow/score.py; default: all")
    reader.add_argument("--sample", type=int, default=30, help="faults of a module")
    reader.add_argument("--seed", type=int, default=0)
    reader.add_argument("--least", type=float, default=0.85, help="share that must be noticed")
    reader.add_argument("--only", nargs="*", default=[], help="those of the sample with these names, as printed")
    asked = reader.parse_args()
    if unknown := set(asked.modules) - set(known):
        reader.error(f"pyproject.toml, tool.mutation, has no {', '.join(unknown)}; it has {', '.join(known)}")
    os.chdir(ROOT)
    copied()
    mutation_operators.extend([(cst.Expr, without_statement), (cst.If, without_refusal)])
    faults = {}
    for module in asked.modules or known:
        drawn = sample(module, size=asked.sample, seed=asked.seed)
        faults[module] = [name for name in drawn if not asked.only or name in asked.only]
    try_faults(faults, sorted({test for module in faults for test in known[module]}))
    return int(min(share_noticed(*one) for one in faults.items()) < asked.least)


if __name__ == "__main__":
    sys.exit(main())
