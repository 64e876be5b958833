"""Which categories have a model that the gate has yet to judge. A night that was killed before the gate answered, or
whose model store was away, is so made good by the next: DVC alone would find nothing to do."""

from pipelines.core.paths import STATE

PENDING = STATE / "gate_owed"  # an empty file for each category


def mark_pending(category: str) -> bool:
    """Notes that the gate is to be asked; whether it was owed before."""
    PENDING.mkdir(parents=True, exist_ok=True)
    before = (PENDING / category).is_file()
    (PENDING / category).touch()
    return before


def clear_pending(category: str) -> None:
    """The gate has answered, or there is nothing new to ask."""
    (PENDING / category).unlink(missing_ok=True)


def pending_categories() -> set[str]:
    return {file.name for file in PENDING.glob("*")}
