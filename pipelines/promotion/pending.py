"""Which categories have a model that the gate has yet to judge. A night that was killed before the gate answered, or
whose model store was away, is so made good by the next: DVC alone would find nothing to do."""

from pipelines.core.paths import STATE

OWED = STATE / "gate_owed"  # an empty file for each category


def owe(category: str) -> bool:
    """Notes that the gate is to be asked; whether it was owed before."""
    OWED.mkdir(parents=True, exist_ok=True)
    before = (OWED / category).is_file()
    (OWED / category).touch()
    return before


def settle(category: str) -> None:
    """The gate has answered, or there is nothing new to ask."""
    (OWED / category).unlink(missing_ok=True)


def owed() -> set[str]:
    return {file.name for file in OWED.glob("*")}
