"""List everything that is wrong with a category, with its path and remedy. Nothing is changed or written.

fastflow validate bottle             a category of data.root
fastflow validate --folder /data/bottle --json  any folder in MVTec AD layout; JSON instead of text
Exit code 3 if anything is found that params.yaml (section findings) refuses.
"""

from pathlib import Path

from fastflow.errors import BadData
from pipelines.core.names import counted
from pipelines.core.params import Params
from pipelines.core.pixel_rule import stated_rule
from pipelines.core.roi_store import stated_roi
from pipelines.data.checks.policy import POLICIES, Decided, check_and_decide, listing, to_json


def validate(folder: Path, params: Params, *, as_json: bool) -> None:
    """Prints the findings. Raises BadData if one is refused."""
    index, decided, _ = check_and_decide(
        folder, params.findings, stated_rule(params, folder.name), stated_roi(params, folder.name)
    )
    print(to_json(decided) if as_json else text(decided, len(index)), end="", flush=True)
    if decided["refuse"]:
        raise BadData(f"{folder}: refused for {counted(len(decided['refuse']), 'finding')}")


def text(decided: Decided, images: int) -> str:
    """The findings, the refused ones first, and one line that sums up."""
    parts = [f"{policy}:\n  {listing(decided[policy], all_in='--json')}\n" for policy in POLICIES if decided[policy]]
    counts = ", ".join(f"{policy} {len(decided[policy])}" for policy in POLICIES)
    return "".join(parts) + f"{counted(images, 'image')}; findings: {counts}\n"
