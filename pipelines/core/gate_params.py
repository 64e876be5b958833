"""Section `gate` of params.yaml: what a model must show before it is champion, of all categories and of single ones."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from pipelines.core.sections import Category, Count, Section, Share

CertifiedLimit = Annotated[float, Field(gt=0, allow_inf_nan=False)] | Literal["champion"]
"""Of drawn defects: pixels, or no worse than the champion."""


class GateRules(Section):
    """Of one category; params.yaml explains each key."""

    first: Literal["ask", "promote"]
    image_auroc: Share
    miss_rate: Share
    false_reject_rate: Share
    epsilon: Annotated[float, Field(ge=0, lt=1)]
    lost_per_defect_type: Annotated[int, Field(ge=0)]
    latency_factor: Annotated[float, Field(gt=0)]
    least_images: Count
    confidence: Annotated[float, Field(gt=0.5, lt=1)]
    resamples: Annotated[int, Field(ge=100)]
    certified: dict[str, CertifiedLimit] = Field(default_factory=dict)

    @property
    def confidence_text(self) -> str:
        """Such as 95%, and 99.9%, which is not 100%."""
        return f"{100 * self.confidence:g}%"


class Gate(GateRules):
    """Of all, and `categories` that have some of their own."""

    categories: dict[Category, dict[str, Any]]

    @model_validator(mode="after")
    def _check_categories(self) -> Self:
        for category in self.categories:
            self.of(category)
        return self

    def of(self, category: str) -> GateRules:
        """The rules of a category: its own before those of all."""
        common = self.model_dump(exclude={"categories"})
        try:
            return GateRules.model_validate(common | self.categories.get(category, {}))
        except ValidationError as error:
            why = "; ".join(f"{detail['loc'][0]}: {detail['msg']}" for detail in error.errors())
            raise ValueError(f"{category}: {why}") from error
