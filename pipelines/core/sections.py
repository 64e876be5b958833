"""What the sections of params.yaml are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

CATEGORY_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Category = Annotated[str, Field(pattern=CATEGORY_NAME)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """Frozen, no unknown keys, no coercion: '3' is refused where a number is expected, and so are NaN and infinity."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
