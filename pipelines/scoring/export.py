"""A trained model as one file for other runtimes: pixels in, score, verdict and map out.

Run as: fastflow export bottle                                    ONNX, OpenVINO
        fastflow export bottle --format openvino --precision int8
        fastflow export bottle --model models:/fastflow-bottle@champion

Each export scores the category's images beside the checkpoint; one that scores differently is not written (exit code
3). exports/<category>/<format>-<precision>/ holds the model, export.json and parity.csv; the run in MLflow gets a copy.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from fastflow.data import Pictures, read_parts, read_pictures
from fastflow.detector import Images, Run, Scores, Sizes
from fastflow.export.about import NO_TORCH, PRECISIONS, write_about
from fastflow.export.graph import ScoringGraph
from fastflow.export.parity import MIN_IMAGES, TOLERANCES, compare, require_parity
from fastflow.export.runner import open_file
from fastflow.export.write import write_int8, write_onnx, write_openvino
from fastflow.frame import Frame, Size
from fastflow.index import read_index
from fastflow.metrics.image import image_auroc
from fastflow.tiled import tiling_of
from fastflow.tiling import Tiling, part_size
from fastflow.trained import TrainedDetector
from pipelines.core.names import unknown
from pipelines.core.params import Params
from pipelines.core.paths import index_file
from pipelines.core.progress import Advance, progress
from pipelines.core.spreadsheet import marked_texts
from pipelines.core.stage import log
from pipelines.registry.checkpoints import checkpoint_of, require_own
from pipelines.tracking import runs

CALIBRATION_IMAGES = 64  # good training images that int8's ranges come from


def export(
    category: str,
    params: Params,
    *,
    model: str | None = None,
    formats: Sequence[str] = (),
    precision: str,
    to: Path | None = None,
    sha256: str = "",
) -> None:
    """Writes each export, or none of a format that differs from the checkpoint.

    By default models/<category>, in every format that has this precision, into exports/<category>. `sha256`: of the
    checkpoint's config.json, where that is known.

    Raises:
        ParityError: an export scores differently; those before it are written.
        ValueError: no such format, the format has no such precision, or the model is another category's.
    """
    to, formats = to or Path("exports") / category, formats or formats_in(precision)
    for runtime in formats:
        check_format(runtime, precision)
    with checkpoint_of(model or category, sha256=sha256) as named:
        cure = f"run: fastflow export {named.category} --model {model or category}"
        require_own(named.category, category, params.data.categories, model=model or category, cure=cure)
        run_key, detector = named.run_key, named.open()
        tiling = tiling_of(detector.model.config, detector.threshold["image"])
        rows, pictures = comparison_images(category, params, detector.frame, tiling)
        calibration = training_images(category, params, detector.frame, tiling) if precision == "int8" else None
        for runtime in formats:
            log.info("writing %s %s, then comparing it with the checkpoint", runtime, precision)
            with atomic_folder(to / f"{runtime}-{precision}") as part:
                write_model(detector, part, runtime=runtime, precision=precision, images=calibration)
                parity = compare_with_checkpoint(detector, part, rows, pictures, runtime=runtime, precision=precision)
                digest = write_about(
                    part,
                    runtime=runtime,
                    precision=precision,
                    category=detector.category,
                    model=detector.version,
                    frame=detector.frame,
                    threshold=detector.threshold,
                    tiling=tiling,
                    parity=parity,
                )
            log_to_run(run_key, named.category, to / f"{runtime}-{precision}")
            log.info("wrote %s; to pin this content: --sha256 %s", to / f"{runtime}-{precision}", digest)


def formats_in(precision: str) -> list[str]:
    """Every format that has this precision. Raises ValueError where none has."""
    if found := [runtime for runtime, allowed in PRECISIONS.items() if precision in allowed]:
        return found
    every = dict.fromkeys(one for allowed in PRECISIONS.values() for one in allowed)
    raise ValueError(unknown(precision, every, what="precision", where="--precision"))


def check_format(runtime: str, precision: str) -> None:
    """Raises ValueError where a format is not there, or not in this precision."""
    if runtime == "torch":
        raise ValueError(f"{NO_TORCH}; export onnx or openvino, or open the checkpoint itself: fastflow.api.load")
    if runtime not in PRECISIONS:
        raise ValueError(unknown(runtime, PRECISIONS, what="format", where="--format"))
    if precision not in PRECISIONS[runtime]:
        raise ValueError(f"{runtime} is exported in {', '.join(PRECISIONS[runtime])}, not in {precision}")


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to write to, which replaces `folder` at the end, or is deleted after an error."""
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
    graph = ScoringGraph(detector.model, threshold=detector.threshold["image"])
    write_onnx(graph, folder)
    if images is not None:
        write_int8(folder, images)
    if runtime == "openvino":
        write_openvino(folder)


def compare_with_checkpoint(
    detector: TrainedDetector,
    folder: Path,
    rows: pd.DataFrame,
    pictures: Pictures,
    *,
    runtime: str,
    precision: str,
) -> dict[str, Any]:
    """The written model beside the checkpoint, image by image in parity.csv; returns the summary for export.json.

    Raises:
        ParityError: it scores differently.
    """
    tiling = tiling_of(detector.model.config, detector.threshold["image"])
    run = open_file(folder, runtime=runtime, precision=precision, tiling=tiling)
    images, sizes = pictures.images.numpy(), pictures.sizes.numpy()
    detector.model.fused = False  # the reference implementation
    with progress("comparing", 3 * len(images), unit="score") as advance:  # the export runs twice
        table = compare(_with_progress(detector.predict, advance), _with_progress(run, advance), images, sizes)
    require_parity(table, precision=precision)
    table = pd.concat([rows.reset_index(drop=True), table], axis=1)
    marked_texts(table).to_csv(folder / "parity.csv", index=False)
    tested = table[table["split"] == "test"]
    measured = {  # of parts of pictures it says nothing
        name: None if tiling else image_auroc(tested[f"{name}_score"].to_numpy(), tested["gt_label"].to_numpy()).value
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


def _with_progress(run: Run, advance: Advance) -> Run:
    def scored(images: Images, sizes: Sizes | None = None) -> Scores:
        scores = run(images, sizes)
        advance(len(images))
        return scores

    return scored


def comparison_images(
    category: str, params: Params, frame: Frame, tiling: Tiling | None = None
) -> tuple[pd.DataFrame, Pictures]:
    """The category's test images, and training images where those are too few: rows of the index, and pictures; of a
    model with tiles, a part of each that has several."""
    tested = read_index(index_file(category), split="test").assign(split="test")
    more = read_index(index_file(category), split="train").assign(split="train")
    rows = pd.concat([tested, more.head(max(0, MIN_IMAGES - len(tested)))], ignore_index=True)
    part = part_size(tiling, frame) if tiling else None
    found = pictures_of(category, params, rows["image_path"], frame, part=part)
    return rows[["image_path", "split", "gt_label"]], found


def training_images(category: str, params: Params, frame: Frame, tiling: Tiling | None = None) -> Images:
    """Good pictures; of a model with tiles, a tile of each."""
    paths = read_index(index_file(category), split="train")["image_path"]
    spread = np.linspace(0, len(paths) - 1, min(len(paths), CALIBRATION_IMAGES)).astype(int)
    part = tiling.tile if tiling else None
    return pictures_of(category, params, paths.iloc[spread], frame, part=part).images.numpy()


def pictures_of(
    category: str, params: Params, paths: "pd.Series[str]", frame: Frame, *, part: Size | None = None
) -> Pictures:
    """Pictures in the frame, or of each a `part` (height, width) of it."""
    root = Path(params.data.root) / category
    files = [root / path for path in paths]
    found = read_pictures(files, frame) if part is None else read_parts(files, frame, part)
    return found._replace(images=found.images.contiguous())


def log_to_run(run_key: str, category: str, folder: Path) -> None:
    """Logs a copy to the training's run in MLflow, where the checkpoint names that."""
    if not run_key:
        return
    with runs.continued_run(run_key, f"{category} exported", tags={"category": category}) as run:
        run.log_files(folder, under=f"exports/{folder.name}")
