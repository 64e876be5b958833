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
    "metrics.`image_auroc`": 98,
    "metrics.`pixel_auroc`": 94,
    "metrics.`aupro`": 80,
    "metrics.`miss_rate`": 84,
    "metrics.`false_reject_rate`": 122,
    "metrics.`loss`": 80,
    "metrics.`train_seconds`": 106,
    "params.`config.flow_steps`": 130,
    "params.`seed`": 58,
    "tags.`git_commit`": 92,
}
_CHOSEN = [column for column in WIDTHS if column.startswith(("metrics.", "params.", "tags."))]
_STATE = {"selectedColumns": _CHOSEN, "columnOrder": list(WIDTHS), "columnWidths": WIDTHS}
SAVED = json.dumps({"name": NAME, "createdAt": 0, "state": json.dumps(_STATE)})
"""The tag's value."""
