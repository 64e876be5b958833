"""Pictures of any shape in a model's frame: whole, upright, not squeezed; and the frame that a category gets."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fastflow.config import FastFlowConfig
from fastflow.data import read_masks
from fastflow.errors import BadImage
from fastflow.frame import ASPECT_TOLERANCE_FRACTION, Frame, fitting_size, framed, picture_shape
from fastflow.maps import OwnMaps
from fastflow.presets import PRESETS, preset
from fastflow.sizes import config_for

SIDES = st.integers(40, 3000)


@given(height=SIDES, width=SIDES)
def test_a_picture_lies_in_its_frame_with_its_own_aspect_ratio(height: int, width: int) -> None:
    frame = Frame(192, 320, grid=4)
    size = frame.place((height, width))
    assert size[0] == frame.height or size[1] == frame.width
    assert all(side <= most for side, most in zip(size, frame[:2], strict=True))
    if size != frame[:2]:
        assert all(side % 4 == 0 for side in size)
    scale = min(192 / height, 320 / width)
    error = max(abs(a - b * scale) for a, b in zip(size, (height, width), strict=True))
    assert error <= 2 or size == frame[:2] or min(size) == 4, "to the nearest multiple of the grid"
    if size == frame[:2]:
        assert abs(np.log(height / width / (192 / 320))) <= ASPECT_TOLERANCE_FRACTION + 2 / 192 + 1e-9


@given(height=SIDES, width=SIDES, multiple=st.sampled_from([8, 14, 16]))
def test_a_frame_has_the_pictures_shape_and_the_area(height: int, width: int, multiple: int) -> None:
    size = fitting_size([(height, width)], area=65536, multiple=multiple)
    assert all(side % multiple == 0 for side in size)
    if 0.2 < height / width < 5:
        assert abs(np.log(size[0] / size[1] / (height / width))) < 0.05
        assert 0.8 < size[0] * size[1] / 65536 < 1.25


def test_the_median_shape_decides() -> None:
    shapes = [(1240, 500), (1260, 500), (1280, 500), (500, 500)]
    assert fitting_size(shapes, area=65536, multiple=16) == (400, 160)
    assert fitting_size([(480, 640)], area=65536, multiple=16) == (224, 304)
    assert fitting_size([(256, 256)], area=65536, multiple=16) == (256, 256)


def test_what_is_left_of_a_frame_is_padding() -> None:
    image = Image.fromarray(np.full((100, 50, 3), 200, np.uint8))
    found = framed(image, Frame(64, 64, grid=4))
    assert (found.size, found.shape) == ((64, 32), (100, 50))
    assert (found.pixels[:, :32] == 200).all()
    assert (found.pixels[:, 32:] == 0).all()
    assert framed(image, Frame(64, 64)).size == (64, 64), "a model without a grid stretches"


def test_a_picture_that_a_camera_turned_has_its_upright_shape(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (40, 30)).save(tmp_path / "plain.png")
    assert picture_shape(tmp_path / "turned.jpg") == (40, 30)
    assert picture_shape(tmp_path / "plain.png") == (30, 40)
    (tmp_path / "none.png").write_bytes(b"none")
    with pytest.raises(BadImage, match=r"none\.png: cannot be read"):
        picture_shape(tmp_path / "none.png")


def test_a_category_gets_a_frame_of_its_shape_unless_a_size_is_named(tmp_path: Path) -> None:
    for number in range(3):
        Image.new("RGB", (100, 250)).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.iterdir())
    assert config_for(paths, "efficientnet_lite2").image_size == (400, 160)
    assert config_for(paths, "efficientnet_lite2", image_area=64 * 64).image_size == (80, 32)
    assert config_for(paths, "efficientnet_lite2", image_size=[64, 96]).image_size == (64, 96)
    assert config_for(paths, "efficientnet_lite2", image_size=(64, 96)).image_size == (64, 96)
    assert config_for(paths, "dinov2", image_area=252 * 252).image_size == (420, 168)


def test_the_papers_presets_stay_squares_and_stretch() -> None:
    for name in PRESETS:
        config = preset(name)
        assert config.letterbox == (not name.endswith("_paper")), name
    assert config_for([], "resnet18_paper") == preset("resnet18_paper")
    before = FastFlowConfig.from_dict({"backbone": "resnet18", "layers": [1], "image_size": [64, 64]})
    assert not before.letterbox, "a model made before shapes were kept goes on stretching"


def test_maps_and_masks_come_in_the_pictures_own_shape(tmp_path: Path) -> None:
    mask = np.zeros((100, 50), bool)
    mask[40:60, 10:30] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    (small,) = read_masks([tmp_path / "mask.png"], sizes=[(64, 32)])
    rows, columns = np.nonzero(small)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == pytest.approx((25.6, 37.4, 6.4, 18.2), abs=1)
    (own,) = OwnMaps([small.astype(np.float32)], [(100, 50)])
    assert own.shape == (100, 50)
    assert ((own > 0.5) == mask).mean() > 0.98
