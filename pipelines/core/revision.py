"""Which version of this project is running."""

import os
import subprocess

from pipelines.core import override

RESULTS = ("dvc.lock", "reports")  # written by stages and the gate: no change of the project


def but_for_results(folder: str = ".") -> list[str]:
    """A project's folder without results, as pathspecs of git."""
    return [folder, *(f":(exclude){os.path.normpath(f'{folder}/{name}')}" for name in RESULTS)]


def project_version() -> dict[str, str]:
    """The commit of this project, and whether tracked files differ from it, but for results."""
    here = str(override.project_root()) if override.tags() else "."  # an experiment's folder is a clone of its own
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", *but_for_results(here))
    dirty = changes if changes == "unknown" else str(bool(changes)).lower()
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": dirty}


def _git(*args: str) -> str:
    try:
        done = subprocess.run(["git", *args], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
