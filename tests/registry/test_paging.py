"""Answers in pages, read whole and no further than they are used."""

from itertools import islice

from mlflow.store.entities import PagedList

from pipelines.registry.paging import all_pages

PAGES = {None: ([1, 2], "b"), "b": ([], "c"), "c": ([3], None)}


def test_all_pages_are_read_an_empty_one_ends_nothing_and_none_is_read_in_vain() -> None:
    asked: list[str | None] = []

    def search(token: str | None) -> PagedList[int]:
        asked.append(token)
        return PagedList(*PAGES[token])

    assert list(all_pages(search)) == [1, 2, 3]
    assert asked == [None, "b", "c"]
    asked.clear()
    assert list(islice(all_pages(search), 2)) == [1, 2]
    assert asked == [None]
