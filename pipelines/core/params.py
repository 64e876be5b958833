"""params.yaml, read once and checked: an unknown key, a missing key or a wrong type is an error that names it."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import CollectionEndEvent, CollectionStartEvent

from pipelines.core.gate_params import Gate
from pipelines.core.params_faults import sentence
from pipelines.core.sections import Category, Count, Section

PARAMS_FILE = Path("params.yaml")
MAX_DEPTH = 50
Policy = Literal["refuse", "quarantine", "report"]
PolicyWithoutImage = Literal["refuse", "report"]  # for findings about no single image that could be left out


class Data(Section):
    root: str
    categories: Annotated[list[Category], Field(min_length=1)]


class Source(Section):
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    mirrors: list[Annotated[str, Field(pattern="^https?://")]]


class Download(Section):
    source: Literal["mvtec_ad", "visa"]
    categories: list[Category]
    archive: str | None
    mvtec_ad: Source
    visa: Source


class OwnFolder(Section):
    """How `fastflow init` reads a user's folder: those of its options that were given."""

    folder: str
    good: list[str] = Field(default_factory=list)
    test_good: list[str] = Field(default_factory=list)
    defects: list[str] = Field(default_factory=list)
    masks: list[str] = Field(default_factory=list)
    ignore: list[str] = Field(default_factory=list)
    masks_inverted: bool = False
    mask_values: list[str] = Field(default_factory=list)
    ignore_value: str | None = None
    test_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.2


def _ascending(value: list[float]) -> list[float]:
    if not value[0] < value[1]:
        raise ValueError("should be black, then white, which is higher")
    return value


class Pixels(Section):
    """How a category's files become pixels, where they do not state it: `fastflow.pixels.meaning.PixelRule`."""

    value_range: Annotated[list[float], Field(min_length=2, max_length=2), AfterValidator(_ascending)] | None = None
    page: Count | None = None
    roi: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    """The sha256 of the region of interest, `pipelines.core.paths.roi_file`: by it DVC sees another region."""


class Regions(Section):
    """What of a category's anomaly maps is reported as a region: `fastflow.regions.RegionRule`."""

    min_area: Annotated[int, Field(ge=0)] = 0
    mm_per_pixel: Annotated[float, Field(gt=0)] | None = None


class Tiles(Section):
    """How a category's pictures are cut into tiles: `fastflow.tiles.TileSettings`; docs/small-defects.md."""

    size: Count | Annotated[list[Count], Field(min_length=2, max_length=2)]
    overlap: Annotated[float, Field(ge=0, lt=1)] = 0.25
    scale: Annotated[float, Field(gt=0, le=1)] = 1.0


class Masters(Section):
    """Whether, and how, a server asks for a check of master parts before it is ready: docs/masters.md."""

    required: bool = False
    hours: Annotated[float, Field(gt=0)] = 24
    new_photographs: bool = False


class Findings(Section):
    unreadable: Policy
    missing_mask: Policy
    mask_size: Policy
    empty_mask: Policy
    full_mask: Policy
    non_binary_mask: Policy
    extra_mask: PolicyWithoutImage
    leakage: Policy
    near_identical: Policy
    duplicate: Policy
    suspicious: Policy
    odd_mode: Policy
    unset_alpha: Policy = "report"
    bit_depth: PolicyWithoutImage = "report"
    out_of_range: Policy = "report"
    odd_size: Policy
    odd_shape: Policy = "report"
    name_clash: Policy
    name_form: PolicyWithoutImage
    foreign_file: PolicyWithoutImage
    empty_class: PolicyWithoutImage
    roi_shape: Policy = "refuse"
    outside_roi: Policy = "report"


class Demo(Section):
    categories: list[Category]
    image_size: Annotated[int, Field(ge=64, le=2048)]
    num_train: Count
    num_good: Count
    num_per_defect: Count


class Model(Section):
    preset: str
    weights: str
    image_size: Literal["auto"] | Annotated[list[Count], Field(min_length=2, max_length=2)] = "auto"
    image_area: Count | None = None
    overrides: dict[str, Any]


class Changes(Section):
    """Up to how much the light, the focus or the place may change, either way: copies of the images that are trained
    on, too. Units and limits are those of pipelines/training/changes.py."""

    brightness: Annotated[float, Field(gt=0, le=50)] | None = None
    contrast: Annotated[float, Field(gt=0, le=50)] | None = None
    colour: Annotated[float, Field(gt=0, le=2500)] | None = None
    focus: Annotated[float, Field(gt=0)] | None = None
    noise: Annotated[float, Field(gt=0, le=24)] | None = None
    jpeg: Annotated[int, Field(ge=10, le=95)] | None = None
    position: Annotated[float, Field(gt=0)] | None = None
    rotation: Annotated[float, Field(gt=0, le=20)] | None = None


class Train(Section):
    epochs: Count | None
    min_steps: Count
    batch_size: Count
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    noise: Literal["auto"] | Annotated[float, Field(ge=0, le=2)]
    augment: Literal["auto"] | list[Literal["hflip", "vflip", "rot90"]]
    changes: Changes = Field(default_factory=Changes)
    precision: Literal["auto", "fp32", "bf16"]
    micro_batch: Count | None
    features: Literal["fp32", "bf16"]
    features_gib: Annotated[float, Field(gt=0)]


class Threshold(Section):
    folds: Annotated[int, Field(ge=2)] | None
    false_reject_rate: Annotated[float, Field(gt=0, lt=1)]


class Evaluate(Section):
    batch_size: Count
    original_size: bool


class Drift(Section):
    recent: Annotated[str, Field(pattern=r"\{category\}")] | None
    last: Count
    least: Count
    usual_rejects: Annotated[float, Field(gt=0, lt=1)]


class Retrain(Section):
    where: Literal["here", "pool"]
    parallel: Count
    retries: Annotated[int, Field(ge=0)]
    minutes: Annotated[float, Field(gt=0)]


class Params(Section):
    """The whole file; sections are those of params.yaml, which explains each key."""

    seed: int
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$")]
    data: Data
    download: Download
    sources: dict[Category, OwnFolder]
    pixels: dict[Category, Pixels] = Field(default_factory=dict)
    tiles: dict[Category, Tiles] = Field(default_factory=dict)
    findings: Findings
    demo: Demo
    model: Model
    train: Train
    threshold: Threshold
    evaluate: Evaluate
    regions: dict[Category, Regions] = Field(default_factory=dict)
    masters: dict[Category, Masters] = Field(default_factory=dict)
    gate: Gate
    drift: Drift
    retrain: Retrain


class BadParams(ValueError):
    """params.yaml cannot be used; the message names every key at fault."""


def read_params(path: Path = PARAMS_FILE) -> Params:
    """The checked parameters.

    Raises:
        BadParams: the file is absent or not YAML, or a key is unknown, missing, of a wrong type or out of range.
    """
    if not path.is_file():
        raise BadParams(f"{path} does not exist here ({Path.cwd()}); run from the folder that holds it")
    try:
        return Params.model_validate(read_yaml(path))
    except ValidationError as error:
        raise BadParams("; ".join(sentence(Params, path, detail) for detail in error.errors())) from error


def read_yaml(path: Path) -> Any:
    """A YAML 1.2 file's plain values, as DVC reads them, too. Raises BadParams if it is not YAML."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        _refuse_deep(text)
        return YAML(typ="safe").load(text)
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
        raise BadParams(f"{path} is not valid YAML: {error}") from error  # of values, such as a date of month 13, any


def _refuse_deep(text: str) -> None:
    """Raises ValueError where collections are nested so deep that libyaml, which builds them by recursion, would end
    the process."""
    depth = 0
    for event in YAML(typ="safe").parse(text):
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError(f"its collections are nested more than {MAX_DEPTH} deep")
