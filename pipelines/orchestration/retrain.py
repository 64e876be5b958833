"""`make retrain`: the flow of flows.py, with a Ctrl-C, SIGTERM or closed terminal passed on to it alone.

In a session of its own, Prefect's private server and the stages get no signal that went to the whole group: the flow
ends its stages by itself, after their step, and the server still runs to record it.
"""

import signal
import subprocess
import sys
from collections.abc import Sequence

from pipelines.core.signals import EXIT_CODES, INTERRUPTED_TEXT, forwarding_signals


def retrain(options: Sequence[str]) -> int:
    """Runs the flow with these options of its command; returns its exit code, or that of the signal that ended it."""
    flows: list[subprocess.Popen[bytes]] = []

    def end() -> None:
        for flow in flows:
            flow.send_signal(signal.SIGTERM)

    command = [sys.executable, "-m", "pipelines.cli.operations", "flow", *options]
    with forwarding_signals(end) as signals, subprocess.Popen(command, start_new_session=True) as flow:
        flows.append(flow)
        if signals:  # received before the process started
            end()
        code = flow.wait()
    if signals:
        print(INTERRUPTED_TEXT, file=sys.stderr, flush=True)
        return EXIT_CODES[signals[0]]
    return code
