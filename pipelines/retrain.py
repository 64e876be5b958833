"""`make retrain`: the flow of pipelines.flows, with a Ctrl-C, SIGTERM or closed terminal passed on to it alone.

In a session of its own, Prefect's private server and the stages get no signal that went to the whole group: the flow
ends its stages by itself, after their step, and the server is still there to be told.
"""

import signal
import subprocess
import sys
from types import FrameType

from pipelines.signals import ENDED


def main() -> int:
    came: list[int] = []
    command = [sys.executable, "-m", "pipelines.flows", *sys.argv[1:]]
    with subprocess.Popen(command, start_new_session=True) as flow:

        def pass_on(number: int, _: FrameType | None) -> None:
            came.append(number)
            flow.send_signal(signal.SIGTERM)

        for number in ENDED:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup is respected
                signal.signal(number, pass_on)
        code = flow.wait()
    if came:
        print("interrupted: the same command goes on where this one was", file=sys.stderr, flush=True)
        return ENDED[signal.Signals(came[0])]
    return code


if __name__ == "__main__":
    sys.exit(main())
