"""The house's rules that pyproject.toml's import contracts cannot hold: dvc.yaml, sizes, packages, the README."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

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
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reachable(path: Path) -> set[str]:
    """Our files that running `path` pulls in, itself and templates beside a page included."""
    seen: set[Path] = set()
    todo = [path]
    while todo:
        here = todo.pop()
        if here not in seen:
            seen.add(here)
            todo += [p for name in imports(here) if (p := ROOT / (name.replace(".", "/") + ".py")).exists()]
    pages = (
        set((ROOT / "pipelines/reporting/pages/templates").iterdir())
        if ROOT / "pipelines/reporting/pages/page.py" in seen
        else set()
    )
    return {relative(p) for p in seen | pages}


@pytest.mark.parametrize("stage", STAGES)
def test_dvc_yaml_names_every_file_a_stage_runs(stage: str) -> None:
    spec = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"][stage]
    assert f"python -m pipelines.{stage}" in spec["cmd"]
    needed = reachable(ROOT / f"pipelines/{stage}.py")
    named = {dep for dep in spec["deps"] if dep.endswith((".py", ".html", ".css", ".js"))}
    assert needed == named, (
        f"dvc.yaml: stage {stage} lacks {sorted(needed - named)}, so a change there would not rerun it, "
        f"and names {sorted(named - needed)} for nothing"
    )


def test_dvc_yaml_names_every_parameter_section_a_stage_reads() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    for stage in STAGES:
        text = (ROOT / f"pipelines/{stage}.py").read_text()
        read = {m.rstrip(".") for m in re.findall(r"params\.([a-z_]+)", text) if m != "model_dump"}
        named = {param.split(".")[0] for param in stages[stage]["params"]}
        assert read <= named, f"{stage} reads {sorted(read - named)}, which dvc.yaml does not name"


def test_every_folder_and_file_of_a_package_is_installed() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    kept = {p for package, globs in data.items() for g in globs for p in (ROOT / package.replace(".", "/")).glob(g)}
    found = {p for folder in ("fastflow", "pipelines") for p in (ROOT / folder).rglob("*") if p.is_file()}
    others = {p for p in found if p.suffix != ".py" and p.parent.name != "__pycache__"}
    assert others <= kept, f"package-data in pyproject.toml lacks {sorted(map(relative, others - kept))}"
    assert all((path.parent / "__init__.py").exists() for path in OURS)


def test_files_are_short() -> None:
    long = {relative(p): n for p in OURS if (n := len(p.read_text().splitlines())) > 250}
    assert not long


def test_readme_tree_and_commands_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    tree = re.search(r"```text\n(.*?)```", readme, flags=re.DOTALL)
    assert tree
    for name in re.findall(r"^([\w./-]+)", tree[1], flags=re.MULTILINE):
        assert (ROOT / name).exists(), f"README's tree names {name}, which is not there"
    targets = set(re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    assert targets >= set(re.findall(r"\bmake ([a-z-]+)", readme))
    for module in re.findall(r"python -m ((?:pipelines|benchmarks)\.\w+)", readme):
        assert (ROOT / (module.replace(".", "/") + ".py")).is_file(), f"README runs {module}, which is not there"
    for image in re.findall(r"!\[[^]]*\]\(([^)]+)\)", readme):
        assert (ROOT / image).is_file()


def test_what_is_imported_is_declared_and_what_is_declared_is_imported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {re.split(r"[<>=]", d)[0].lower() for d in project["dependencies"]}
    names = {"PIL": "pillow", "ruamel": "ruamel.yaml", "prometheus_client": "prometheus-client"}
    found = {names.get(top, top) for p in OURS for m in imports(p) if (top := m.split(".")[0])}
    imported = found - sys.stdlib_module_names - {"fastflow", "pipelines"}
    assert imported <= declared, f"imported, not declared: {sorted(imported - declared)}"
    called = {"dvc", "onnx", "onnxscript"}  # as a program; by torch.onnx
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
