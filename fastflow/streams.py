"""Independent work on a GPU, side by side."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch

T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]], device: torch.device) -> list[T]:
    """The results of calls that work on `device`. While a CUDA graph is recorded, each call gets a stream of its own,
    and the graph runs them at once; outside of one they would only wait for their launches, and run one by one."""
    if not (device.type == "cuda" and torch.cuda.is_current_stream_capturing()):
        return [call() for call in calls]
    main, streams, results = torch.cuda.current_stream(), [torch.cuda.Stream() for _ in calls], []
    for call, stream in zip(calls, streams, strict=True):
        stream.wait_stream(main)
        with torch.cuda.stream(stream):
            results.append(call())
    for stream in streams:
        main.wait_stream(stream)
    return results
