"""One page with a few images of each class, their masks drawn over: a wrong reading is seen at a glance."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

from fastflow.arrange import Item, marks_of
from fastflow.decode import DEFECT, IGNORED, read_rgb
from fastflow.errors import BadImage
from fastflow.files import printable, write_text
from fastflow.frame import depth_of_file
from fastflow.index import GOOD
from fastflow.pixels.depth import common_range
from fastflow.pixels.meaning import PixelRule
from pipelines.data.layouts.reading import ANNOTATIONS, Reading, ReadingOptions
from pipelines.data.layouts.show import rows_of

IMAGES_PER_ROW = 6
MAX_ROWS = 40
THUMBNAIL_PIXELS = 160  # longer side of a picture
RED, BLUE = (255, 0, 60), (0, 120, 255)
TEMPLATES = Path(__file__).parent.parent / "templates"


class Card(NamedTuple):
    """One image: `picture` a data URI or "", `marked` the same with its mask, `note` a remark on it."""

    name: str
    picture: str
    marked: str
    note: str


class Strip(NamedTuple):
    """`tone`: good, test, defect or out."""

    title: str
    tone: str
    number: int
    cards: Sequence[Card]


def write_sheet(reading: Reading, source: Path, how: ReadingOptions, path: Path) -> None:
    """Writes the page to `path`."""
    folder = source if source.is_dir() else source.parent
    of = {item.image: item for item in reading.items}
    shown = [file for row in rows_of(reading)[:MAX_ROWS] for file in _few(row.files) if file in of]
    how = how._replace(pixels=_settled(shown, how.pixels))
    strips = [
        Strip(row.what, _tone(row.what), len(row.files), [_card(f, of.get(f), folder, how) for f in _few(row.files)])
        for row in rows_of(reading)[:MAX_ROWS]
    ]
    page = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True).get_template(
        "contact_sheet.html"
    )
    doubts = [doubt for doubt in reading.doubts if doubt.stops]
    notes = [doubt for doubt in reading.doubts if not doubt.stops]
    write_text(
        path,
        printable(page.render(source=str(source), layout=reading.layout, strips=strips, doubts=doubts, notes=notes)),
    )


def _tone(what: str) -> str:
    if what == ANNOTATIONS or what.startswith("left out"):
        return "out"
    return "good" if what == "good, to train on" else "test" if what.startswith("good") else "defect"


def _few(files: Sequence[Path]) -> list[Path]:
    """Some, from the first to the last."""
    if len(files) <= IMAGES_PER_ROW:
        return list(files)
    return [files[round(number)] for number in np.linspace(0, len(files) - 1, IMAGES_PER_ROW)]


def _settled(files: Sequence[Path], rule: PixelRule) -> PixelRule:
    """The rule with the range that these images need."""
    depths = []
    for path in files if rule.value_range is None else ():
        try:
            depths.append(depth_of_file(path, rule))
        except BadImage:  # its card says so
            continue
    return rule._replace(value_range=rule.value_range or common_range(filter(None, depths)))


def _card(path: Path, item: Item | None, folder: Path, how: ReadingOptions) -> Card:
    name = path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
    try:
        if not path.is_file():
            raise BadImage("no plain file")
        image = read_rgb(path, how.pixels)
    except BadImage as error:
        return Card(name, "", "", "" if item is None else str(error).removeprefix(f"{path}: "))
    small = _thumbnail(image)
    if item is None or item.defect_type == GOOD or not item.masks:
        return Card(name, uri(small), "", "no mask" if item and item.defect_type != GOOD else "")
    try:
        marks = marks_of(item, how.rule)
    except BadImage as error:
        return Card(name, uri(small), "", str(error))
    masks = ", ".join(mask.name if isinstance(mask, Path) else "outline" for mask in item.masks)
    share = float((marks == DEFECT).mean())
    return Card(name, uri(small), uri(drawn_over(small, marks)), f"{masks}: {share:.2%} marked")


def _thumbnail(image: Image.Image) -> Image.Image:
    """At THUMBNAIL_PIXELS; a tiny image is enlarged by whole pixels."""
    scale = THUMBNAIL_PIXELS / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)


def drawn_over(small: Image.Image, marks: NDArray[np.uint8]) -> Image.Image:
    """An image with defects in red and what is left out in blue, each with a rim; a thin one keeps every pixel."""
    pixels = np.asarray(small).astype(np.float32)
    boxes: list[tuple[slice, slice]] = []
    for value, colour in ((IGNORED, BLUE), (DEFECT, RED)):
        share = Image.fromarray((marks == value).astype(np.float32)).resize(small.size, Image.Resampling.BOX)
        here = np.asarray(share) > 0
        rim = ndimage.binary_dilation(here, iterations=2) & ~here
        pixels[here] = 0.6 * pixels[here] + 0.4 * np.array(colour)
        pixels[rim] = colour
        boxes += ndimage.find_objects(ndimage.label(here)[0])[:20] if value == DEFECT else []
    marked = Image.fromarray(pixels.astype(np.uint8))
    draw = ImageDraw.Draw(marked)
    for rows, columns in boxes:
        draw.rectangle((columns.start - 6, rows.start - 6, columns.stop + 5, rows.stop + 5), outline=RED)
    return marked


def uri(image: Image.Image) -> str:
    """A JPEG in a page."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()
