"""The verdict on one image: read, decoded, scored and counted, within limits."""

import asyncio
import base64
import hashlib
import io
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, NamedTuple

from fastapi import HTTPException, Query, Request
from PIL import Image

from fastflow.detector import Detector, NotFinite
from fastflow.regions import Region, RegionRule
from pipelines.reporting.pictures import heat_colours
from pipelines.serving.answers import Answer, about, as_answers, regions_of
from pipelines.serving.batching import Batcher, QueueFull, Scored
from pipelines.serving.decoding import Decoders
from pipelines.serving.instruments import Instruments
from pipelines.serving.models import Models
from pipelines.serving.recorder import Recorder
from pipelines.serving.uploads import Refused, read_body


class Limits(NamedTuple):
    """What a request may cost."""

    max_bytes: int
    max_pixels: int
    seconds: float
    at_once: int
    """Requests being processed; further ones are refused at once, before they cost memory."""


class Verdicts:
    """The handler of `/score`. Every request is counted, whatever its result. `rules`: what is a region, by category;
    where it says nothing of one, every region counts."""

    def __init__(
        self,
        models: Models,
        batcher: Batcher,
        decoders: Decoders,
        limits: Limits,
        instruments: Instruments,
        recorder: Recorder | None,
        rules: Mapping[str, RegionRule] | None = None,
    ) -> None:
        self.models, self.batcher, self.decoders = models, batcher, decoders
        self.limits, self.instruments, self.recorder = limits, instruments, recorder
        self.rules = rules or {}
        self.slots, self.held_bytes = asyncio.Semaphore(limits.at_once), 0

    async def score(
        self,
        request: Request,
        category: Annotated[str | None, Query(description="may be left out where there is only one")] = None,
        map: Annotated[bool, Query(description="whether to answer with the heat map, too")] = False,  # noqa: A002
    ) -> Answer:
        """The verdict on one image: the body is its file, as it is."""
        start, name, status = time.perf_counter(), "unknown", 500
        try:
            detector = detector_of(self.models, category)
            name = detector.category
            rule = self.rules.get(name, RegionRule())
            found, regions = await self._scored(request, detector, rule)
            status = 200
        except TimeoutError as error:
            status = 504
            raise HTTPException(504, f"no answer within {self.limits.seconds:g} s; try again later") from error
        except QueueFull as error:
            status = 429
            raise busy(str(error)) from error
        except NotFinite as error:
            raise HTTPException(500, str(error)) from error
        except Refused as error:
            status = error.status
            raise HTTPException(error.status, error.why) from error
        except HTTPException as error:
            status = error.status_code
            raise
        finally:
            self.instruments.requests.labels(name, str(status)).inc()
            self.instruments.seconds.labels(name).observe(time.perf_counter() - start)
        self.instruments.batch.observe(found.batch_size)
        self.instruments.verdicts.labels(name, str(found.pred_label)).inc()
        self.instruments.scores.labels(name).observe(found.pred_score)
        return Answer(
            category=name, pred_score=found.pred_score, pred_label=found.pred_label,
            threshold=detector.threshold["image"], model=detector.version, milliseconds=round(found.milliseconds, 2),
            **about(detector, rule), regions=as_answers(regions, rule),
            anomaly_map=await asyncio.to_thread(heat_map, found, detector) if map else None,
        )  # fmt: skip

    async def read(self, request: Request) -> bytes:
        """A body within the limits. Raises Refused, HTTPException."""
        with self._held() as hold:
            return await read_body(request, max_bytes=self.limits.max_bytes, on_part=hold)

    async def _scored(self, request: Request, detector: Detector, rule: RegionRule) -> tuple[Scored, list[Region]]:
        """A place is taken once the body is there, and given back when the work has ended."""
        async with asyncio.timeout(self.limits.seconds):
            with self._held() as hold:
                content = await read_body(request, max_bytes=self.limits.max_bytes, on_part=hold)
                if self.slots.locked():
                    raise busy(f"{self.limits.at_once} images are being processed")
                async with self.slots:
                    framed = await self.decoders.framed(content, detector.frame)
                    found = await asyncio.wrap_future(self.batcher.submit(framed, detector))
                    regions = await asyncio.to_thread(regions_of, found, framed.shape, detector, rule)
        if self.recorder:
            sha256 = await asyncio.to_thread(lambda: hashlib.sha256(content).hexdigest())
            self.recorder.add(framed, sha256, found, detector)
        return found, regions

    @contextmanager
    def _held(self) -> Iterator[Callable[[int], None]]:
        """Counts the bytes of one body; all bodies together are as many as `at_once` of the longest allowed have."""
        mine = 0

        def hold(size: int) -> None:
            nonlocal mine
            if self.held_bytes + size > self.limits.at_once * self.limits.max_bytes:
                raise busy("too many bytes of images are arriving")
            mine += size
            self.held_bytes += size

        try:
            yield hold
        finally:
            self.held_bytes -= mine


def detector_of(models: Models, category: str | None) -> Detector:
    try:
        return models.get(category)
    except KeyError as error:
        known = ", ".join(models.detectors)
        raise HTTPException(404, f"category {category!r} is not served; name one of: {known}") from error


def busy(why: str) -> HTTPException:
    return HTTPException(429, f"{why}; try again later", headers={"Retry-After": "1"})


def heat_map(found: Scored, detector: Detector) -> str:
    return base64.b64encode(heat_png(found, detector)).decode()


def heat_png(found: Scored, detector: Detector) -> bytes:
    """The anomaly map as colours, with transparency, of the picture's shape."""
    colours = heat_colours(found.anomaly_map, low=detector.threshold["low"], threshold=detector.threshold["pixel"])
    file = io.BytesIO()
    Image.fromarray(colours).save(file, "PNG")
    return file.getvalue()
