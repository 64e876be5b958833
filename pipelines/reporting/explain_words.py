"""An explanation in words, for who has to decide on the part."""

from collections.abc import Sequence

from fastflow.explain import Explanation, Normal, ScaleTerms

SIZES = {1: ("only",), 2: ("fine", "coarse"), 3: ("fine", "medium", "coarse")}
TERMS = {
    "latent": "unlike good parts",
    "log_det": "seldom seen",
}
EXPLAINED = {
    "latent": "how far the place is from the usual appearance of good parts, measured by how much they vary",
    "log_det": "how thinly good parts are spread over appearances like this one",
}


def scale_name(number: int, count: int) -> str:
    """Finest first, such as: fine."""
    return SIZES[count][number] if count in SIZES else f"{number + 1} of {count}"


def patch(scale: ScaleTerms) -> str:
    """What a position of a scale stands for, such as: 9 x 9 px."""
    height, width = scale.patch
    return f"{width:.2g} x {height:.2g} px"


def verdict(found: Explanation) -> str:
    side = "above" if found.pred_label else "not above"
    word = "Rejected" if found.pred_label else "Accepted"
    return f"{word}: its score is {found.pred_score:.4g}, {side} the threshold {found.threshold:.4g}"


def strongest(scales: Sequence[ScaleTerms]) -> int:
    """The number of the scale that adds most beyond the usual."""
    return max(range(len(scales)), key=lambda number: scales[number].excess[0])


def made_by(found: Explanation) -> str:
    """Which scale made the score."""
    usual = sum(scale.normal_share.mean for scale in found.scales)
    beyond = found.pred_score - usual
    if beyond <= 0:
        return f"Nothing in it is unusual: good pictures score {usual:.4g} on average"
    number = strongest(found.scales)
    scale = found.scales[number]
    name = scale_name(number, len(found.scales))
    return (
        f"Good pictures score {usual:.4g} on average; of the {beyond:.3g} beyond that, {scale.excess[0] / beyond:.0%} "
        f"come from the {name} scale, which sees detail of about {patch(scale)}"
    )


def by_term(found: Explanation) -> str:
    """Which term made it, of the strongest scale."""
    scale = found.scales[strongest(found.scales)]
    _, latent, log_det = scale.excess
    both = latent + log_det
    text = (
        f"There it lies {abs(both):.2g} bits per dimension {'above' if both > 0 else 'below'} the average of good "
        "pictures at the most unusual place of each"
    )
    if both <= 0:
        return text
    larger = "latent" if latent >= log_det else "log_det"
    terms = f"{latent:+.2g} by the latent norm, {log_det:+.2g} by the log-determinant"
    return f"{text}: {terms}, so mostly because it is {TERMS[larger]}"


def where(found: Explanation) -> str:
    place = found.place
    return (
        f"It comes from x {place.x} to {place.x + place.width}, y {place.y} to {place.y + place.height} (pixels from "
        f"the upper left corner), highest at {place.peak_x}, {place.peak_y}; {place.fraction:.0%} of the deciding "
        "pixels are there"
    )


def usual_pictures(found: Explanation, *, unseen: bool) -> str:
    of = "that the model has not seen" if unseen else "that it was trained on, as hardly any others are there"
    return f"{found.num_normal} good pictures {of}"


def sentences(found: Explanation, *, unseen: bool) -> list[str]:
    """What the command says."""
    return [
        f"{verdict(found)}.",
        f"{where(found)}.",
        f"{made_by(found)}.",
        f"{by_term(found)}.",
        f"Most similar good training picture: {found.nearest} (features differ by {found.distance:.3g})",
        f"'Usual' means the values of {usual_pictures(found, unseen=unseen)}.",
    ]


def inside(value: float, normal: Normal) -> str:
    """How a figure lies to those of good pictures."""
    if value > normal.high:
        return "above all"
    return "below all" if value < normal.low else "within"
