"""The files that a training writes beside the weights, read back: the key of its run, and its good images' scores."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, Field, FiniteFloat, ValidationError, model_validator

from fastflow.sealed import CHECKPOINT, BadCheckpoint, read_sealed
from pipelines.core.paths import NORMAL_SCORES, RUN
from pipelines.core.stored import sentence

About = Mapping[str, Any] | None


class _Run(BaseModel, strict=True):
    run_key: Annotated[str, Field(pattern="^[0-9A-Za-z_.-]{1,200}$")]
    dvc_experiment: str = ""


class _Scores(BaseModel, strict=True, extra="allow"):
    """Columns; those of the images' appearance were added later, so that older models have none."""

    __pydantic_extra__: dict[str, list[FiniteFloat]] = Field(init=False)

    image_path: list[str] | None = None
    sha256: list[str] | None = None
    pred_score: Annotated[list[FiniteFloat], Field(min_length=1)]

    @model_validator(mode="after")
    def _of_equal_length(self) -> Self:
        lengths = {name: len(column) for name, column in self.model_dump(exclude_none=True).items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"its columns have {lengths} values; allowed: as many in each")
        return self


def run_key_of(folder: Path, about: About = None) -> str:
    """The key of the run that made a model. `about`: its config.json, where that was read before: a folder that was
    replaced since is refused. Raises BadCheckpoint."""
    return str(_read(folder, RUN, _Run, about)["run_key"])


def run_key_in(folder: Path, about: About = None) -> str:
    """As `run_key_of`; empty where the folder has no such file, as that of a registered version. Raises
    BadCheckpoint."""
    return run_key_of(folder, about) if (folder / RUN).is_file() else ""


def experiment_of(folder: Path) -> str:
    """The experiment of DVC's that trained a model; empty where it was none. Raises BadCheckpoint."""
    return _Run.model_validate(_read(folder, RUN, _Run)).dvc_experiment


def normal_table(folder: Path, about: About = None) -> dict[str, list[Any]]:
    """Columns of the good images that a model's threshold comes from, all numbers finite. `about`: as in `run_key_of`.
    Raises BadCheckpoint."""
    return _read(folder, NORMAL_SCORES, _Scores, about)


def _read(folder: Path, name: str, kind: type[BaseModel], about: About = None) -> dict[str, Any]:
    try:
        return kind.model_validate_json(read_sealed(folder, name, about=about)).model_dump(exclude_none=True)
    except ValidationError as error:
        raise BadCheckpoint(f"{folder / name} is damaged: {sentence(error)}; {CHECKPOINT.cure}") from error
