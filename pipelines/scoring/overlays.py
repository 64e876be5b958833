"""Heat maps and outlines of regions drawn over scored photographs, each in a file that no other overwrites."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from fastflow.decode import NamedBytes, read_image
from fastflow.detector import Detector
from fastflow.errors import BadData
from fastflow.files import printable
from fastflow.maps import resize_map
from fastflow.regions import filled
from pipelines.reporting.pictures import PREDICTED_COLOUR, blend, draw_contour, heat_colours
from pipelines.scoring.batches import Judged

MAX_PATH_BYTES = 200  # of an image's path in its overlay's name; file systems take 255 in all
HASH_DIGITS = 12  # of its content's hash, behind that


def write_overlays(detector: Detector, folder: Path, made: Iterable[Judged]) -> list[str]:
    """Writes those that can be written; returns the errors of the others: a failed picture must not cost scores."""
    failed = []
    for one in made:
        path = one.row.path
        try:
            write_overlay(detector, folder, one)
        except (BadData, OSError) as error:
            failed.append(str(error) if path in str(error) else f"{path}: {error}")
    return failed


def write_overlay(detector: Detector, folder: Path, made: Judged) -> None:
    """The image with its heat and the outlines of its regions, in its own pixels, on the category's own scale: the same
    score is the same colour in every picture.

    Raises:
        BadData: the file is no longer what was scored. OSError: it cannot be read, or the picture cannot be written.
    """
    path, sha256 = made.row.path, made.row.sha256
    content = Path(path).read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise BadData(f"{path}: overwritten since it was scored")
    pixels = read_image(NamedBytes(content, path), rule=detector.frame.rule)
    size, scale = pixels.shape[:2], {"low": detector.threshold["low"], "threshold": detector.threshold["pixel"]}
    colours = heat_colours(resize_map(made.anomaly_map, size), **scale)
    picture = draw_contour(blend(pixels, colours), filled(made.regions, size), colour=PREDICTED_COLOUR)
    Image.fromarray(picture).save(folder / overlay_name(path, sha256), quality=90)


def overlay_name(path: str, sha256: str) -> str:
    """Such as `line1_0001-3fa85f64c9b1.jpg`: the path's last bytes to be readable, the content's hash to be unique."""
    joined = printable("_".join(part for part in Path(path).with_suffix("").parts if part not in ("..", "/")))
    return f"{joined.encode()[-MAX_PATH_BYTES:].decode(errors='ignore')}-{sha256[:HASH_DIGITS]}.jpg"
