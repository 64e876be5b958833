"""What an evaluation says of regions, in reports/<category>/regions.json: recall by region, by defect size and type,
and false regions of good pictures, at the pixel threshold."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastflow.by_region import false_regions, recall, recall_by_size
from fastflow.evaluation import JudgedRegions
from fastflow.files import write_text
from fastflow.regions import RegionRule

FILE = "regions.json"


def write_regions(
    folder: Path, judged: JudgedRegions, *, rule: RegionRule, threshold: Mapping[str, Any]
) -> dict[str, float]:
    """Writes regions.json; returns what of it belongs among the metrics: region_recall and
    false_regions_per_good_image, where there is a true region, and a good picture."""
    folder.mkdir(parents=True, exist_ok=True)
    content = region_content(judged, rule=rule, threshold=threshold)
    write_text(folder / FILE, json.dumps(content, indent=2) + "\n")
    every, good = content["recall"], content["good"]
    numbers = {"region_recall": every["count"] / every["total"]} if every["total"] else {}
    return numbers | ({"false_regions_per_good_image": good["per_picture"]} if good["pictures"] else {})


def region_content(judged: JudgedRegions, *, rule: RegionRule, threshold: Mapping[str, Any]) -> dict[str, Any]:
    """`true` has each true region; the tables count them. `pixel_rate`: as in
    `fastflow.operating.operating_point`, null for models that do not have it."""
    true = judged.true.to_dict("records")
    found = [bool(one["found"]) for one in true]
    areas = [int(one["area"]) for one in true]
    types = sorted({str(one["defect_type"]) for one in true})
    return {
        "pixel_threshold": float(threshold["pixel"]),
        "pixel_rate": threshold.get("pixel_rate"),
        **rule._asdict(),
        "recall": recall(found),
        "by_size": recall_by_size(areas, found),
        "by_type": [
            {"defect_type": name} | recall([bool(one["found"]) for one in true if one["defect_type"] == name])
            for name in types
        ],
        "good": false_regions(judged.false_in_good),
        "defective": {"false_regions": judged.false_in_defective, "without_mask": judged.without_mask},
        "true": [one | {"area": area, "found": hit} for one, area, hit in zip(true, areas, found, strict=True)],
    }


def held_out(threshold: Mapping[str, Any]) -> str:
    """What is known of the pixel threshold on good pictures, in words."""
    rate = threshold.get("pixel_rate")
    if rate is None:
        return "on how many good pictures it marks something is not recorded: the model was trained before that was"
    seen = "that the scoring model had not seen" if threshold["folds"] else "that the model was trained on"
    return f"{rate:.1%} of {threshold['num_normal']} good pictures {seen} have a pixel above it"
