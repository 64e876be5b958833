"""The pictures of an evaluation: chosen images with their heat; and its page and charts for MLflow."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from scipy.ndimage import maximum_filter

from fastflow.data import read_masks
from fastflow.decode import AS_MEANT, read_image
from fastflow.evaluation import Scored, mask_paths
from fastflow.files import write_bytes, write_text
from fastflow.frame import Size
from fastflow.maps import Map, resize_map
from fastflow.pixels.mask_size import resize_mask
from fastflow.pixels.meaning import PixelRule
from fastflow.regions import filled, find_regions
from pipelines.core.paths import report_folder
from pipelines.core.revision import project_version
from pipelines.reporting.choice import choose_cases
from pipelines.reporting.pages.drawing import png
from pipelines.reporting.pages.report import figures, render
from pipelines.reporting.pages.result import CategoryResult, read_result
from pipelines.reporting.pictures import Case, Why, write_pictures
from pipelines.tracking.runs import TrackedRun

EXPLAINED = ("misses", "false_rejects", "borderline")
"""Groups of `choose_cases` whose images a person wants to understand."""
SHOWN_SIDE_PIXELS = 2048  # of a picture that is drawn; what is stored is smaller still


def write_cases(
    folder: Path,
    index: pd.DataFrame,
    scored: Scored,
    root: Path,
    *,
    threshold: Mapping[str, float],
    rule: PixelRule = AS_MEANT,
    min_area: int = 0,
    explain: Callable[[Sequence[Path]], Mapping[Path, Why]] = lambda paths: {},
) -> None:
    """Pictures of chosen images in `folder`/pictures, read by the model's `rule`; heat on one scale a model, and the
    outlines of regions of at least `min_area` of the picture's own pixels. Those of `EXPLAINED` go to `explain`."""
    masks = mask_paths(index, root)
    groups = choose_cases(index.assign(pred_score=scored.pred_score), threshold=threshold["image"])
    rows = list(dict.fromkeys(row for chosen in groups.values() for row in chosen))
    sizes = [shown_size((len(one), len(one[0]))) for one in scored.anomaly_maps]
    pixel = float(threshold["pixel"])
    found = {
        i: find_regions(scored.anomaly_maps[i], scored.shapes[i], threshold=pixel, min_area=min_area) for i in rows
    }
    reasons = explain([root / index["image_path"][row] for name in EXPLAINED for row in groups[name]])
    cases = [
        Case(
            image_path=index["image_path"][i],
            defect_type=index["defect_type"][i],
            gt_label=int(index["gt_label"][i]),
            pred_score=float(scored.pred_score[i]),
            image=read_image(root / index["image_path"][i], image_size=sizes[i], rule=rule),
            anomaly_map=shown_map(scored.anomaly_maps[i], sizes[i]),
            gt_mask=read_masks([masks[i]], sizes=[sizes[i]])[0],
            predicted=resize_mask(filled(found[i], scored.shapes[i]), sizes[i]),
            why=reasons.get(root / index["image_path"][i]),
        )
        for i in rows
    ]
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    write_pictures(
        folder / "pictures",
        cases=cases,
        groups={name: [rows.index(row) for row in chosen] for name, chosen in groups.items()},
        low=threshold["low"],
        threshold=threshold["pixel"],
    )


def shown_size(size: Size) -> Size:
    """That of a picture in the report: a large one is drawn smaller."""
    factor = max(1, -(-max(size) // SHOWN_SIDE_PIXELS))
    return -(-size[0] // factor), -(-size[1] // factor)


def shown_map(anomaly_map: Map, size: Size) -> Map:
    """A map at that size: of the pixels that become one, the highest, so that no small place is lost."""
    factor = -(-anomaly_map.shape[0] // size[0])
    if factor > 1:
        anomaly_map = maximum_filter(anomaly_map, size=factor)
    return resize_map(anomaly_map, size)


def log_page(category: str, run: TrackedRun) -> None:
    """The category's page, which MLflow shows as it is, and its charts as pictures; from its report's folder. Without
    a decision: the gate runs after the evaluation, and adds its own."""
    result = replace(read_result(report_folder(category)), gate={})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        _write_page(folder, result)
        for name, chart in figures(result).items():
            write_bytes(folder / "figures" / f"{name}.png", png(chart))
        run.log_files(folder, under="report")


def write_decided_page(folder: Path, category: str) -> Path:
    """`folder`/report.html of one category, with the gate's last decision."""
    return _write_page(folder, read_result(report_folder(category)))


def _write_page(folder: Path, result: CategoryResult) -> Path:
    page = render([result], title=f"FastFlow: {result.category}", subtitle="one evaluation", about=project_version())
    write_text(folder / "report.html", page)
    return folder / "report.html"
