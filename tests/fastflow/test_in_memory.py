"""Arrays and Pillow's images: whatever they are given to, the result is bit by bit that of files of the same pixels."""

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageCms

from fastflow.api import Found, explain, fit, predict
from fastflow.errors import BadData, BadImage
from fastflow.inputs import Array, Images, sources_of
from fastflow.trained import TrainedDetector
from tests.conftest import SIZE, THRESHOLD, detector_of, draw_square, shake, tiny_config
from tests.fastflow.odd_files import RAMPS, write
from tests.fastflow.roi_kit import drawn, model_with

TINY = {name: value for name, value in tiny_config().to_dict().items() if name not in ("score", "image_size")}
LETTERBOX = {"image_size": (SIZE, 48), "letterbox": True}


def pictures(count: int = 6, *, sizes: Sequence[tuple[int, int]] = ((SIZE, SIZE),)) -> list[Array]:
    """Noise of these (height, width) in turn, the last of them with a square."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        height, width = sizes[number % len(sizes)]
        made.append(rng.integers(60, 120, (height, width, 3), dtype=np.uint8))
    made[-1][5:19, 7:20] = 250
    return made


def written(folder: Path, images: Sequence[Array]) -> list[Path]:
    folder.mkdir()
    paths = [folder / f"{number}.png" for number in range(len(images))]
    for path, pixels in zip(paths, images, strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def bits(found: Found) -> list[bytes]:
    return [found.table["pred_score"].to_numpy().tobytes(), *(one.tobytes() for one in found.anomaly_maps)]


def shaken(**changes: object) -> TrainedDetector:
    from fastflow.model import FastFlow

    model = FastFlow(tiny_config(**changes)).eval()
    shake(model.flows, scale=0.05)
    return detector_of(model)


@pytest.mark.parametrize("kind", ["arrays", "a stack", "Pillow's images", "both", "one array", "one image"])
def test_scores_are_bit_by_bit_those_of_png_files(kind: str, tmp_path: Path) -> None:
    arrays, detector = pictures(), shaken()
    paths = written(tmp_path / "files", arrays)
    images = [Image.fromarray(one) for one in arrays]
    both: list[Array | Image.Image] = [arrays[0], *images[1:]]
    given: dict[str, Images] = {
        "arrays": arrays,
        "a stack": np.stack(arrays),
        "Pillow's images": images,
        "both": both,
        "one array": arrays[-1],
        "one image": images[-1],
    }
    found, expected = predict(detector, given[kind]), predict(detector, paths[-1:] if "one" in kind else paths)
    assert bits(found) == bits(expected)
    assert found.regions == expected.regions
    assert found.table["image_path"].tolist() == [f"image {number}" for number in range(len(expected))]


@pytest.mark.parametrize("changes", [{}, LETTERBOX], ids=["stretched", "padded"])
def test_so_they_are_of_sizes_that_differ(changes: dict[str, object], tmp_path: Path) -> None:
    arrays, detector = pictures(sizes=((SIZE, SIZE), (90, 41), (33, 70))), shaken(**changes)
    found, expected = predict(detector, arrays), predict(detector, written(tmp_path / "files", arrays))
    assert bits(found) == bits(expected)
    assert [one.shape for one in found.anomaly_maps] == [one.shape[:2] for one in arrays]


def test_so_they_are_with_a_region_of_interest(tmp_path: Path) -> None:
    detector = TrainedDetector(model=model_with(drawn()), threshold=THRESHOLD)
    arrays = pictures(sizes=((SIZE, SIZE), (2 * SIZE, 2 * SIZE)))
    found, expected = predict(detector, arrays), predict(detector, written(tmp_path / "files", arrays))
    assert bits(found) == bits(expected)
    outside = [one.copy() for one in arrays]
    for one in outside:
        one[:4] = 255  # above the region
    assert bits(predict(detector, outside)) == bits(expected)
    with pytest.raises(BadImage, match="image 1: its 90x41 pixels"):
        predict(detector, [arrays[0], np.zeros((90, 41, 3), np.uint8)])


def test_what_is_learnt_from_arrays_is_what_files_teach(tmp_path: Path) -> None:
    arrays = pictures(7, sizes=((SIZE, SIZE), (60, 66)))
    arrays[3] = arrays[0].copy()  # a copy shares the fold of its original
    files = written(tmp_path / "files", arrays)
    settings: dict[str, Any] = TINY | {"weights": "random", "epochs": 2, "image_area": SIZE * SIZE}
    one, other = fit(arrays, **settings), fit(files, **settings)
    assert one.threshold == other.threshold
    assert one.model.config == other.model.config
    for a, b in zip(one.model.state_dict().values(), other.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_an_explanation_of_an_array_is_that_of_its_file(tmp_path: Path) -> None:
    arrays, detector = pictures(4), shaken()
    paths = written(tmp_path / "files", arrays)
    found, expected = (
        explain(detector, arrays[-1], good=arrays[:3]),
        explain(detector, paths[-1], good=paths[:3]),
    )
    assert (found.pred_score, found.scales, found.distance) == (
        expected.pred_score,
        expected.scales,
        expected.distance,
    )
    assert (found.nearest, expected.nearest) == (f"image {paths.index(Path(expected.nearest))}", expected.nearest)


def profile() -> bytes:
    """A profile that is not sRGB: with it, colours are converted."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    place = content.index(b"rXYZ", 128)
    offset = struct.unpack(">I", content[place + 4 : place + 8])[0]
    content[offset + 8 : offset + 12] = struct.pack(">i", 30000)
    return bytes(content)


def odd_files(folder: Path) -> dict[str, Path]:
    """Files whose pixels alone do not say what they mean."""
    rng = np.random.default_rng(2)
    colours = Image.fromarray(rng.integers(0, 255, (50, 40, 3), dtype=np.uint8))
    alpha = Image.fromarray(rng.integers(0, 255, (50, 40), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    kinds: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "turned.jpg": (colours, {"exif": turned}),
        "grey.png": (colours.convert("L"), {}),
        "palette.png": (colours.quantize(16), {"transparency": 3}),
        "alpha.png": (Image.merge("RGBA", (*colours.split(), alpha)), {}),
        "unset.png": (Image.merge("RGBA", (*colours.split(), alpha.point(lambda _: 0))), {}),
        "profile.png": (colours, {"icc_profile": profile()}),
        "cmyk.jpg": (colours.convert("CMYK"), {}),
        "lossless.webp": (colours, {"lossless": True}),
        "bilevel.png": (alpha.convert("1"), {}),
    }
    for name, (image, options) in kinds.items():
        image.save(folder / name, **options)
    return {name: folder / name for name in kinds}


def test_an_image_that_pillow_opened_means_what_its_file_means(tmp_path: Path) -> None:
    detector = shaken()
    for name, path in odd_files(tmp_path).items():
        with Image.open(path) as image:
            assert bits(predict(detector, [image])) == bits(predict(detector, [path])), name
            image.load()
            assert bits(predict(detector, [image])) == bits(predict(detector, [path])), f"{name}, loaded"


def test_a_picture_is_as_it_was_given_whatever_becomes_of_it(tmp_path: Path) -> None:
    array, image = pictures(1)[0], Image.fromarray(pictures(1)[0])
    given: list[Array | Image.Image] = [array, image]
    sources = sources_of(given)
    array[:], expected = 0, pictures(1)[0]
    image.paste((0, 0, 0), (0, 0, SIZE, SIZE))
    for one in sources:
        assert np.array_equal(np.asarray(getattr(one, "image")), expected)  # noqa: B009  of a picture, not a path


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([np.zeros((4, 4, 3))], r"image 0: an array is uint8 \(H, W, 3\) in RGB, got float64 \(4, 4, 3\)"),
        (np.zeros((4, 4), np.uint8), r"got uint8 \(4, 4\)"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8)], r"image 1: .* got uint8 \(4, 4, 4\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"image 0: .* got uint8 \(4, 4, 1\)"),
        ([np.zeros((0, 4, 3), np.uint8)], "0x4 pixels; at least one is needed"),
        ([Image.new("I;16", (4, 4))], r"image 0: an image of more than 8 bits \(mode I;16\); save it to a file"),
        ([Image.new("F", (4, 4))], "more than 8 bits"),
        ([Image.new("HSV", (4, 4))], "image 0: mode HSV has no stated meaning"),
        (["a.png", np.zeros((4, 4, 3), np.uint8)], "a list of files and pictures both"),
        ([torch.zeros(3, 4, 4)], r"image 0: an image is a path, .* got Tensor"),
        ([None], "got NoneType"),
        ([], "an empty list of images"),
        ([np.zeros((10_001, 10_000, 3), np.uint8)], "10000x10001 pixels, more than 100,000,000 allowed"),
        ("nosuch", "nosuch is neither a folder nor a file"),
    ],
)
def test_what_is_no_picture_is_refused_in_a_sentence(given: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=said) as refused:
        predict(shaken(), given)
    assert isinstance(refused.value, BadImage | BadData) or type(given[0]).__name__ in ("Tensor", "NoneType")


def test_colours_of_16_bits_are_refused_while_pillow_still_knows_of_them(tmp_path: Path) -> None:
    for name in ("rgb16.png", "rgba16.png", "u16_miniswhite.tif", "grey16_alpha.png"):
        path = write(RAMPS[name](), tmp_path / name)
        with Image.open(path) as image, pytest.raises(BadImage, match="more than 8 bits"):
            sources_of([image])


def test_paths_come_in_any_sequence(tmp_path: Path) -> None:
    paths = written(tmp_path / "files", pictures(3))
    kinds: list[Any] = [tuple(paths), np.array(list(map(str, paths))), pd.Series(list(map(str, paths)))]
    for kind in kinds:
        assert sources_of(kind) == paths


def test_a_damaged_file_that_pillow_has_only_opened_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.fromarray(draw_square(seed=1, defect=False)[0]).save(path)
    path.write_bytes(path.read_bytes()[:900])
    with Image.open(path) as image, pytest.raises(BadImage, match="image 0: cannot be read"):
        sources_of(image)
