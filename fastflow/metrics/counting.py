"""How many background scores lie above each of some values: the one expensive step of the curve metrics.

Only the background scores are sorted, in chunks and threads, without an argsort: numpy sorts plain floats
with vector instructions and without the GIL. The scores of a chunk are copied, so memory stays bounded.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from queue import SimpleQueue
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

    def background(self) -> Scores:
        return self.scores.ravel() if self.defect is None else self.scores[~self.defect]


class Above(NamedTuple):
    """For each value: how many background scores are > it and >= it; `total` is how many there are in all."""

    above: Counts
    at_least: Counts
    total: int


def default_workers() -> int:
    """One thread for each CPU, up to 8: with more the memory grows and the time hardly falls."""
    return min(8, os.cpu_count() or 1)


def count_above(parts: Sequence[Part], values: Scores, *, workers: int | None = None) -> Above:
    """Count the background scores above each of `values` (K,), which must be ascending and distinct.

    `workers` is the number of threads, by default one for each CPU, up to 8.
    """
    workers = workers or default_workers()
    below = np.zeros(len(values), np.int64)
    up_to = np.zeros(len(values), np.int64)
    lock = Lock()
    chunks = list(_chunks(parts, workers))
    buffers = _buffers(chunks, workers)

    def count(chunk: Sequence[Part]) -> int:
        buffer = buffers.get()
        try:
            scores = _gather(chunk, buffer)
            scores.sort()
            for start in range(0, len(values), VALUES_AT_ONCE):
                here = slice(start, start + VALUES_AT_ONCE)
                left, right = _ranks(scores, values[here])
                with lock:  # adding up at once, rather than keeping each chunk's counts, bounds the memory
                    below[here] += left
                    up_to[here] += right
        finally:
            buffers.put(buffer)
        return len(scores)

    with ThreadPoolExecutor(workers) as pool:
        total = sum(pool.map(count, chunks))
    return Above(np.subtract(total, up_to, out=up_to), np.subtract(total, below, out=below), total)


def _buffers(chunks: Sequence[Sequence[Part]], workers: int) -> SimpleQueue[Scores]:
    """Memory for one chunk per thread, in one array: memory that threads allocate themselves is not freed."""
    longest = max((sum(part.scores.size for part in chunk) for chunk in chunks), default=0)
    dtypes = {part.scores.dtype for chunk in chunks for part in chunk}
    buffers: SimpleQueue[Scores] = SimpleQueue()
    for buffer in np.empty((workers, longest), np.result_type(*dtypes) if dtypes else np.float32):
        buffers.put(buffer)
    return buffers


def _gather(chunk: Sequence[Part], buffer: Scores) -> Scores:
    """The background scores of a chunk, as the beginning of the buffer."""
    filled = 0
    for part in chunk:
        background = part.background()
        buffer[filled : filled + len(background)] = background
        filled += len(background)
    return buffer[:filled]


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
