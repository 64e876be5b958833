"""A trained model as one file for other runtimes: pixels in, score, verdict and map out.

Run as: fastflow export bottle                                    ONNX, OpenVINO, torch.export
        fastflow export bottle --format openvino --precision int8
        fastflow export bottle --model models:/fastflow-bottle@champion

Each export scores the category's images beside the checkpoint; one that says anything else is not written (exit code
3). exports/<category>/<format>-<precision>/ holds the model, export.json and parity.csv; the run in MLflow gets a copy.
"""

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastflow.data import read_images
from fastflow.detector import Images, Scores
from fastflow.export.about import write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.parity import LEAST_IMAGES, TOLERANCES, compare, require_parity
from fastflow.export.runner import PRECISIONS, open_file
from fastflow.export.write import write_int8, write_onnx, write_openvino, write_torch
from fastflow.index import read_index
from fastflow.metrics.image import image_auroc
from fastflow.trained import TrainedDetector
from pipelines.core.params import Params, read_params
from pipelines.core.paths import RUN, index_file
from pipelines.core.progress import Advance, progress
from pipelines.core.stage import exit_code, log
from pipelines.registry.checkpoints import Named, checkpoint_of
from pipelines.tracking import runs

CALIBRATION_IMAGES = 64  # good training images that int8's ranges come from


def export(category: str, params: Params, *, model: str, formats: list[str], precision: str, to: Path) -> None:
    """Writes each export, or none of a format that differs from the checkpoint.

    Raises:
        NotTheSame: an export scores otherwise; those before it are written.
        ValueError: the format has no such precision.
    """
    for runtime in formats:
        if precision not in PRECISIONS[runtime]:
            raise ValueError(f"{runtime} is exported in {', '.join(PRECISIONS[runtime])}, not in {precision}")
    with checkpoint_of(model) as named:
        detector = named.open()
        size = detector.image_size
        rows, images = comparison_images(category, params, size)
        calibration = training_images(category, params, size) if precision == "int8" else None
        for runtime in formats:
            log.info("writing %s %s, then comparing it with the checkpoint", runtime, precision)
            with written_whole(to / f"{runtime}-{precision}") as part:
                write_model(detector, part, runtime=runtime, precision=precision, images=calibration)
                parity = compared(detector, part, rows, images, runtime=runtime, precision=precision)
                write_about(
                    part,
                    runtime=runtime,
                    precision=precision,
                    category=detector.category,
                    model=detector.version,
                    image_size=size,
                    threshold=detector.threshold,
                    parity=parity,
                )
            tell(named, to / f"{runtime}-{precision}")
            log.info("wrote %s", to / f"{runtime}-{precision}")


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """A folder beside it to write to, which takes its place at the end, or is gone after an error."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        yield part
        shutil.rmtree(folder, ignore_errors=True)
        part.replace(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_model(
    detector: TrainedDetector, folder: Path, *, runtime: str, precision: str, images: Images | None
) -> None:
    """The model's file in its format; `images` calibrate int8."""
    graph, size = ScoringGraph(detector.model, threshold=detector.threshold["image"]), detector.image_size
    if runtime == "torch":
        write_torch(graph, folder, image_size=size)
        return
    write_onnx(graph, folder, image_size=size)
    if images is not None:
        write_int8(folder, images)
    if runtime == "openvino":
        write_openvino(folder)


def compared(
    detector: TrainedDetector,
    folder: Path,
    rows: pd.DataFrame,
    images: Images,
    *,
    runtime: str,
    precision: str,
) -> dict[str, Any]:
    """The written model beside the checkpoint, image by image in parity.csv; returns what export.json says of it.

    Raises:
        NotTheSame: it scores otherwise.
    """
    run = open_file(folder, runtime=runtime, precision=precision)
    detector.model.fused = False  # the checkpoint by its definition
    with progress("comparing", 3 * len(images), unit="score") as advance:  # the export is asked twice
        table = compare(_telling(detector.predict, advance), _telling(run, advance), images)
    require_parity(table, precision=precision)
    table = pd.concat([rows.reset_index(drop=True), table], axis=1)
    table.to_csv(folder / "parity.csv", index=False)
    tested = table[table["split"] == "test"]
    measured = {
        name: image_auroc(tested[f"{name}_score"].to_numpy(), tested["gt_label"].to_numpy()).value
        for name in ("checkpoint", "export")
    }
    parity = {
        "num_images": len(table),
        "largest_relative_difference": float(table["relative_difference"].max()),
        "allowed_relative_difference": TOLERANCES[precision].relative,
        "flipped": int(table["flipped"].sum()),
        "image_auroc": measured,
    }
    more = len(table) - len(tested)
    log.info(
        "%s %s: on %d test%s images, scores are within %.2g of the checkpoint's, and %d verdicts differ",
        runtime, precision, len(tested), f" and {more} training" * bool(more),
        parity["largest_relative_difference"], parity["flipped"],
    )  # fmt: skip
    return parity


def _telling(run: Callable[[Images], Scores], advance: Advance) -> Callable[[Images], Scores]:
    def and_tell(images: Images) -> Scores:
        scores = run(images)
        advance(len(images))
        return scores

    return and_tell


def comparison_images(category: str, params: Params, size: tuple[int, int]) -> tuple[pd.DataFrame, Images]:
    """The category's test images, and training images where those are too few: rows of the index, and pixels."""
    tested = read_index(index_file(category), split="test").assign(split="test")
    more = read_index(index_file(category), split="train").assign(split="train")
    rows = pd.concat([tested, more.head(max(0, LEAST_IMAGES - len(tested)))], ignore_index=True)
    return rows[["image_path", "split", "gt_label"]], pixels(category, params, rows["image_path"], size)


def training_images(category: str, params: Params, size: tuple[int, int]) -> Images:
    paths = read_index(index_file(category), split="train")["image_path"]
    spread = np.linspace(0, len(paths) - 1, min(len(paths), CALIBRATION_IMAGES)).astype(int)
    return pixels(category, params, paths.iloc[spread], size)


def pixels(category: str, params: Params, paths: "pd.Series[str]", size: tuple[int, int]) -> Images:
    root = Path(params.data.root) / category
    return np.ascontiguousarray(read_images([root / path for path in paths], image_size=size).numpy())


def tell(named: Named, folder: Path) -> None:
    """A copy for the training's run in MLflow, where the checkpoint says which that is."""
    if not (named.folder / RUN).is_file():
        return
    key = json.loads((named.folder / RUN).read_text())["run_key"]
    with runs.continued_run(key, f"{named.category} exported", tags={"category": named.category}) as run:
        run.log_files(folder, under=f"exports/{folder.name}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", required=True, help="its images are what the export is compared on")
    parser.add_argument("--model", help="a folder, or models:/fastflow-<category>@champion; default: models/<category>")
    parser.add_argument("--format", action="append", choices=list(PRECISIONS), help="may be repeated; default: all")
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16", "int8"])
    parser.add_argument("--to", type=Path, help="default: exports/<category>")
    args = parser.parse_args()
    formats = args.format or [name for name, allowed in PRECISIONS.items() if args.precision in allowed]
    export(
        args.category, read_params(), model=args.model or args.category,
        formats=formats, precision=args.precision, to=args.to or Path("exports") / args.category,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(exit_code(main))
