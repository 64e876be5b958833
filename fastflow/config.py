"""The model's configuration: the one config object of the library, because it travels inside the checkpoint."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from fastflow.allowed import (
    MAX_SIDE_PIXELS,
    RANGE,
    TRUTH,
    Allowed,
    above,
    check_fields,
    check_keys,
    field,
    number,
    one_of,
    or_null,
    series,
    text,
    whole,
)
from fastflow.pixels.meaning import PixelRule
from fastflow.roi import ROI_TEXT, Roi, as_roi, is_roi
from fastflow.score import SCORES
from fastflow.tiles import TILES_TEXT, Tiles, as_tiles, check_tiles, is_tiles

FeatureNorm = Literal["layer", "layer_affine", "channel", "none"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastFlowConfig:
    """What a FastFlow is made of. JSON-able; equal configs build equal architectures.

    Raises:
        ValueError: a value of another type or out of its range; the message names the field and what is allowed.
    """

    backbone: str = field(text(200))
    """timm name with tag."""
    layers: tuple[int, ...] = field(series(whole(0, 200), 1, 16))
    """Stages (CNN) or blocks (transformer), counted from 0; one flow each."""
    image_size: tuple[int, int] = field(series(whole(1, MAX_SIDE_PIXELS), 2, 2))
    """(height, width) in pixels that the backbone sees: of a picture, or of a tile."""
    letterbox: bool = field(TRUTH, False)
    """True: a picture of another shape is padded to image_size; False: it is stretched, as older models do."""
    decoding: int = field(one_of((1, 2)), 1)
    """`version` of `fastflow.pixels.meaning.PixelRule`: 1 as older models read images, 2 as they were meant."""
    value_range: tuple[float, float] | None = field(or_null(RANGE), None)
    """The numbers that are black and white, of files of more than 8 bits; None: as each file declares."""
    page: int | None = field(or_null(whole(1, 1_000_000)), None)
    """The page that is read of files that hold several, from 1; None: such files are refused."""
    roi: Roi | None = field(or_null(Allowed(ROI_TEXT, is_roi)), None)
    """The region of interest, where there is one; checkpoints without one do not have the key, as older ones."""
    tiles: Tiles | None = field(or_null(Allowed(TILES_TEXT, is_tiles)), None)
    """How pictures are cut into tiles; None, and no key in a checkpoint: they are looked at in one piece."""
    mean: tuple[float, float, float] = field(series(number(-10, 10), 3, 3), IMAGENET_MEAN)
    """Of the pixels in 0..1, per channel, as the backbone was trained."""
    std: tuple[float, float, float] = field(series(above(0, 10), 3, 3), IMAGENET_STD)
    final_norm: bool = field(TRUTH, False)
    """A transformer's own final norm on its features."""
    feature_norm: FeatureNorm = field(one_of(get_args(FeatureNorm)), "layer")
    """Before each flow: over (C, H, W) without or with trainable affine, over C alone, or none."""
    flow_steps: int = field(whole(1, 100), 8)
    hidden_ratio: float = field(above(0, 16), 1.0)
    """Hidden width of a subnet / its input channels."""
    conv3x3_only: bool = field(TRUTH, True)
    """False: 3x3 and 1x1 kernels in turn."""
    couplings: int = field(one_of((1, 2)), 1)
    """Affine couplings per step: 1 (both reproductions) or 2 (a reading of the paper's figure 2)."""
    clamp: float = field(above(0, 100), 2.0)
    """Bound of a coupling's log-scale, in nats; 2 in both reproductions."""
    conditioner_clip: float | None = field(or_null(above(0, 1e6)), 3.0)
    """Bound of what a coupling's subnet may see, in units of normalised features; None = no bound (paper). It keeps a
    defect's runaway values from spreading to its neighbours through the 3x3 kernels."""
    score: str = field(one_of(SCORES), "likelihood_by_area")
    """How anomaly maps and image scores are made: a name in fastflow.score.SCORES."""

    def __post_init__(self) -> None:
        check_fields(self, where="model")
        for name in ("layers", "image_size", "mean", "std"):  # JSON and YAML give lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "roi", as_roi(self.roi))
        object.__setattr__(self, "tiles", as_tiles(self.tiles))
        if self.tiles is not None:
            check_tiles(self.tiles, self.image_size)
            if self.roi is not None:
                raise ValueError("model: tiles and a region of interest do not go together yet; leave one of them out")
        if self.value_range is not None:
            object.__setattr__(self, "value_range", tuple(self.value_range))

    @property
    def rule(self) -> PixelRule:
        """How image files become pixels."""
        return PixelRule(self.value_range, self.page, self.decoding)

    def to_dict(self) -> dict[str, Any]:
        values = dataclasses.asdict(self)
        for name in ("roi", "tiles"):  # older versions know neither
            found = values.pop(name)
            values |= {} if found is None else {name: found._asdict()}
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FastFlowConfig":
        """Inverse of `to_dict`. Raises ValueError naming unknown or missing keys, or a value that is not allowed."""
        check_keys("model", values, {})
        fields = {one.name: one for one in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - fields.keys())
        required = {name for name, one in fields.items() if one.default is dataclasses.MISSING}
        missing = sorted(required - values.keys())
        if unknown or missing:
            raise ValueError(f"model: unknown keys {unknown}, missing keys {missing}; allowed: {sorted(fields)}")
        return cls(**values)
