"""How many background scores lie above each of some values: the one expensive step of the curve metrics.

Only the background scores are sorted, in chunks and threads, without an argsort: numpy sorts plain floats
with vector instructions and without the GIL. The scores of a chunk are copied, so memory stays bounded.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Counts = NDArray[np.int64]

SCORES_IN_FLIGHT = 2**26  # 256 MiB of float32, shared by all threads
SCORES_AT_ONCE = 2**18  # of a part: a copy that stays in the cache
VALUES_AT_ONCE = 2**16


class Part(NamedTuple):
    """Scores of any shape; where `defect` is given (same shape), only those outside it are background."""

    scores: Scores
    defect: Mask | None = None

    def n_background(self) -> int:
        return self.scores.size - (0 if self.defect is None else int(np.count_nonzero(self.defect)))

    def background(self) -> Scores:
        return self.scores.ravel() if self.defect is None else self.scores[~self.defect]


class Above(NamedTuple):
    """For each value: how many background scores are > it and >= it; `total` is how many there are in all."""

    above: Counts
    at_least: Counts
    total: int


def default_workers() -> int:
    """One thread for each CPU, up to 16: beyond that memory grows and time hardly falls."""
    return min(16, os.cpu_count() or 1)


def count_above(parts: Sequence[Part], values: Scores, *, workers: int | None = None) -> Above:
    """Count the background scores above each of `values` (K,), which must be ascending and distinct.

    `workers` is the number of threads, by default one for each CPU, up to 16.
    """
    workers = workers or default_workers()
    below = np.zeros(len(values), np.int64)
    up_to = np.zeros(len(values), np.int64)
    lock = Lock()

    def count(chunk: Sequence[Part]) -> int:
        scores = _gather(chunk)
        scores.sort()
        for start in range(0, len(values), VALUES_AT_ONCE):
            here = slice(start, start + VALUES_AT_ONCE)
            left, right = _ranks(scores, values[here])
            with lock:  # adding up at once, rather than keeping each chunk's counts, bounds the memory
                below[here] += left
                up_to[here] += right
        return len(scores)

    with ThreadPoolExecutor(workers) as pool:
        total = sum(pool.map(count, _chunks(parts, workers)))
    return Above(np.subtract(total, up_to, out=up_to), np.subtract(total, below, out=below), total)


def _gather(chunk: Sequence[Part]) -> Scores:
    """A copy of all background scores of a chunk, filled part by part to spare a second copy."""
    ends = np.cumsum([part.n_background() for part in chunk])
    scores = np.empty(ends[-1], np.result_type(*(part.scores for part in chunk)))
    for part, end in zip(chunk, ends, strict=True):
        background = part.background()
        scores[end - len(background) : end] = background
    return scores


def _ranks(ordered: Scores, values: Scores) -> tuple[Counts, Counts]:
    """How many of `ordered` are < and <= each value."""
    left = ordered.searchsorted(values, "left")
    right = left.copy()
    if len(ordered):  # the second search is needed for tied values only
        tied = ordered[np.minimum(left, len(ordered) - 1)] == values
        right[tied] = ordered.searchsorted(values[tied], "right")
    return left, right


def _chunks(parts: Sequence[Part], workers: int) -> Iterator[list[Part]]:
    """Group the parts evenly over the threads, which together hold about SCORES_IN_FLIGHT scores.

    As few as the memory allows: each value is searched for in every chunk.
    """
    total = sum(part.scores.size for part in parts)
    n_chunks = workers * -(-total // SCORES_IN_FLIGHT)
    pieces = [piece for part in parts for piece in _pieces(part, min(SCORES_AT_ONCE, -(-total // max(1, n_chunks))))]
    starts = np.cumsum([0, *(piece.scores.size for piece in pieces)])[:-1] * n_chunks // max(1, total)
    for _, chunk in groupby(zip(starts, pieces, strict=True), key=lambda item: item[0]):
        yield [piece for _, piece in chunk]


def _pieces(part: Part, size: int) -> Iterator[Part]:
    """Views of the rows of a part, each of about `size` scores or fewer where rows allow it."""
    if part.scores.size <= size:
        yield part
        return
    rows = max(1, size * len(part.scores) // part.scores.size)
    for start in range(0, len(part.scores), rows):
        here = slice(start, start + rows)
        yield Part(part.scores[here], None if part.defect is None else part.defect[here])
