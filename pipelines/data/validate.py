"""Name everything that is wrong with a category, with its path and remedy. Nothing is changed or written.

fastflow validate bottle             a category of data.root
fastflow validate --folder /data/bottle --json  any folder in MVTec AD layout; JSON instead of text
Exit code 3 if anything is found that params.yaml (section findings) refuses.
"""

import argparse
import sys
from pathlib import Path

from fastflow.errors import BadData
from pipelines.core.names import counted
from pipelines.core.params import Params, read_params
from pipelines.core.stage import exit_code
from pipelines.data.checks.policy import POLICIES, Decided, check_and_decide, tell, to_json


def validate(folder: Path, params: Params, *, as_json: bool) -> None:
    """Prints the findings. Raises BadData if one is refused."""
    index, decided = check_and_decide(folder, params.findings)
    print(to_json(decided) if as_json else text(decided, len(index)), end="", flush=True)
    if decided["refuse"]:
        raise BadData(f"{folder}: refused for {counted(len(decided['refuse']), 'finding')}")


def text(decided: Decided, images: int) -> str:
    """The findings, the refused ones first, and one line that sums up."""
    parts = [f"{policy}:\n  {tell(decided[policy])}\n" for policy in POLICIES if decided[policy]]
    counts = ", ".join(f"{policy} {len(decided[policy])}" for policy in POLICIES)
    return "".join(parts) + f"{counted(images, 'image')}; findings: {counts}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--category", help="a folder of data.root")
    which.add_argument("--folder", type=Path, help="a category's folder, wherever it lies")
    parser.add_argument("--json", action="store_true", help="a JSON list instead of text")
    args = parser.parse_args()
    params = read_params()
    validate(args.folder or Path(params.data.root) / args.category, params, as_json=args.json)


if __name__ == "__main__":
    sys.exit(exit_code(main))
