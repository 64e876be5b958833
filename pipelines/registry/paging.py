"""Answers that MLflow gives in pages."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from mlflow.store.entities import PagedList

T = TypeVar("T")


def all_pages(search: Callable[[str | None], PagedList[T]]) -> Iterator[T]:
    """What a search finds on all pages, each asked for when the one before is used up; `search` takes a page's token,
    None for the first."""
    token: str | None = None
    while True:
        part = search(token)
        yield from part
        token = part.token
        if not token:
            return
