"""The categories of params.yaml as choices in Prefect's pages, where a run is asked for; run by `make deploy`:

    python -m pipelines.orchestration.choices

They are offered, and not enforced by the server: a category that came after the last `make deploy` can still be named,
and the flow itself refuses others in a sentence.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import DeploymentUpdate

from pipelines.core.params import read_params

PARAMETERS = ("category", "categories")  # of our flows


def with_choices(schema: Mapping[str, Any], categories: Sequence[str]) -> dict[str, Any]:
    """A flow's JSON schema whose parameters `category` and `categories` list these names."""
    found = deepcopy(dict(schema))
    for name in PARAMETERS:
        entry = found["properties"].get(name)
        if entry is None:
            continue
        lists = [kind["items"] for kind in entry.get("anyOf", []) if kind.get("type") == "array"]
        for one in lists or [entry]:
            one["enum"] = list(categories)
    return found


def offer_categories() -> None:
    """In each deployment of the server that PREFECT_API_URL names."""
    categories = read_params().data.categories
    with get_client(sync_client=True) as client:
        for deployment in client.read_deployments():
            schema = with_choices(deployment.parameter_openapi_schema or {"properties": {}}, categories)
            update = DeploymentUpdate(parameter_openapi_schema=schema, enforce_parameter_schema=False)
            client.update_deployment(deployment.id, update)


if __name__ == "__main__":
    offer_categories()
