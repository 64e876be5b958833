"""A learning curve in words: would more photographs help?"""

from typing import Any

import numpy as np

from pipelines.qualification.learning_file import Learning, Limits, Point


def percent(rate: float) -> str:
    """Such as: 4 %, 0.5 %."""
    value = 100 * rate
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.1f} %".replace(".0 %", " %")


def between(limits: Limits) -> str:
    return f"95 %: {percent(limits.low)} to {percent(limits.high)}"


def by_size(result: Learning) -> dict[int, list[Point]]:
    found: dict[int, list[Point]] = {}
    for point in result.points:
        found.setdefault(point.images, []).append(point)
    return found


def observed(points: list[Point]) -> str:
    """Rejected by the models of all seeds together, such as: 3 of 60 (5 %)."""
    count, total = sum(len(point.rejected) for point in points), sum(point.total for point in points)
    return f"{count} of {total} ({percent(count / total)})"


def answer(result: Learning) -> str:
    """The one sentence."""
    sizes = by_size(result)
    last, total = max(sizes), result.points[0].total
    seen = observed(sizes[last])
    if result.outcome == "enough":
        return (
            f"With all {last} photographs, {seen} verdicts on unseen good parts are rejects, no more than the "
            f"{percent(result.target)} aimed for: false rejects are no reason to take more, as far as {total} pictures "
            "can tell"
        )
    if result.outcome == "helps":
        return (
            f"{result.more} more would lower false rejects from {percent(result.now.value)} to about "
            f"{percent(result.then.value)} ({between(result.then)})"
        )
    if result.outcome == "no_help":
        return (
            f"More photographs will not help: {result.more} more would lower false rejects from "
            f"{percent(result.now.value)} by {percent(result.drop.high)} at most. What else may: steadier light and "
            "position, or another threshold"
        )
    return (
        f"It cannot be told whether more help: {result.more} more would lower false rejects from "
        f"{percent(result.now.value)} ({between(result.now)}) to anything between {percent(result.then.low)} and "
        f"{percent(result.then.high)}; {total} unseen good pictures are too few for a closer answer"
    )


def table(result: Learning) -> list[dict[str, Any]]:
    """A row for each number of images."""
    rows = []
    for size, points in by_size(result).items():
        rates = [len(point.rejected) / point.total for point in points]
        row = {
            "photographs": size,
            "good parts rejected": observed(points),
            "lowest to highest": f"{percent(min(rates))} to {percent(max(rates))}",
        }
        rows.append(
            row | ({"spots found from, px": spots(points)} if any(point.certified for point in result.points) else {})
        )
    return rows


def spots(points: list[Point]) -> str:
    """a90/95 of medium spots, the median of the seeds: one that is not reached is larger than any."""
    known = [np.inf if point.a90_95 is None else point.a90_95 for point in points if point.certified]
    if not known:
        return "too few accepted"
    middle = float(np.quantile(known, 0.5, method="higher"))
    return f"{middle:.3g}" if np.isfinite(middle) else "not reached"
