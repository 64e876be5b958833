"""Why a photograph has its score: taken apart by a process of its own, as that needs PyTorch, the checkpoint, and the
project's good pictures; one at a time, as it takes half a minute.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated

from fastapi import HTTPException, Query, Request
from pydantic import BaseModel, Field

from pipelines.serving.decoding import Decoders
from pipelines.serving.models import Models
from pipelines.serving.uploads import Refused
from pipelines.serving.verdicts import Verdicts, busy, detector_of

EXPLAINING_SECONDS = 180


class Because(BaseModel):
    """Why a score is what it is."""

    model: str
    said: list[str] = Field(description="sentences, without their full stops")
    place: str = Field(description="the place that decided, and what surrounds it: WebP in base64")
    similar: str = Field(description="the same of the most similar good training picture")
    nearest: str = Field(description="the name of that picture")


class Explainer:
    """The handler of `/why`. It reads and decodes a body as `verdicts` do, within their limits."""

    def __init__(self, models: Models, decoders: Decoders, verdicts: Verdicts) -> None:
        self.models, self.decoders, self.verdicts = models, decoders, verdicts
        self.alone = asyncio.Lock()

    async def why(
        self,
        request: Request,
        category: Annotated[str | None, Query(description="may be left out where there is only one")] = None,
    ) -> Because:
        """Why the model gives a photograph its score: the body is its file, as it is. Half a minute; one at a time."""
        detector = detector_of(self.models, category)
        if not (name := self.models.checkpoint(detector.category)):
            raise HTTPException(
                409, "an export has no terms to explain a score by; serve a checkpoint, or the registry's"
            )
        if self.alone.locked():
            raise busy("another score is being explained")
        async with self.alone:
            try:
                async with asyncio.timeout(EXPLAINING_SECONDS):
                    content = await self.verdicts.read(request)
                    await self.decoders.framed(content, detector.frame)  # within limits, which the other process lacks
                    return await explained(detector.category, name, content)
            except Refused as error:
                raise HTTPException(error.status, error.why) from error
            except TimeoutError as error:
                raise HTTPException(504, f"not explained within {EXPLAINING_SECONDS} s; try again later") from error


async def explained(category: str, model: str, content: bytes) -> Because:
    """Raises HTTPException: 409 where the project has not what it takes."""
    with tempfile.TemporaryDirectory() as scratch:
        image = Path(scratch) / "photograph"
        image.write_bytes(content)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pipelines.cli.operations", "why", category, str(image), model,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        try:
            said, failed = await process.communicate()
        finally:
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
    if process.returncode:
        reason = failed.decode(errors="replace").strip().rpartition("error: ")[2].replace(str(image), "the photograph")
        raise HTTPException(409, reason[-1000:] or f"the process that explains ended with code {process.returncode}")
    return Because.model_validate(json.loads(said.decode().splitlines()[-1]))
