"""A study of repeatability in words, for who signs it. Limits of %GRR and of distinct categories are AIAG's."""

from collections.abc import Sequence
from typing import Literal

from pipelines.qualification.repeatability_record import Agreement, Repeatability

ACCEPTABLE, POOR = 0.1, 0.3  # %GRR below, and above
CATEGORIES = 5  # distinct ones, at least
PARTS, SHOTS = 10, 3  # the custom; fewer say less
UNEVEN = 3  # times: shots of rejected parts spread so much more than those of accepted ones
NAMED = 5  # parts that a sentence lists

Level = Literal["good", "conditional", "poor"]
HEADINGS: dict[Level, str] = {
    "good": "The inspection repeats itself",
    "conditional": "The inspection repeats itself with reservations",
    "poor": "The inspection does not repeat itself well enough",
}


def level(record: Repeatability) -> Level:
    """Of the whole study; a verdict that flips is a reservation, however small the spread."""
    groups = record.distinct_categories
    if record.share.value > POOR:
        return "poor"
    fine = record.share.value < ACCEPTABLE and (groups is None or groups >= CATEGORIES) and not record.flipped
    return "good" if fine else "conditional"


def sentences(record: Repeatability) -> list[str]:
    """What was shown, and what limits it."""
    agreements = [agreed(one) for one in (*record.within, *record.between)]
    return [f"{HEADINGS[level(record)]}.", *shown(record), *agreements, *cautions(record)]


def shown(record: Repeatability) -> list[str]:
    """What was shown, of all shots together."""
    more = [reproducibility(record)] if record.spreads.reproducibility is not None else []
    return [flips(record), variation(record), *more, groups(record), doubt(record)]


def flips(record: Repeatability) -> str:
    together = record.together
    if not record.flipped:
        surely = f"with 95 % confidence, so do {percent(together.low)} of such parts or more"
        return f"Each of {together.total} parts gets the same verdict in all its shots; {surely}."
    return (
        f"The verdict flips for {len(record.flipped)} of {together.total} parts: the same part is accepted in one "
        f"shot, and rejected in another ({names(record.flipped)}{kappa(together)})."
    )


def variation(record: Repeatability) -> str:
    share = record.share
    if share.value < ACCEPTABLE:
        judged = "below 10 %: acceptable"
    elif share.value <= POOR:
        judged = "10 to 30 %: may be acceptable, depending on what a wrong verdict costs"
    else:
        judged = "above 30 %: not acceptable"
    return (
        f"The inspection's own spread is {percent(share.value)} of all variation in the score (%GRR; with 95 % "
        f"confidence between {percent(share.low)} and {percent(share.high)}): {judged}."
    )


def groups(record: Repeatability) -> str:
    count = record.distinct_categories
    if count is None:
        return "Its spread is 0: all shots of a part have the same score."
    asked = f"{CATEGORIES} or more are asked for"
    if count == 1:
        return f"It cannot tell parts apart by their score (number of distinct categories: 1; {asked})."
    return f"It tells {count} groups of parts apart by their score (number of distinct categories; {asked})."


def doubt(record: Repeatability) -> str:
    low, high = record.doubtful
    start = f"Scores between {low:.4g} and {high:.4g} are too close to the threshold for one shot to decide"
    if not record.near:
        return f"{start}; no part lies there on average."
    return f"{start}; {len(record.near)} of {record.together.total} parts lie there on average: {names(record.near)}."


def reproducibility(record: Repeatability) -> str:
    spreads = record.spreads
    between = spreads.reproducibility or 0.0
    if not spreads.gauge:
        return "Operators do not differ."
    more = "operators differ more than shots of one" if between > spreads.repeatability else (
        "shots of one operator differ more than operators do"
    )  # fmt: skip
    return (
        f"Of that, shots by one operator spread by {spreads.repeatability:.3g} of score (repeatability), and operators "
        f"among each other by {between:.3g} (reproducibility): {more}."
    )


def agreed(one: Agreement) -> str:
    what = "shots" if " and " in one.of else "parts"
    return (
        f"{one.of}: the same verdict on {one.same} of {one.total} {what} "
        f"(with 95 % confidence {percent(one.low)} to {percent(one.high)}{kappa(one)})."
    )


def kappa(one: Agreement) -> str:
    """Behind a figure; nothing where all verdicts are alike, as chance alone would then agree, too."""
    return "" if one.kappa is None else f"; kappa {one.kappa:.2f}"


def cautions(record: Repeatability) -> list[str]:
    """What a reader must know before the figures are used."""
    labels = [label for cell in record.cells for label in cell.labels]
    counts, found = [len(cell.scores) for cell in record.cells], []
    shots, most = min(counts), max(counts)
    if len(record.parts) < PARTS or shots < SHOTS:
        found.append(
            f"{len(record.parts)} parts with {shots}{f' to {most}' * (most > shots)} shots each"
            f"{' by each operator' * bool(record.operators)} say little: {PARTS} parts or more with {SHOTS} shots "
            "each are the custom, and the limits show how little."
        )
    if record.share.value <= POOR < record.share.high:
        found.append(
            f"%GRR may be as high as {percent(record.share.high)}, which is not acceptable; more parts"
            f"{', and above all more operators,' * bool(record.operators)} would say more surely."
        )
    if not any(labels) or all(labels):
        all_are = "rejected" if all(labels) else "accepted"
        missing = "good" if all(labels) else "defective"
        found.append(
            f"All shots are {all_are}: the spread is compared with differences among such parts alone. Add "
            f"{missing} parts, above all some that are hard to judge."
        )
    accepted, rejected = record.spreads.accepted, record.spreads.rejected
    if accepted and rejected and max(accepted, rejected) > UNEVEN * min(accepted, rejected):
        found.append(
            f"Shots of accepted parts spread by {accepted:.3g}, of rejected ones by {rejected:.3g}: one figure for "
            "both says most of those that spread more. What counts is the spread near the threshold."
        )
    if record.left_out:
        found.append(f"Left out: {names(record.left_out)}.")
    return found


def names(parts: Sequence[str]) -> str:
    more = f" and {len(parts) - NAMED} more" if len(parts) > NAMED else ""
    return ", ".join(parts[:NAMED]) + more


def percent(value: float) -> str:
    """Three digits, so that 9.96 % does not read as the limit."""
    return f"{100 * value:.3g} %"
