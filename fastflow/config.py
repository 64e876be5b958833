"""The model's configuration: the one config object of the library, because it travels inside the checkpoint."""

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal, get_args

from fastflow.pixels.meaning import PixelRule
from fastflow.score import SCORES

FeatureNorm = Literal["layer", "layer_affine", "channel", "none"]
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FastFlowConfig:
    """What a FastFlow is made of. JSON-able; equal configs build equal architectures.

    Raises:
        ValueError: a value out of its range; the message names the field.
    """

    backbone: str
    """timm name with tag."""
    layers: tuple[int, ...]
    """Stages (CNN) or blocks (transformer), counted from 0; one flow each."""
    image_size: tuple[int, int]
    """(height, width) in pixels that the backbone sees."""
    letterbox: bool = False
    """True: a picture of another shape is padded to image_size; False: it is stretched, as older models do."""
    decoding: int = 1
    """`version` of `fastflow.pixels.meaning.PixelRule`: 1 as older models read images, 2 as they were meant."""
    value_range: tuple[float, float] | None = None
    """The numbers that are black and white, of files of more than 8 bits; None: as each file declares."""
    page: int | None = None
    """The page that is read of files that hold several, from 1; None: such files are refused."""
    mean: tuple[float, float, float] = IMAGENET_MEAN
    """Of the pixels in 0..1, per channel, as the backbone was trained."""
    std: tuple[float, float, float] = IMAGENET_STD
    final_norm: bool = False
    """A transformer's own final norm on its features."""
    feature_norm: FeatureNorm = "layer"
    """Before each flow: over (C, H, W) without or with trainable affine, over C alone, or none."""
    flow_steps: int = 8
    hidden_ratio: float = 1.0
    """Hidden width of a subnet / its input channels."""
    conv3x3_only: bool = True
    """False: 3x3 and 1x1 kernels in turn."""
    couplings: int = 1
    """Affine couplings per step: 1 (both reproductions) or 2 (a reading of the paper's figure 2)."""
    clamp: float = 2.0
    """Bound of a coupling's log-scale, in nats; 2 in both reproductions."""
    conditioner_clip: float | None = 3.0
    """Bound of what a coupling's subnet may see, in units of normalised features; None = no bound (paper). It keeps a
    defect's runaway values from spreading to its neighbours through the 3x3 kernels."""
    score: str = "likelihood_by_area"
    """How anomaly maps and image scores are made: a name in fastflow.score.SCORES."""

    def __post_init__(self) -> None:
        for name in ("layers", "image_size", "mean", "std"):  # JSON and YAML give lists
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check("layers", len(self.layers) > 0 and _whole(self.layers), "at least one index, [1, 2, 3]")
        size = self.image_size
        self._check("image_size", len(size) == 2 and _whole(size) and min(size) > 0, "[height, width], whole and > 0")
        self._check("decoding", self.decoding in (1, 2), "1 or 2")
        if self.value_range is not None:
            object.__setattr__(self, "value_range", tuple(self.value_range))
            low, high = self.value_range if len(self.value_range) == 2 else (0.0, 0.0)
            self._check("value_range", low < high, "[low, high], low being black and below high, or null")
        self._check("page", self.page is None or (isinstance(self.page, int) and self.page >= 1), "1 or more, or null")
        self._check("mean", len(self.mean) == 3, "three numbers")
        self._check("std", len(self.std) == 3 and min(self.std) > 0, "three numbers > 0")
        self._check("feature_norm", self.feature_norm in get_args(FeatureNorm), f"one of {get_args(FeatureNorm)}")
        self._check("flow_steps", self.flow_steps >= 1, "at least 1")
        self._check("hidden_ratio", self.hidden_ratio > 0, "more than 0")
        self._check("couplings", self.couplings in (1, 2), "1 or 2")
        self._check("clamp", self.clamp > 0, "more than 0")
        clip = self.conditioner_clip
        self._check("conditioner_clip", clip is None or clip > 0, "more than 0, or null for no bound")
        self._check("score", self.score in SCORES, f"one of {tuple(SCORES)}")

    def _check(self, name: str, valid: bool, allowed: str) -> None:
        if not valid:
            raise ValueError(f"model: {name} is {getattr(self, name)!r}; allowed: {allowed}")

    @property
    def rule(self) -> PixelRule:
        """How image files become pixels."""
        return PixelRule(self.value_range, self.page, self.decoding)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "FastFlowConfig":
        """Inverse of `to_dict`. Raises ValueError naming unknown or missing keys."""
        fields = {field.name: field for field in dataclasses.fields(cls)}
        unknown = sorted(values.keys() - fields.keys())
        required = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
        missing = sorted(required - values.keys())
        if unknown or missing:
            raise ValueError(f"model: unknown keys {unknown}, missing keys {missing}; allowed: {sorted(fields)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"model: a value has the wrong type ({error}); got {dict(values)}") from error


def _whole(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, int) for value in values)
