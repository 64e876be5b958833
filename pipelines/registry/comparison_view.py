"""The columns in which MLflow's page of runs compares trainings: the saved view `comparison` of our experiment.

MLflow keeps a saved view as a tag of the experiment. Its page offers it under "Views", and LINK opens it.
"""

import json

NAME = "comparison"
TAG = f"mlflow.sharedViewState.{NAME}"
LINK = f"#/experiments/{{experiment_id}}/runs?workflowType=machine_learning&viewStateShareKey={NAME}"
WIDTHS = {  # in pixels, from left to right; the first three MLflow shows always
    "attributes.`Run Name`": 262,
    "runDateAndNestInfo": 138,
    "duration": 76,
    "tags.`category`": 86,
    "tags.`gate`": 98,
    "metrics.`image_auroc`": 130,
    "metrics.`pixel_auroc`": 130,
    "metrics.`aupro`": 120,
    "metrics.`miss_rate`": 120,
    "metrics.`false_reject_rate`": 122,
    "params.`config.backbone`": 150,
    "params.`train.epochs`": 104,
    "params.`train.learning_rate`": 140,
    "tags.`data_dvc_md5`": 112,
    "metrics.`loss`": 80,
    "metrics.`train_seconds`": 106,
    "params.`seed`": 58,
    "tags.`git_commit`": 92,
}
_CHOSEN = [column for column in WIDTHS if column.startswith(("metrics.", "params.", "tags."))]
GROUPS = {"aggregateFunction": "average", "groupByKeys": [{"mode": "tag", "groupByData": "category"}]}
_STATE = {"groupBy": GROUPS, "selectedColumns": _CHOSEN, "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
SAVED = json.dumps({"name": NAME, "createdAt": 0, "state": json.dumps(_STATE)})
"""The tag's value."""


def is_outdated(saved: str | None) -> bool:
    """Whether there is no view, or one that an earlier version of this project saved: a person's own has a time."""
    if saved is None:
        return True
    try:
        return saved != SAVED and json.loads(saved)["createdAt"] == 0
    except (ValueError, TypeError, KeyError):
        return False
