"""Small files that expand: decoded within limits of time and memory, and what goes beyond them ends alone."""

import asyncio
import io
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from struct import pack

import numpy as np
import psutil
import pytest
from PIL import Image

from fastflow.decode import NamedBytes, read_image
from fastflow.frame import Frame, read_framed
from pipelines.serving import decoding
from pipelines.serving.decoding import WORKER_BYTES, Decoders
from pipelines.serving.uploads import Refused
from tests.conftest import until
from tests.serving.kit import plate

pytestmark = pytest.mark.slow
FRAME = Frame(32, 32, None)


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with Decoders(max_pixels=50_000_000, seconds=3, workers=1) as decoders:
        yield decoders


def framed(decoders: Decoders, content: bytes) -> object:
    return asyncio.run(asyncio.wait_for(decoders.framed(content, FRAME), 120))


def workers() -> list[psutil.Process]:
    return [
        one for one in psutil.Process().children(recursive=True) if "resource_tracker" not in " ".join(one.cmdline())
    ]


def rle_bmp(width: int, height: int) -> bytes:
    """A BMP of 8 bits, run-length encoded, that ends after its header: all pixels are skipped."""
    data = b"\0\1"  # end of bitmap
    offset = 14 + 40 + 4 * 256
    head = b"BM" + pack("<IHHI", offset + len(data), 0, 0, offset)
    return head + pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, len(data), 0, 0, 256, 0) + bytes(4 * 256) + data


def wide_png(width: int, height: int) -> bytes:
    """Sixteen bits, all black: some hundred kB."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((height, width), np.uint16)).save(file, "PNG")
    return file.getvalue()


def test_an_image_is_what_this_process_would_make_of_it(decoders: Decoders) -> None:
    content = plate(1, size=100)
    found = framed(decoders, content)
    assert np.array_equal(found.pixels, read_framed(NamedBytes(content), FRAME).pixels)  # type: ignore[attr-defined]


@pytest.mark.parametrize("content", [rle_bmp(7000, 7000), wide_png(7000, 7000)], ids=["rle", "png16"])
def test_what_expands_costs_bounded_time_and_memory(decoders: Decoders, content: bytes) -> None:
    """Answered or refused, the server's own memory stays, and the worker's below its limit."""
    assert len(content) < 200_000
    before, start = psutil.Process().memory_info().rss, time.monotonic()
    with suppress(Refused):
        framed(decoders, content)
    assert time.monotonic() - start < 60
    assert psutil.Process().memory_info().rss - before < 50e6
    assert all(one.memory_info().rss < WORKER_BYTES + 300e6 for one in workers())
    framed(decoders, plate(2))  # the pool is as before


def test_more_memory_than_allowed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "WORKER_BYTES", 200 * 2**20)
    with Decoders(max_pixels=100_000_000, seconds=60, workers=1) as small:
        with pytest.raises(Refused, match="more than the 200 MiB allowed") as refused:
            framed(small, wide_png(9000, 9000))
        assert refused.value.status == 413
        framed(small, plate(3))


def test_more_time_than_allowed_is_said_and_the_worker_ended(decoders: Decoders) -> None:
    with Decoders(max_pixels=100_000_000, seconds=0.05, workers=1) as hasty:
        with pytest.raises(Refused, match=r"longer to decode than the 0.05 s allowed") as refused:
            framed(hasty, plate(4, size=6000))
        assert refused.value.status == 413


def test_workers_that_die_are_replaced() -> None:
    """At work, and while none has any."""
    with Decoders(max_pixels=50_000_000, seconds=60, workers=2) as decoders:
        content = plate(5, size=4000)

        async def killed() -> None:
            asked = asyncio.ensure_future(decoders.framed(content, FRAME))
            await asyncio.sleep(0.1)
            for worker in workers():
                worker.kill()
            with pytest.raises(Refused) as refused:
                await asked
            assert refused.value.status in (400, 503)

        asyncio.run(asyncio.wait_for(killed(), 120))
        framed(decoders, plate(6))
        for worker in workers():
            worker.kill()
        until(lambda: answers(decoders), seconds=60)
    until(lambda: not workers(), seconds=30)


def answers(decoders: Decoders) -> bool:
    try:
        framed(decoders, plate(7))
    except Refused as refused:
        assert refused.status in (400, 503), refused  # noqa: PT017
        return False
    return True


def test_pages_without_number_are_not_counted(tmp_path: Path) -> None:
    """Counting the frames of a TIFF takes time that grows with their square."""
    frame = Image.new("L", (4, 4))
    frame.save(tmp_path / "many.tif", save_all=True, append_images=[frame] * 6000)
    start = time.monotonic()
    with pytest.raises(Exception, match="several pages"):
        read_image(tmp_path / "many.tif")
    assert time.monotonic() - start < 2
