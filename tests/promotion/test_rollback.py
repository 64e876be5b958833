"""`rollback`: the champion before, back within seconds, or a refusal where its files are gone."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.promotion.rollback import rollback
from pipelines.registry import aliases, store
from tests.promotion.kit import removed, standing
from tests.registry.kit import registered

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own deprecations are not ours to fix
ROLLBACK_CPU_SECONDS = 5


@pytest.fixture
def two_versions(folder: Path) -> None:
    """Version 2 is champion, version 1 was it before."""
    for number in registered(folder, 2):
        aliases.crown(store.connect(), "plates", number)


def python(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """A process that says what it imports, and its seconds of the processor: those of a clock are the neighbours'."""
    environment = os.environ.copy()
    environment.pop("MLFLOW_TRACKING_URI", None)  # as a person calls it
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


@pytest.mark.slow
def test_a_rollback_gives_the_champion_back_in_seconds(two_versions: None) -> None:
    spent, done = python("-m", "pipelines.cli.app", "rollback", "plates")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "plates: version 1 is champion again" in done.stderr
    assert standing() == {"champion": "1", "previous": "2", "challenger": None}
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mlflow" in imported
    assert "torch" not in imported
    if spent >= ROLLBACK_CPU_SECONDS:  # a crowded processor is slower: then a bare connection is, too
        connected, _ = python("-c", "from pipelines.registry import store; store.connect()")
        assert spent < 2 * connected


def test_a_rollback_to_a_version_without_files_is_refused(two_versions: None) -> None:
    with removed("1"), pytest.raises(ValueError, match="version 1 has lost its files: version 2 stays champion"):
        rollback("plates")
    assert standing() == {"champion": "2", "previous": "1", "challenger": None}
