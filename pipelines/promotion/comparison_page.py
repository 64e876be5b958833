"""The page that compares two models: what changed for each category and defect type, and which verdicts flipped."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from PIL import Image

from fastflow.roi import Roi, looked_at
from pipelines.reporting.pages.page import page, webp
from pipelines.reporting.pages.report import METRICS
from pipelines.reporting.pictures import small_webp

MILLISECONDS = "milliseconds_per_image"
COMPARED = METRICS | {
    "false_reject_rate": "good parts rejected",
    "miss_rate": "defective parts missed",
    MILLISECONDS: "ms / image",
}
LOWER_IS_BETTER = ("false_reject_rate", "miss_rate", MILLISECONDS)
OF_TYPES = ("image_auroc", "aupro")
SAME = "the same model twice: every score and the threshold are equal, times differ by chance"
WORDS = {0: "accepts", 1: "rejects"}


class Side(NamedTuple):
    """One of the two models: its version, threshold, metrics by name, and a row a defect type."""

    version: str
    threshold: float
    metrics: Mapping[str, float | None]
    types: pd.DataFrame
    roi: Roi | None = None


class Flipped(NamedTuple):
    """An image that the two judge differently; pairs are of the first and the second model."""

    image_path: str
    defect_type: str
    gt_label: int
    scores: tuple[float, float]
    labels: tuple[int, int]
    heats: tuple[Image.Image, Image.Image]
    truth: Image.Image


class Compared(NamedTuple):
    """A category by two models. `difference`: of image_auroc, second minus first, and its lower limit with the
    `confidence` of a paired bootstrap; None where that is undefined. `same`: every score and the threshold are."""

    category: str
    first: Side
    second: Side
    difference: tuple[float, float] | None
    confidence: float
    flipped: list[Flipped]
    num_flipped: int
    same: bool

    def pairs(self) -> Iterator[tuple[str, float | None, float | None]]:
        """Each metric, of both."""
        for name in COMPARED:
            yield name, self.first.metrics.get(name), self.second.metrics.get(name)

    def regions(self) -> str:
        """What to know where the two look at other regions of interest; empty where they do not."""
        if self.first.roi == self.second.roi:
            return ""
        return (
            f"The first looks at {looked_at(self.first.roi)}, the second at {looked_at(self.second.roi)}: figures of "
            "pixels are of other pixels, and their change says nothing"
        )


def render(found: Sequence[Compared], *, about: Mapping[str, str]) -> str:
    if len(found) == 1:
        subtitle = f"{found[0].category}: {found[0].first.version} beside {found[0].second.version}"
    else:
        subtitle = f"{len(found)} categories"
    return page(
        "compare.html",
        title="Two models compared",
        subtitle=subtitle,
        labels=COMPARED,
        same=SAME,
        categories=[view(one) for one in found],
        about=about,
    )


def view(one: Compared) -> dict[str, Any]:
    """What the template shows of a category, ready made."""
    return {
        "name": one.category,
        "first": one.first,
        "second": one.second,
        "rows": {name: row(name, then, now) for name, then, now in one.pairs()},
        "difference": one.difference,
        "confidence": one.confidence,
        "types": type_rows(one.first.types, one.second.types),
        "flipped": [flipped_view(image) for image in one.flipped],
        "num_flipped": one.num_flipped,
        "same": one.same,
        "regions": one.regions(),
    }


def row(name: str, then: float | None, now: float | None) -> dict[str, Any]:
    """A metric of both; `way` is better, worse or empty."""
    if then is None or now is None:
        return {"then": then, "now": now, "change": None, "way": ""}
    moved = now - then
    gained = -moved if name in LOWER_IS_BETTER else moved
    enough = 0.2 * then if name == MILLISECONDS else 0.0005  # times of one machine vary so much
    return {"then": then, "now": now, "change": moved, "way": way(gained, enough)}


def way(gained: float, enough: float) -> str:
    return "better" if gained >= enough else "worse" if gained <= -enough else ""


def type_rows(first: pd.DataFrame, second: pd.DataFrame) -> list[dict[str, Any]]:
    """A row a defect type: images, misses of both, metrics of both."""
    rows = []
    for then, now in zip(first.to_dict("records"), second.to_dict("records"), strict=True):
        assert then["defect_type"] == now["defect_type"]
        missed = {"then": int(then["miss_count"]), "now": int(now["miss_count"])}
        missed["change"] = missed["now"] - missed["then"]
        metrics = {name: row(name, none_of(then[name]), none_of(now[name])) for name in OF_TYPES}
        about = {"name": then["defect_type"], "images": then["images"]}
        rows.append(about | {"missed": missed | {"way": way(-missed["change"], 1)}, "metrics": metrics})
    return rows


def none_of(value: float | None) -> float | None:
    """pandas keeps None in a column of numbers as NaN."""
    return None if value is None or pd.isna(value) else float(value)


def flipped_view(image: Flipped) -> dict[str, Any]:
    right = "second" if image.labels[1] == image.gt_label else "first"
    return image._asdict() | {
        "heats": [webp(small_webp(heat)) for heat in image.heats],
        "truth": webp(small_webp(image.truth)),
        "verdicts": [WORDS[label] for label in image.labels],
        "right": right,
    }
