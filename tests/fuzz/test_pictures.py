"""Images and masks: any bytes are pixels of stated meaning, or a BadImage that names the file."""

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from fastflow.arrange import Item, marks_of
from fastflow.decode import DEFECT, IGNORED, NamedBytes, open_image, read_image, read_mask
from fastflow.errors import BadImage
from fastflow.marks import MaskRule, read_marks, upright_size
from fastflow.pixels.meaning import PixelRule, depth_of
from tests.fastflow.odd_files import LOSSY, RAMPS, REFUSED, TURNED
from tests.fuzz.kit import fuzz, read_or_refused
from tests.fuzz.mutants import files

DRAWN = [
    draw() for draw in (*RAMPS.values(), *LOSSY.values(), *TURNED.values(), *(draw for draw, _ in REFUSED.values()))
]
SMALL = [content for content in DRAWN if len(content) < 20_000]
HEADS = st.sampled_from(SMALL).flatmap(lambda content: files(content[:400]).map(lambda head: head + content[400:]))
CONTENTS = st.one_of(files(*SMALL), HEADS)  # most of what a header says lies at its beginning
RULES = st.sampled_from(
    (PixelRule(), PixelRule(version=1), PixelRule(page=1), PixelRule(page=2), PixelRule(value_range=(0.0, 4095.0)))
)
MASK_RULES = st.sampled_from(
    (MaskRule(), MaskRule(inverted=True), MaskRule(values=("1", "#ff0000")), MaskRule(values=("255",), ignore="128"))
)


def test_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def check(drawn: tuple[bytes, PixelRule]) -> None:
        content, rule = drawn
        path.write_bytes(content)
        found = read_or_refused(lambda: read_image(path, rule=rule), path, errors=(BadImage,))
        same = read_or_refused(lambda: read_image(NamedBytes(content, "it"), rule=rule), "it", errors=(BadImage,))
        if found is not None:
            assert found.dtype == np.uint8
            assert found.ndim == 3
            assert found.shape[2] == 3
            assert np.array_equal(found, same)
            depth = depth_of(open_image(path, rule=rule), rule)
            assert depth is None or depth.lowest <= depth.highest

    fuzz("images", st.tuples(CONTENTS, RULES), check)


def test_masks(tmp_path: Path) -> None:
    path = tmp_path / "a_mask.png"

    def check(drawn: tuple[bytes, MaskRule]) -> None:
        content, rule = drawn
        path.write_bytes(content)
        mask = read_or_refused(lambda: read_mask(path, image_size=(9, 7)), path, errors=(BadImage,))
        assert mask is None or (mask.shape == (9, 7) and mask.dtype == np.bool_)
        marks = read_or_refused(lambda: read_marks(path, rule), path, errors=(BadImage,))
        assert marks is None or set(np.unique(marks)) <= {0, IGNORED, DEFECT}
        drawn_at = read_or_refused(lambda: marks_of(Item(path, "test", "cut", (path,)), rule), path, errors=(BadImage,))
        assert (drawn_at is None) == (marks is None)

    fuzz("masks", st.tuples(CONTENTS, MASK_RULES), check)


def test_sizes_of_images(tmp_path: Path) -> None:
    path = tmp_path / "a.png"

    def check(drawn: tuple[bytes, int | None]) -> None:
        content, page = drawn
        path.write_bytes(content)
        try:
            width, height = upright_size(path, page)
        except (OSError, EOFError):
            return
        assert width > 0
        assert height > 0

    fuzz("sizes of images", st.tuples(CONTENTS, st.sampled_from((None, 1, 2, 10**6))), check)
