"""export.json, the description of an export folder: its format, the model it was made from, its files' sha256."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastflow.allowed import (
    MAX_SIDE_PIXELS,
    RANGE,
    Allowed,
    check,
    check_keys,
    check_threshold,
    number,
    one_of,
    or_null,
    series,
    text,
    whole,
)
from fastflow.errors import BadData
from fastflow.files import file_sha256, visible, write_text
from fastflow.frame import Frame
from fastflow.roi import ROI_TEXT, is_roi
from fastflow.sealed import Kind, sealed
from fastflow.signature import signature_file
from fastflow.tiles import Tiles, check_tiles
from fastflow.tiling import Tiling

ABOUT = "export.json"
FILES = {"onnx": ("model.onnx",), "openvino": ("model.xml", "model.bin")}  # of each format, the one to open first
PRECISIONS = {"onnx": ("fp32", "int8"), "openvino": ("fp32", "bf16", "int8")}
NO_TORCH = "the format torch is no longer read: PyTorch opens its files by unpickling, which can run code"
_FIELDS = {
    "format": one_of(FILES),
    "precision": text(20),
    "image_size": series(whole(1, MAX_SIDE_PIXELS), 2, 2),
    "category": text(200),
    "model": text(200),
}
_GRID = {"grid": or_null(whole(1, MAX_SIDE_PIXELS))}
_ROI = {"roi": or_null(Allowed(ROI_TEXT, is_roi))}
_TILES = {"size": series(whole(1, MAX_SIDE_PIXELS), 2, 2), "overlap": number(0, 1), "top_fraction": number(0, 1)}
_PIXELS = {"value_range": or_null(RANGE), "page": or_null(whole(1, 1_000_000)), "version": one_of((1, 2))}


class BadExport(BadData):
    """An export folder that cannot be trusted; the message names the file and what is wrong."""


EXPORT = Kind(
    "an exported model", ABOUT, BadExport, make="run: fastflow export", cure="export the model again: fastflow export"
)


def write_about(
    folder: Path,
    *,
    runtime: str,
    precision: str,
    category: str,
    model: str,
    frame: Frame,
    threshold: Mapping[str, Any],
    tiling: Tiling | None = None,
    **more: Any,
) -> str:
    """Seals the files in `folder`, and returns the sha256 of export.json, which identifies the folder. `model`: the
    version it was made from; `frame`: that of its images; `tiling`: where its graph is that of a tile.

    Raises:
        ValueError: a threshold that is not finite.
    """
    about = {
        "format": runtime,
        "precision": precision,
        "category": category,
        "model": model,
        "image_size": [frame.height, frame.width],
        "grid": frame.grid,
        "pixels": frame.rule._asdict(),
        **({"roi": frame.roi._asdict()} if frame.roi else {}),
        **({"tiles": _tiles(tiling)} if tiling else {}),
        "threshold": check_threshold("export", threshold),
        **more,
        "sha256": {path.name: file_sha256(path) for path in sorted(folder.iterdir()) if path.name != ABOUT},
    }
    write_text(folder / ABOUT, sealed(about))
    return file_sha256(folder / ABOUT)


def _tiles(tiling: Tiling) -> dict[str, Any]:
    return {"size": list(tiling.tile), "overlap": tiling.overlap, "top_fraction": tiling.top_fraction}


def _check_tiles(tiles: Mapping[str, Any], picture: Sequence[int]) -> None:
    """Raises ValueError where they do not fit into the picture."""
    if not tiles["overlap"] < 1:
        raise ValueError(f"{ABOUT}: tiles: overlap is {tiles['overlap']}; allowed: below 1")
    check_tiles(Tiles((picture[0], picture[1]), tiles["overlap"]), (tiles["size"][0], tiles["size"][1]))


def read_about(folder: Path, *, sha256: str = "") -> dict[str, Any]:
    """export.json. `sha256`: the expected one; empty where it is not known.

    Raises:
        BadExport: it is absent, not an export's, not what was written or not the expected one.
        ValueError: `sha256` is none.
    """
    about = EXPORT.read(folder, sha256=sha256)
    try:
        if about.get("format") == "torch":
            raise ValueError(NO_TORCH)
        # older exports have no grid, nor a rule for pixels
        check_keys(ABOUT, {"grid": None, "roi": None} | about, _FIELDS | _GRID | _ROI)
        if "pixels" in about:
            check_keys(f"{ABOUT}: pixels", about["pixels"], _PIXELS)
        if "tiles" in about:
            _check_tiles(check_keys(f"{ABOUT}: tiles", about["tiles"], _TILES), about["image_size"])
        check(ABOUT, "precision", about["precision"], one_of(PRECISIONS[about["format"]]))
        check_threshold(ABOUT, about.get("threshold"))
    except ValueError as error:
        raise BadExport(f"{folder} cannot be used: {error}; {EXPORT.cure}") from error
    return about


def verify(folder: Path, about: Mapping[str, Any]) -> list[bytes]:
    """The contents of the model's files, in the order of `FILES`, as they were hashed. What a system leaves behind,
    hidden files among it, is passed over.

    Raises:
        BadExport: a file is absent, unlisted or not what was written.
    """
    model, listed = FILES[about["format"]], about["sha256"]
    present = {path.name for path in visible(folder)} - {ABOUT, signature_file(folder / ABOUT).name}
    for name in sorted({*listed, *present} - {*model}):
        EXPORT.verify(folder / name, listed.get(name))
    return [EXPORT.verified(folder / name, listed.get(name)) for name in model]
