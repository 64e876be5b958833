"""How a category's files become pixels, and these tiles: what params.yaml states, and what `prepare` has determined."""

import json

from fastflow.errors import BadData
from fastflow.files import write_text
from fastflow.pixels.meaning import PixelRule
from fastflow.roi import Roi, as_roi
from pipelines.core.params import Params, Pixels, Tiles
from pipelines.core.paths import pixels_file


def stated_rule(params: Params, category: str) -> PixelRule:
    """That of params.yaml, section pixels."""
    return rule_of(params.pixels.get(category, Pixels()))


def rule_of(pixels: Pixels) -> PixelRule:
    low_high = pixels.value_range
    return PixelRule((low_high[0], low_high[1]) if low_high else None, pixels.page)


def as_pixels(rule: PixelRule) -> Pixels:
    """What params.yaml keeps of a rule."""
    return Pixels(value_range=list(rule.value_range) if rule.value_range else None, page=rule.page)


def write_rule(category: str, rule: PixelRule, roi: Roi | None = None, tiles: Tiles | None = None) -> None:
    """For later stages: the rule, and the region of interest and the tiles where there are any."""
    content = as_pixels(rule).model_dump(exclude={"roi"}) | ({"roi": roi._asdict()} if roi else {})
    content |= {"tiles": tiles.model_dump()} if tiles else {}
    write_text(pixels_file(category), json.dumps(content, indent=2) + "\n")


def read_rule(category: str) -> PixelRule:
    """Raises BadData where `prepare` has not written it."""
    return _read(category)[0]


def read_roi(category: str) -> Roi | None:
    """The region of interest; None: there is none. Raises BadData where `prepare` has not written it."""
    return _read(category)[1]


def read_tiles(category: str) -> Tiles | None:
    """How pictures are cut; None: they are not. Raises BadData where `prepare` has not written it."""
    return _read(category)[2]


def _read(category: str) -> tuple[PixelRule, Roi | None, Tiles | None]:
    path = pixels_file(category)
    try:
        content = json.loads(path.read_text())
        roi = as_roi(content.pop("roi", None)) if isinstance(content, dict) else None
        tiles = content.pop("tiles", None) if isinstance(content, dict) else None
        cut = None if tiles is None else Tiles.model_validate(tiles)
        return rule_of(Pixels.model_validate(content)), roi, cut
    except (OSError, ValueError, RecursionError) as error:
        raise BadData(
            f"{path} does not exist, or is damaged ({error}); run: dvc repro --force prepare@{category}"
        ) from error
