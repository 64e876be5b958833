"""What is asked of MLflow's runs: no more of them than allowed, the newest first."""

from typing import Any

import pytest
from mlflow.store.entities import PagedList

from pipelines.registry import store
from pipelines.tracking import history


class Client:
    """Runs 9, 8, 7 and so on, as many a page as asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def search_runs(self, *_: Any, max_results: int, order_by: list[str], page_token: str | None) -> PagedList[int]:
        assert order_by == ["attributes.start_time DESC"]
        first = int(page_token or 9)
        self.asked.append(max_results)
        runs = list(range(first, max(first - max_results, 0), -1))
        return PagedList(runs, str(runs[-1] - 1) if runs[-1] > 1 else None)


@pytest.mark.parametrize(("limit", "pages"), [(2, 1), (4, 1), (6, 2), (99, 3)])
def test_no_more_runs_are_read_than_allowed(limit: int, pages: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "PAGE_SIZE", 4)
    monkeypatch.setattr(store, "experiment_id", lambda _: "0")
    client: Any = Client()
    found: list[Any] = list(history._runs(client, "tags.category LIKE '%'", since=0, limit=limit))
    assert found == list(range(9, 0, -1))[:limit]
    assert client.asked == [min(limit, 4)] * pages
