"""Verdicts on pictures of the folder: by the server's own decoders, batches and models."""

import asyncio
import hashlib
import os
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from fastflow.detector import Detector
from fastflow.errors import BadData
from fastflow.files import printable
from fastflow.frame import Framed
from fastflow.regions import Region, RegionRule
from pipelines.core.stage import Failed, log
from pipelines.line.arrivals import signature_of
from pipelines.line.verdict import Identity, Picture, largest_region
from pipelines.review.keep import Judged, Keeper
from pipelines.scoring.production import Production
from pipelines.scoring.production import Scored as ProductionRow
from pipelines.serving.answers import regions_of
from pipelines.serving.batching import Batcher, Scored
from pipelines.serving.decoding import Decoders
from pipelines.serving.models import Models
from pipelines.serving.recorder import row_of
from pipelines.serving.uploads import Refused
from pipelines.serving.verdicts import heat_png

MAX_BYTES = 256 * 2**20
"""Of a file, and of the files that are held at once."""
JUDGING_SECONDS = 300
UNREADABLE_TRIES, ODD_TRIES = 2, 6
"""How often a file is tried whose content is no picture, which may still be written, and one whose reading or scoring
fails, as the writer may hold it."""


class Overtaken(Exception):
    """The file is not what it was when it was found whole."""


class Outcome(NamedTuple):
    """What came of a picture. `found`: the fields of its verdict; else `fault`: why there is none, which is for good
    after so many `tries`; else it is `known`, or was overtaken."""

    picture: Picture
    sha256: str = ""
    found: dict[str, Any] | None = None
    row: ProductionRow | None = None
    judged: Judged | None = None
    fault: str | None = None
    tries: int = 1
    known: bool = False

    @property
    def identity(self) -> Identity:
        return Identity(self.picture.name, self.picture.signature.mtime_ns, self.sha256)

    @property
    def is_final(self) -> bool:
        return self.found is not None or (self.fault is not None and self.picture.tries + 1 >= self.tries)


class Judge:
    """Judges pictures of one category, by whichever model is held at the time, unless `knows` says that they are known;
    `production` keeps the scores, too, `keeper` what a person should look at."""

    def __init__(
        self,
        models: Models,
        batcher: Batcher,
        decoders: Decoders,
        *,
        rule: RegionRule,
        production: Production | None,
        knows: Callable[[Identity], bool],
        keeper: Keeper | None = None,
    ) -> None:
        self.models, self.batcher, self.decoders = models, batcher, decoders
        self.rule, self.production, self.knows, self.keeper = rule, production, knows, keeper
        self._runner = asyncio.Runner()

    def judge(self, pictures: list[Picture]) -> list[Outcome]:
        """An outcome for each, in order. Raises Failed where that takes too long."""
        try:
            outcomes = self._runner.run(asyncio.wait_for(self._all(pictures), JUDGING_SECONDS))
        except TimeoutError as error:
            raise Failed(
                f"pictures were not read and scored within {JUDGING_SECONDS} s; see to the share, start again"
            ) from error
        if self.production:  # before the state: a kill between the two leaves a row that is not written twice
            self.production.add([one.row for one in outcomes if one.row is not None])
        if self.keeper:
            self.keeper.wants([one.judged for one in outcomes if one.judged is not None])
            outcomes = [one._replace(judged=None) for one in outcomes]
        return outcomes

    def end(self) -> None:
        self._runner.close()
        self.batcher.end()
        self.decoders.end()
        if self.production:
            self.production.close()
        if self.keeper:
            self.keeper.close()

    async def _all(self, pictures: list[Picture]) -> list[Outcome]:
        return list(await asyncio.gather(*map(self._one, pictures)))

    async def _one(self, picture: Picture) -> Outcome:
        read = Outcome(picture)
        try:
            content, sha256 = await asyncio.to_thread(read_whole, picture)
            read = Outcome(picture, sha256)
            return read._replace(known=True) if self.knows(read.identity) else await self._scored(read, content)
        except (Overtaken, FileNotFoundError):
            return read
        except BadData as error:
            return read._replace(fault=str(error))
        except Refused as error:
            return read._replace(fault=error.why, tries=ODD_TRIES if error.status >= 500 else UNREADABLE_TRIES)
        except OSError as error:
            return read._replace(fault=f"it cannot be read: {error.strerror or error}", tries=ODD_TRIES)
        except Exception as error:  # whatever a runtime raises: this picture fails, the next ones are tried
            log.warning("%s cannot be scored: %s", picture.path, error)
            return read._replace(fault=f"it cannot be scored: {error}", tries=ODD_TRIES)

    async def _scored(self, read: Outcome, content: bytes) -> Outcome:
        detector, name = self.models.get(None), str(read.picture.path)
        framed = await self.decoders.framed(content, detector.frame)
        found = await asyncio.wrap_future(self.batcher.submit(framed, detector))
        regions = await asyncio.to_thread(regions_of, found, framed.shape, detector, self.rule)
        fields = fields_of(detector, found) | {
            "regions": len(regions),
            "largest_region": largest_region(regions, self.rule.mm_per_pixel),
        }
        row = await asyncio.to_thread(row_of, framed, read.sha256, found, detector, name=name)
        judged = judged_of(read, content, framed, found, regions, detector) if self.keeper else None
        return read._replace(found=fields, row=row, judged=judged)


def fields_of(detector: Detector, found: Scored) -> dict[str, Any]:
    return {
        "model": detector.version, "pred_score": found.pred_score, "threshold": float(detector.threshold["image"]),
        "pred_label": found.pred_label, "milliseconds": round(found.milliseconds, 2),
    }  # fmt: skip


def judged_of(
    read: Outcome, content: bytes, framed: Framed, found: Scored, regions: list[Region], detector: Detector
) -> Judged:
    """What a review keeps of it, where it is drawn."""
    path = read.picture.path
    return Judged(
        path=printable(str(path)), suffix=path.suffix.lower(), content=content, sha256=read.sha256, shape=framed.shape,
        model=detector.version, pred_score=found.pred_score, threshold=float(detector.threshold["image"]),
        pred_label=found.pred_label, reading=detector.frame.rule, regions=regions,
        heat=partial(heat_png, found, detector),
    )  # fmt: skip


def read_whole(picture: Picture) -> tuple[bytes, str]:
    """A file's bytes and their sha256, if the file is before and after what it was when it was found whole.

    Raises:
        Overtaken: it is not. BadData: it is too long. OSError: it cannot be read.
    """
    if picture.signature.size > MAX_BYTES:
        raise BadData(f"it has {picture.signature.size:,} bytes; at most {MAX_BYTES:,} are allowed")
    with picture.path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
        if signature_of(os.fstat(file.fileno())) != picture.signature or len(content) != picture.signature.size:
            raise Overtaken
    return content, hashlib.sha256(content).hexdigest()
