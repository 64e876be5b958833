"""The figures of a study of repeatability: from scores of shots to variances, shares and agreements."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from fastflow.errors import BadData
from fastflow.metrics.rates import rate_interval
from pipelines.qualification import gauge
from pipelines.qualification.agreement import all_alike, cohen_kappa, fleiss_kappa
from pipelines.qualification.curves import digits
from pipelines.qualification.design import Design
from pipelines.qualification.repeatability_record import Agreement, Cell, Repeatability, Share, Source, Spreads
from pipelines.registry.checkpoints import Named

COVERAGE = 2  # standard deviations of the gauge on both sides of the threshold: about 95 %
ALL = "all shots"


def record_of(
    category: str, named: Named, design: Design, scores: NDArray[np.float32], *, threshold: float, seed: int
) -> Repeatability:
    """All figures of the scores (N,) of a design's shots, in its order. Raises BadData where all are the same."""
    cells = cells_of(design, scores, threshold)
    study = study_of(cells, design)
    found = gauge.variances(study)
    low, high = gauge.share_limits(study, seed=seed)
    half = COVERAGE * float(np.sqrt(found.gauge))
    doubtful = digits(threshold - half), digits(threshold + half)
    labels = {part: [label for cell in cells if cell.part == part for label in cell.labels] for part in design.parts}
    return Repeatability(
        category=category,
        model=named.version,
        weights=named.weights,
        threshold=threshold,
        seed=seed,
        operators=design.operators,
        cells=cells,
        left_out=design.left_out,
        sources=sources_of(study),
        p_value=None if study.p_value is None else digits(study.p_value),
        pooled=study.p_value is not None and study.interaction is None,
        spreads=spreads_of(found, cells, threshold, operators=bool(design.operators)),
        share=Share(value=digits(float(gauge.share(found))), low=digits(low), high=digits(high)),
        distinct_categories=gauge.distinct_categories(found),
        doubtful=doubtful,
        near=[part for part in design.parts if doubtful[0] <= mean_of(cells, part) <= doubtful[1]],
        flipped=[part for part, own in labels.items() if len(set(own)) > 1],
        together=by_fleiss(ALL, list(labels.values())),
        within=[by_fleiss(name, [cell.labels for cell in cells if cell.operator == name]) for name in design.operators],
        between=between_of(cells, design.operators),
    )


def cells_of(design: Design, scores: NDArray[np.float32], threshold: float) -> list[Cell]:
    """Each cell's shots with what the model says of them. Raises BadData where it says the same of all."""
    if len(np.unique(scores)) == 1:
        raise BadData(
            f"every shot gets the same score, {scores[0]:g}, so the model tells nothing apart; see that the pictures "
            "differ, and train it again"
        )
    cells, start = [], 0
    for shots in design.cells:
        own = scores[start : start + len(shots)]
        start += len(shots)
        cells.append(
            Cell(
                part=shots[0].part,
                operator=shots[0].operator,
                shots=[shot.path.name for shot in shots],
                scores=[float(score) for score in own],
                labels=[0 if score <= threshold else 1 for score in own],
            )
        )
    return cells


def study_of(cells: Sequence[Cell], design: Design) -> gauge.Study:
    scores = [np.array(cell.scores) for cell in cells]
    if not design.operators:
        return gauge.one_way(scores)
    shape = len(design.operators), len(design.parts), -1
    return gauge.crossed(np.concatenate(scores).reshape(shape).transpose(1, 0, 2))


def sources_of(study: gauge.Study) -> list[Source]:
    named = {"parts": study.part, "operators": study.operator, "parts x operators": study.interaction}
    squares = named | {"repeatability": study.error}
    return [
        Source(name=name, degrees=one.degrees, mean_square=digits(one.value)) for name, one in squares.items() if one
    ]


def spreads_of(found: gauge.Variances, cells: Sequence[Cell], threshold: float, *, operators: bool) -> Spreads:
    """Standard deviations; `accepted`, `rejected`: of shots of one part, by its mean score."""
    groups: dict[bool, list[Cell]] = {True: [], False: []}
    for cell in cells:
        groups[bool(np.mean(cell.scores) <= threshold)].append(cell)

    def root(value: gauge.Array) -> float:
        return digits(float(np.sqrt(value)))

    return Spreads(
        repeatability=root(found.repeatability),
        reproducibility=root(found.operator + found.interaction) if operators else None,
        gauge=root(found.gauge),
        parts=root(found.part),
        total=root(found.gauge + found.part),
        accepted=within_spread(groups[True]),
        rejected=within_spread(groups[False]),
    )


def within_spread(cells: Sequence[Cell]) -> float | None:
    """The common standard deviation of shots of one part; None without cells of several shots."""
    degrees = sum(len(cell.scores) - 1 for cell in cells)
    squares = sum(float(((np.array(cell.scores) - np.mean(cell.scores)) ** 2).sum()) for cell in cells)
    return digits(float(np.sqrt(squares / degrees))) if degrees else None


def mean_of(cells: Sequence[Cell], part: str) -> float:
    return float(np.mean([score for cell in cells if cell.part == part for score in cell.scores]))


def agreement(of: str, verdicts: Sequence[Sequence[int]], kappa: float | None) -> Agreement:
    """`verdicts`: on each part, or on each shot of it by two."""
    same = all_alike(verdicts)
    low, high = rate_interval(same, len(verdicts))
    rounded = None if kappa is None else digits(kappa)
    return Agreement(of=of, same=same, total=len(verdicts), low=digits(low), high=digits(high), kappa=rounded)


def by_fleiss(of: str, verdicts: Sequence[Sequence[int]]) -> Agreement:
    return agreement(of, verdicts, fleiss_kappa(verdicts))


def between_of(cells: Sequence[Cell], operators: Sequence[str]) -> list[Agreement]:
    """Each two operators, shot by shot of the same part."""
    labels = {name: [label for cell in cells if cell.operator == name for label in cell.labels] for name in operators}
    found = []
    for one, other in combinations(operators, 2):
        pairs = list(zip(labels[one], labels[other], strict=True))
        found.append(agreement(f"{one} and {other}", pairs, cohen_kappa(labels[one], labels[other])))
    return found
