"""Check every file of a category and write its index, data/prepared/<category>.csv.

Later stages find images by the index alone. Where a finding is refused (section findings of the parameters),
nothing is written and every one is named; quarantined images are left out. All findings go to <category>.findings.json,
the value range of its files, its region of interest and its tiles to <category>.pixels.json.
Run by DVC as: python -m pipelines.prepare --category bottle
"""

from pathlib import Path

from fastflow.errors import BadData
from fastflow.files import write_text
from fastflow.index import write_index
from pipelines.core.params import Params
from pipelines.core.paths import findings_file, index_file
from pipelines.core.pixel_rule import stated_rule, write_rule
from pipelines.core.roi_store import stated_roi
from pipelines.core.run import run_category_stage
from pipelines.core.stage import log
from pipelines.data.checks.category import leave_out
from pipelines.data.checks.policy import check_and_decide, listing, to_json


def prepare(category: str, params: Params) -> None:
    folder = Path(params.data.root) / category
    roi = stated_roi(params, category)
    index, decided, rule = check_and_decide(folder, params.findings, stated_rule(params, category), roi)
    if decided["refuse"]:
        listed = listing(decided["refuse"], all_in=f"fastflow validate {category} --json")
        raise BadData(f"{folder} is refused, nothing was written:\n  {listed}")
    index = leave_out(index, decided["quarantine"])
    if int((index["split"] == "train").sum()) < 2:
        listed = listing(decided["quarantine"], all_in=f"fastflow validate {category} --json")
        raise BadData(f"{folder}: fewer than 2 training images are left after quarantine:\n  {listed}")
    write_index(index, index_file(category))
    write_rule(category, rule, roi, params.tiles.get(category))
    write_text(findings_file(category), to_json(decided))
    for policy, word in (("quarantine", "left out"), ("report", "noted")):
        if decided[policy]:
            log.info("%s, %s:\n  %s", category, word, listing(decided[policy], all_in=str(findings_file(category))))
    counts = (index["split"] + "/" + index["defect_type"]).value_counts(sort=False)
    log.info("%s: %s", category, ", ".join(f"{kind} {n}" for kind, n in counts.items()))


if __name__ == "__main__":
    run_category_stage(prepare, doc=__doc__)
