"""A warning about a threshold that lets most defects pass, which is otherwise one figure among many."""

from collections.abc import Mapping

MAX_MISS_RATE, MIN_SEPARATING_AUROC = 0.5, 0.9


def warning(category: str, metrics: Mapping[str, float | None]) -> str:
    """A sentence where more than half of the labelled defective test images are not above the threshold; else empty."""
    missed, total, auroc = (metrics.get(name) for name in ("misses", "num_defective", "image_auroc"))
    if not total or missed is None or missed / total <= MAX_MISS_RATE:
        return ""
    text = f"{missed:.0f} of {total:.0f} defective test images are below the threshold and pass"
    if auroc is None or not auroc >= MIN_SEPARATING_AUROC:
        return text
    return (
        f"{text}, though the scores tell them apart (image AUROC {auroc:.3f}): it is the threshold, not the model; "
        f"fastflow threshold {category} --max-miss 5% takes another one"
    )
