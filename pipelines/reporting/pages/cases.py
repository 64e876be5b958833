"""The pictures of a report, with what their scores mean among the others."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

GROUPS = {  # of pipelines.reporting.choice: heading, and what it shows
    "misses": ("Worst misses", "Defective images that the threshold lets pass, lowest score first."),
    "false_rejects": ("Worst false rejects", "Good images above the threshold, highest score first."),
    "borderline": ("Borderline", "The scores closest to the threshold, on either side."),
    "defect_types": (
        "Defect types",
        "Of each type, from its lowest score to its highest, without those shown above.",
    ),
    "good": ("Good parts at random", "Drawn without looking at scores: what the heat is like where nothing is wrong."),
}


def grouped_cases(pictures: Mapping[str, Any], scores: pd.DataFrame) -> list[dict[str, Any]]:
    """The groups that have pictures, in the order of `GROUPS`; each case with its place among the scores."""
    found = []
    for name, (heading, text) in GROUPS.items():
        numbers = pictures["groups"].get(name, [])
        if numbers:
            cases = [_case(pictures["cases"][number], scores) for number in numbers]
            found.append({"name": name, "heading": heading, "text": text, "cases": cases})
    return found


def _case(case: dict[str, Any], scores: pd.DataFrame) -> dict[str, Any]:
    """A case of index.json with its place among its own kind and against the other kind."""
    own = scores.loc[scores["image_path"] == case["image_path"], "pred_score"]
    score = own.iloc[0] if len(own) else case["pred_score"]  # the table's digits: they decide ranks
    same = scores[(scores["gt_label"] == case["gt_label"]) & (scores["defect_type"] == case["defect_type"])]
    other = scores.loc[scores["gt_label"] != case["gt_label"], "pred_score"]
    rank = 1 + int((same["pred_score"] > score).sum())
    place = {len(same): "lowest", 1: "highest"}.get(rank, f"rank {rank}") + f" of {len(same)}"
    if case["gt_label"] == 1:
        confused, against = int((other >= score).sum()), "good images score as high"
    else:
        confused, against = int((other <= score).sum()), "defective images score as low"
    sentence = f"{confused} of {len(other)} {against}" if len(other) else ""
    return case | {"place": place, "against": sentence, "confused": confused > 0}
