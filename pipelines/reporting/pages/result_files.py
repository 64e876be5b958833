"""The fields of what an evaluation leaves in reports/<category>/, as they are read back for its page."""

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

from pipelines.core.stored import Stored

Number = Annotated[int, Field(ge=0)]
Limits = Annotated[list[FiniteFloat], Field(min_length=2, max_length=2)]  # by a metric's name, intervals.json


class _Count(Stored):
    split: str
    defect_type: str
    images: Number


class _Finding(Stored):
    policy: str
    path: str
    message: str


class DatasetCard(Stored):
    """dataset.json."""

    source: str
    licence: str
    dvc_md5: str | None
    counts: list[_Count]
    left_out: Number
    noted: Number
    findings: list[_Finding]
    more: Number


class _Why(Stored):
    said: list[str]
    place: str
    similar: str
    nearest: str


class _Case(Stored):
    image: str
    heat: str
    contours: str
    image_path: str
    defect_type: str
    gt_label: Literal[0, 1]
    pred_score: float
    why: _Why | None = None


class Pictures(Stored):
    """pictures/index.json; `groups`: numbers of `cases`."""

    low: float
    threshold: float
    cases: list[_Case]
    groups: dict[str, list[Number]]
