"""Images decoded in processes of their own, so that a small file that expands costs bounded time and memory.

A worker that exceeds either is killed and replaced; other requests go on. The limit of memory holds on Linux alone.
"""

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import BrokenExecutor
from typing import Any, Self

import pebble
import psutil

from fastflow.frame import Frame, Framed
from pipelines.serving.uploads import Refused, decode

DECODING_SECONDS = 10
"""Of one image: far above what the largest one allowed takes."""
WORKER_BYTES = 2**30
"""Memory of one worker beyond its code: the largest image allowed, of 16 bits, fits."""
MAX_WORKERS = 4
"""So that their memory together is bounded, whatever the number of cores."""
START_SECONDS, ENDING_SECONDS = 120, 10


class Decoders:
    """A pool of processes that decode; it is ready once it is made, and made again should it break.

    Raises:
        RuntimeError: no worker came up in time.
    """

    def __init__(self, *, max_pixels: int, seconds: float = DECODING_SECONDS, workers: int | None = None) -> None:
        self.max_pixels, self.seconds = max_pixels, seconds
        self.workers = workers or min(MAX_WORKERS, os.cpu_count() or 1)
        self._pool = self._started()
        try:
            for one in [self._pool.schedule(os.getpid) for _ in range(self.workers)]:
                one.result(START_SECONDS)
        except TimeoutError as error:
            self.end()
            raise RuntimeError(f"no process to decode images came up within {START_SECONDS} s") from error

    def _started(self) -> pebble.ProcessPool:
        context = multiprocessing.get_context("spawn")  # threads run here: a fork would copy their locks
        return pebble.ProcessPool(self.workers, initializer=confine, initargs=[WORKER_BYTES], context=context)

    async def framed(self, content: bytes, frame: Frame) -> Framed:
        """The image in a model's frame. Cancelled, its worker is killed.

        Raises:
            Refused: as `pipelines.serving.uploads.decode`; 413 where it takes too much time or memory; 400 where it
                ends its worker; 503 where another image ended all of them.
        """
        framed: Framed = await self.done(decode, content, frame, self.max_pixels)
        return framed

    async def done(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What `work` gives in a worker; raises as `framed`."""
        if not self._pool.active:  # pebble gives up a pool whose workers all died while none had a task
            self._pool = self._started()
        task = self._pool.schedule(work, args=arguments, timeout=self.seconds)
        try:
            return await asyncio.wrap_future(task)
        except TimeoutError as error:
            raise Refused(413, f"the image takes longer to decode than the {self.seconds:g} s allowed") from error
        except MemoryError as error:
            raise Refused(413, f"the image takes more than the {WORKER_BYTES >> 20} MiB allowed to decode") from error
        except pebble.ProcessExpired as error:
            raise Refused(
                400, "the image ended the process that decoded it; it is damaged, or made to do so"
            ) from error
        except BrokenExecutor as error:
            raise Refused(503, "the processes that decode ended; try again") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """Ends the workers, whatever they are at."""
        self._pool.stop()
        self._pool.join(timeout=ENDING_SECONDS)


def confine(more_bytes: int) -> None:
    """Of a worker: it may take so much memory more than it has, and Ctrl-C is the server's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        import resource
    except ImportError:  # Windows
        return
    limit = getattr(psutil.Process().memory_info(), "data", 0) + more_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
