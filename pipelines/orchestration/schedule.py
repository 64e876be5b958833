"""Serve the deployments of prefect.yaml from this process, without work pool and worker.

It needs a Prefect server: that of `make up` (its settings are found by themselves), or PREFECT_API_URL.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.core.params import read_params, read_yaml
from pipelines.core.stage import Failed
from pipelines.orchestration.service_settings import ENVIRONMENT, read_environment

DEPLOYMENTS = Path("prefect.yaml")


def serve_deployments() -> None:
    """Runs until it is ended.

    Raises:
        Failed: there is no Prefect server.
    """
    if ENVIRONMENT.is_file() and (services := read_environment()).get("FASTFLOW_PROJECT") == str(Path.cwd()):
        os.environ |= services
    if "PREFECT_API_URL" not in os.environ:
        raise Failed("there is no Prefect server: run make up, or set PREFECT_API_URL")
    from prefect import serve  # reads the environment at import

    serve(*[deployment_of(entry) for entry in read_yaml(DEPLOYMENTS)["deployments"]])


def deployment_of(entry: dict[str, Any]) -> Any:
    """What prefect.yaml says of one deployment, for `prefect.serve`."""
    from prefect.schedules import Cron
    from prefect.utilities.callables import ParameterSchema

    from pipelines.orchestration.choices import with_choices

    file, _, name = entry["entrypoint"].partition(":")
    flow = getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)
    schedules = [Cron(s["cron"], timezone=s["timezone"]) for s in entry["schedules"]]
    kept = {key: entry[key] for key in ("name", "description", "parameters", "tags")}
    deployment = flow.to_deployment(schedules=schedules, enforce_parameter_schema=False, **kept)
    schema, categories = deployment._parameter_openapi_schema, read_params().data.categories
    deployment._parameter_openapi_schema = ParameterSchema(**with_choices(schema.model_dump(), categories))
    return deployment
