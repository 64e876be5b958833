"""Where every category stands in the model registry: its champion, and the version that waits."""

from collections.abc import Mapping
from typing import NamedTuple

import mlflow

from pipelines.core.paths import model_name
from pipelines.registry.aliases import CHALLENGER, CHAMPION, get_version
from pipelines.registry.paging import all_pages

PREFIX = model_name("")
PAGE_SIZE = 1000


class Version(NamedTuple):
    """A registered version. `made`: when, seconds since 1970; `tags`: figures and the gate's words among them."""

    number: str
    made: float
    run_id: str
    tags: Mapping[str, str]


class Standing(NamedTuple):
    """`challenger`: the newest that was evaluated, None where that is the champion."""

    champion: Version | None
    challenger: Version | None


def standings(client: mlflow.MlflowClient) -> dict[str, Standing]:
    """By category; those without a version are not there. Two queries a category: call it inside `answering`."""
    query = f"name LIKE '{PREFIX}%'"
    found: dict[str, Standing] = {}
    for model in all_pages(
        lambda token: client.search_registered_models(query, max_results=PAGE_SIZE, page_token=token)
    ):
        category = str(model.name).removeprefix(PREFIX)
        numbers = [model.aliases.get(which) for which in (CHAMPION, CHALLENGER)]
        found[category] = Standing(*(_version(client, category, number) for number in numbers))
    return found


def _version(client: mlflow.MlflowClient, category: str, number: str | None) -> Version | None:
    if number is None:
        return None
    made = get_version(client, category, str(number))
    return Version(str(made.version), made.creation_timestamp / 1000, str(made.run_id or ""), dict(made.tags))
