"""Where each thing of a category lies, relative to the project's folder. Stages meet only through these files."""

from pathlib import Path

REPORT = Path("report.html")
SUMMARY = Path("summary.json")


def index_file(category: str) -> Path:
    return Path("data/prepared") / f"{category}.csv"


def model_folder(category: str) -> Path:
    return Path("models") / category


def report_folder(category: str) -> Path:
    return Path("reports") / category
