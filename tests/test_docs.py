"""Every command that the README and the documents show is one that exists, with options that it has."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer import Typer
from typer.main import get_command

from pipelines.cli import operations
from pipelines.cli.app import app
from pipelines.data.checks.finding import REMEDIES
from tests.conftest import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OTHERS = {  # programs that are not ours, and what they need
    "make", "dvc", "git", "curl", "export", "set", ".", "find", "mlflow", "prefect", "docker", "pip", "uv", "cd",
    "kubectl", "python", "bash", "sudo",
}  # fmt: skip


def lines_of(page: Path) -> Iterator[str]:
    """Commands of the page's sh blocks, continued lines joined, comments and prompts away; and inline ones of ours."""
    text = page.read_text()
    for block in re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            bare = re.sub(r"(^|\s)#.*$", "", line).strip()
            for part in re.split(r"\s*(?:;|&&|\|)\s*", bare):
                if part:
                    yield part
    yield from re.findall(r"`((?:fastflow [a-z-]|python -m (?:pipelines|benchmarks)\.\w)[^`]*)`", text)


def commands() -> list[tuple[str, str]]:
    return [(page.name, line) for page in PAGES for line in lines_of(page)]


def words_of(line: str) -> list[str]:
    words = shlex.split(line.replace("...", "x"), comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words.pop(0)
    for sign in (">", "<", "&"):
        words = words[: words.index(sign)] if sign in words else words
    return words


def typed(program: Typer, words: list[str]) -> None:
    """Parsed by typer, not run."""
    group: Any = get_command(program)
    if words[0] == "-C":
        words = words[2:]
    assert words[0] in group.commands, words
    if len(words) == 1:
        return  # the command's name, in a sentence
    with group.commands[words[0]].make_context(words[0], words[1:]):
        return


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: str(value)[:60])
def test_each_command_exists_with_its_options(page: str, line: str) -> None:
    words = words_of(line)
    if not words:
        return
    if words[0] == "fastflow":
        if "--help" not in words:
            typed(app, words[1:])
        return
    if words[:2] == ["python", "-m"] and words[2].startswith("pipelines."):
        assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file(), f"{page}: {line}"
        if words[2] == "pipelines.cli.operations":
            typed(operations.app, words[3:])
        return
    if words[:2] == ["python", "-m"] and words[2].startswith("benchmarks."):
        assert (ROOT / (words[2].replace(".", "/") + ".py")).is_file(), f"{page}: {line}"
        return
    assert words[0] in OTHERS or words[0].startswith(("/", "MLFLOW")), f"{page} shows {line!r}"


TEXTS = [*PAGES, *(ROOT / name for name in ("SECURITY.md", "prefect.yaml", "Makefile"))]


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.name)
def test_files_and_modules_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text()
    rooms = "fastflow|pipelines|tests|benchmarks"
    files = set(re.findall(rf"(?<![\w./-])((?:{rooms})/[\w./-]*\w)", text))
    assert not sorted(name for name in files if not (ROOT / name).exists())
    modules = re.findall(rf"python3? -m ((?:{rooms})[\w.]*\w)|\b(pipelines(?:\.\w+)+)", text)
    assert not sorted(name for found in modules for name in found if name and not exists(name))


def exists(name: str) -> bool:
    """Whether there is a module or package of that dotted name, or the definition that its last part names."""
    place = ROOT / name.replace(".", "/")
    if place.is_dir() or place.with_suffix(".py").is_file():
        return True
    above = place.parent.with_suffix(".py")
    return above.is_file() and bool(re.search(rf"^(?:def|class) {place.name}\b", above.read_text(), re.MULTILINE))


def test_what_is_to_be_extended_is_there_by_its_name() -> None:
    section = (ROOT / "CONTRIBUTING.md").read_text().partition("## Where a new thing goes")[2]
    code = "\n".join(
        path.read_text() for room in ("fastflow", "pipelines", "tests") for path in (ROOT / room).rglob("*.py")
    )
    names = set(re.findall(r"`([A-Za-z_]+)`", section))
    assert len(names) > 5
    for name in names:
        assert re.search(rf"^(?:def {name}\(|class {name}\b|{name}\b.* = )", code, flags=re.MULTILINE), name


def test_every_finding_is_explained() -> None:
    text = (ROOT / "docs/data.md").read_text()
    table = {name for row in re.findall(r"^\| ([a-z_, ]+) \|", text, flags=re.MULTILINE) for name in row.split(", ")}
    assert set(REMEDIES) <= table


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page, line in commands():
        words = words_of(line)
        if words[:1] == ["make"]:
            named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            assert set(named) <= targets | {"help"}, f"{page}: {line}"


def test_pages_link_to_what_is_there() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs/README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\(([a-z-]+\.md)\)", index))
