"""The server's answer lists the regions of drawn photographs, in their own pixels; without PyTorch."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from fastflow.regions import RegionRule
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.models import Models
from pipelines.serving.verdicts import Limits
from tests.scoring.region_kit import SHAPES, Brightness, Shape, draw
from tests.serving.kit import DecodersHere

pytestmark = pytest.mark.filterwarnings("ignore")
RULES = {"plates": RegionRule(5, 0.5)}


class Bright:
    """The models of a server that holds one."""

    def __init__(self) -> None:
        self.detectors = {"plates": Brightness()}
        self.failures: dict[str, str] = {}

    def get(self, category: str | None) -> Brightness:
        return self.detectors[category or "plates"]


@pytest.fixture(params=[None, RULES])
def client(request: pytest.FixtureRequest, folder: Path) -> Iterator[tuple[TestClient, RegionRule]]:
    batcher = Batcher(batch_size=2, max_waiting=4)
    limits = Limits(10**7, 10**7, 60, at_once=4)
    app = build_app(cast(Models, Bright()), batcher, DecodersHere(max_pixels=10**7), limits=limits, rules=request.param)
    with TestClient(app) as client:
        yield client, (request.param or {"plates": RegionRule()})["plates"]
    batcher.end()


def asked(client: TestClient, shapes: list[Shape], *, times: int = 1) -> dict[str, Any]:
    file = io.BytesIO()
    Image.fromarray(draw(shapes, times=times)).save(file, "PNG")
    answer = client.post("/score", content=file.getvalue())
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_regions_are_those_drawn(client: tuple[TestClient, RegionRule]) -> None:
    server, rule = client
    for shapes in SHAPES.values():
        found = asked(server, shapes)
        kept = [shape for shape in shapes if shape[2] * shape[3] >= rule.min_area]
        assert (found["pixel_threshold"], found["min_area"]) == (0.5, rule.min_area)
        boxes = [tuple(one[name] for name in ("x", "y", "width", "height")) for one in found["regions"]]
        assert boxes == [shape[:4] for shape in kept]
        for one, (x, y, width, height, level) in zip(found["regions"], kept, strict=True):
            assert one["polygon"] == [x, y, x + width, y, x + width, y + height, x, y + height]
            assert (one["area"], one["centroid_x"], one["centroid_y"]) == (
                width * height,
                x + width / 2,
                y + height / 2,
            )
            assert one["peak"] == one["mean"] == pytest.approx(level / 255)
            scale = rule.mm_per_pixel
            assert (one["width_mm"], one["area_mm2"]) == (
                (None, None) if scale is None else (width * scale, width * height * scale**2)
            )


def test_a_large_photograph_has_its_own_pixels(client: tuple[TestClient, RegionRule]) -> None:
    (x, y, width, height, _), *_ = shapes = SHAPES["a_two"]
    first = asked(client[0], shapes, times=8)["regions"][0]
    box = [first[name] for name in ("x", "y", "width", "height")]
    np.testing.assert_allclose(box, [8 * x, 8 * y, 8 * width, 8 * height], atol=8)


def test_regions_are_found_without_pytorch() -> None:
    code = "import sys, pipelines.serving.answers, fastflow.regions; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=300).returncode == 0
