"""Parts of messages: an unknown name with the nearest known one, and counts with their unit."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches


def nearest(name: str, known: Collection[str]) -> str | None:
    """The known name that was probably meant; None where nothing is near."""
    return next(iter(get_close_matches(name, known, n=1)), None)


def unknown(name: str, known: Collection[str], *, what: str, where: str) -> str:
    """Such as: no category 'botle' in params.yaml, which has bottle, cable; did you mean 'bottle'?"""
    near = nearest(name, known)
    guess = f"; did you mean {near!r}?" if near else ""
    return f"no {what} {name!r} in {where}, which has {', '.join(sorted(known)) or 'none'}{guess}"


def check_categories(categories: Iterable[str], known: Collection[str]) -> None:
    """Raises ValueError at the first that params.yaml does not list."""
    for name in categories:
        if name not in known:
            raise ValueError(unknown(name, known, what="category", where="params.yaml (data.categories)"))


def counted(number: int, thing: str) -> str:
    """Such as: 1 finding, 2 findings, 2 boxes."""
    plural = "es" if thing.endswith(("x", "ch", "sh")) else "s"
    return f"{number:,} {thing}{plural * (number != 1)}"
