"""Make the champion before the present one champion again; the present one becomes `previous`. Twice is as before.

Run as: fastflow rollback bottle
"""

from pipelines.core.paths import report_folder
from pipelines.core.stage import log
from pipelines.registry import aliases, store
from pipelines.reporting.decision import ROLLED_BACK, write_decision


def rollback(category: str) -> str:
    """Returns the version that is champion now.

    Raises:
        ValueError: there is no version to go back to.
        ServerAway: the store does not answer.
    """
    client = store.connect()
    with store.answering():
        version, former = aliases.step_back(client, category)
    if report_folder(category).is_dir():
        about = {"verdict": ROLLED_BACK, "challenger": former, "champion": version}
        write_decision(report_folder(category), {**about, "reason": "", "rules": []})
    log.info("%s: version %s is champion again; the next report shows it: fastflow report", category, version)
    return version
