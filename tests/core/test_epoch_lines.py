"""The lines by which a flow follows a training, through a real process."""

import subprocess
import sys

import pytest

from pipelines.core.epoch_lines import LINES, EpochLine, read_epoch
from tests.conftest import ROOT, of_a_user

WORK = """
import logging, sys
from pipelines.core.epoch_lines import EpochLine, write_epoch
print("epoch 3/12  loss 0.5000 bits/dim  9 s left")
write_epoch(EpochLine(3, 12, 0.5, 9.4))
"""


@pytest.mark.parametrize("asked", [True, False])
def test_a_stage_prints_its_epochs_for_a_flow_alone(asked: bool) -> None:
    variables = of_a_user(ROOT) | ({LINES: "1"} if asked else {})
    done = subprocess.run([sys.executable, "-c", WORK], env=variables, capture_output=True, text=True, timeout=60)
    found = [line for line in map(read_epoch, done.stdout.splitlines()) if line]
    assert found == ([EpochLine(3, 12, 0.5, 9.4)] if asked else [])
    assert done.stdout.count("\n") == 1 + asked, done.stdout + done.stderr


def test_a_line_of_the_log_is_none() -> None:
    assert read_epoch("epoch 3/12  loss 0.5000 bits/dim  9 s left") is None
    assert read_epoch("see @epoch {}") is None
