"""Which version of this project is running."""

import subprocess

RESULTS = (":(exclude)dvc.lock", ":(exclude)reports")  # written by stages and the gate: no change of the project


def project_version() -> dict[str, str]:
    """The commit of this project, and whether tracked files differ from it, but for results."""
    changes = _git("status", "--porcelain", "--untracked-files=no", "--", ".", *RESULTS)
    dirty = changes if changes == "unknown" else str(bool(changes)).lower()
    return {"git_commit": _git("rev-parse", "HEAD"), "git_dirty": dirty}


def _git(*args: str) -> str:
    try:
        done = subprocess.run(["git", *args], capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
