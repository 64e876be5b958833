"""Make the champion before the present one champion again; the present one becomes `previous`. Twice is as before.

Run as: fastflow rollback bottle
"""

import argparse
import sys

from pipelines.core.paths import report_folder
from pipelines.core.stage import exit_code, log
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--category", required=True)
    rollback(parser.parse_args().category)


if __name__ == "__main__":
    sys.exit(exit_code(main))
