"""The page of an explanation: the picture, the place, the same place of the most similar good one, and the terms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

from fastflow.decode import read_image
from fastflow.explain import Explanation, Normal, ScaleTerms
from fastflow.maps import resize_map
from fastflow.regions import Region, filled
from fastflow.trained import TrainedDetector
from pipelines.qualification.placing import Pixels
from pipelines.reporting.cutting import Box, same
from pipelines.reporting.explain_words import (
    EXPLAINED,
    by_term,
    inside,
    made_by,
    patch,
    scale_name,
    usual_pictures,
    verdict,
    where,
)
from pipelines.reporting.pages.charts import heat_legend
from pipelines.reporting.pages.drawing import DEFECTIVE, GOOD, INK, STYLE, Chart, new_axes, new_figure, svg
from pipelines.reporting.pages.page import page, webp
from pipelines.reporting.pictures import PREDICTED_COLOUR, blend, draw_contour, heat_colours, webp_of
from pipelines.reporting.why import around


def render(
    found: Explanation,
    regions: Sequence[Region],
    *,
    detector: TrainedDetector,
    unseen: bool,
    about: Mapping[str, str],
) -> str:
    scale = {"low": float(detector.threshold["low"]), "threshold": float(detector.threshold["pixel"])}
    pixels = read_image(Path(found.image_path), rule=detector.frame.rule)
    similar = read_image(Path(found.nearest), rule=detector.frame.rule)
    heat = blend(pixels, heat_colours(resize_map(found.anomaly_map, found.shape), **scale))
    place = found.place
    box = Box(place.y, place.x, place.y + place.height, place.x + place.width)
    seen = around(found)
    return page(
        "explain.html",
        title=f"Why this verdict? {Path(found.image_path).name}",
        subtitle=f"{about['category']}, judged by model {about['model']}",
        rejected=bool(found.pred_label),
        verdict=verdict(found),
        said=[where(found), made_by(found), by_term(found)],
        whole=[uri(outlined(pixels, box)), uri(heat), uri(marked(pixels, regions))],
        cuttings=[uri(pixels[seen]), uri(heat[seen]), uri(similar[same(seen, found.shape, similar.shape[:2])])],
        nearest=Path(found.nearest).as_posix(),
        distance=found.distance,
        num_regions=len(regions),
        chart=svg(term_chart(found.scales)),
        scales=[row(number, one, found) for number, one in enumerate(found.scales)],
        score=found.pred_score,
        usual=sum(one.normal_share.mean for one in found.scales),
        explained=EXPLAINED,
        compared=usual_pictures(found, unseen=unseen),
        legend=svg(heat_legend(**scale)),
        about=about,
    )


def row(number: int, scale: ScaleTerms, found: Explanation) -> dict[str, Any]:
    """A scale in the table."""
    beyond = found.pred_score - sum(one.normal_share.mean for one in found.scales)
    return {
        "name": scale_name(number, len(found.scales)),
        "patch": patch(scale),
        "share": scale.share,
        "usual": scale.normal_share.mean,
        "part": scale.excess[0] / beyond if beyond > 0 else None,
        "latent": term(scale.latent, scale.normal_latent),
        "log_det": term(scale.log_det, scale.normal_log_det),
        "raw": scale.raw,
        "end": scale.end,
    }


def term(value: float, normal: Normal) -> dict[str, Any]:
    return {"value": value, "low": normal.low, "high": normal.high, "inside": inside(value, normal)}


def outlined(pixels: Pixels, box: Box) -> Pixels:
    """The picture with the place's frame."""
    mask = np.zeros(pixels.shape[:2], bool)
    mask[box.top : box.bottom, box.left : box.right] = True
    return draw_contour(pixels, mask, colour=PREDICTED_COLOUR)


def marked(pixels: Pixels, regions: Sequence[Region]) -> Pixels:
    """The picture with what is reported as regions."""
    return draw_contour(pixels, filled(regions, pixels.shape[:2]), colour=PREDICTED_COLOUR)


def uri(pixels: Pixels) -> str:
    return webp(webp_of(pixels))


@mpl.rc_context(STYLE)
def term_chart(scales: Sequence[ScaleTerms]) -> Chart:
    """Both terms of each scale beyond the mean of good pictures: these as a band, this picture as a dot."""
    rows = [
        (f"{scale_name(number, len(scales))}: {name}", value, normal)
        for number, scale in enumerate(scales)
        for name, value, normal in (
            ("latent norm", scale.latent, scale.normal_latent),
            ("log-determinant", scale.log_det, scale.normal_log_det),
        )
    ]
    figure = new_figure(900, 60 + 30 * len(rows))
    axes = new_axes(figure, left=170, bottom=44, right=20, top=8)
    for place, (_, value, normal) in enumerate(rows):
        low, high, own = normal.low - normal.mean, normal.high - normal.mean, value - normal.mean
        axes.plot([low, high], [-place, -place], color=GOOD, alpha=0.45, linewidth=11, solid_capstyle="butt")
        axes.plot([own], [-place], "o", color=DEFECTIVE if own > high else GOOD, markersize=9)
    axes.axvline(0, color=INK, linewidth=1, alpha=0.5, linestyle=(0, (4, 4)))
    axes.set_ylim(-len(rows) + 0.4, 0.6)
    axes.set_yticks(-np.arange(len(rows)), [name for name, _, _ in rows])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    axes.set_xlabel("bits per dimension beyond the usual")
    axes.grid(axis="x")
    told = "; ".join(f"{name} {value - normal.mean:+.2g}" for name, value, normal in rows)
    return Chart(figure, f"Bits per dimension beyond the mean of good pictures: {told}.")
