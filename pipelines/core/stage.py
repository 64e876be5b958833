"""What every command has in common: its log lines, its errors, its exit codes.

0 done, 1 failed, 2 usage or parameters, 3 bad data, 4 refused by the gate, 5 a needed server or disk is unavailable,
6 inconclusive by the gate, 130 interrupted, 141 the reader of stdout has ended, 143 terminated.
"""

import errno
import io
import logging
import os
import select
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from fastflow.errors import BadData, NonFiniteLoss
from pipelines.core.environment import corrections
from pipelines.core.terminal import escape_controls, escaping_stdout, set_up_log

FAILED, USAGE, BAD_DATA, REFUSED, SERVER_AWAY, INCONCLUSIVE = 1, 2, 3, 4, 5, 6
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143
EXIT_CODE_FILE = "FASTFLOW_EXIT_CODE_FILE"  # names a file that gets a failed stage's code, which DVC does not pass on
log = logging.getLogger("fastflow")


class Failed(RuntimeError):
    """Work that failed for a reason that one sentence can state."""


class Alarm(Failed):
    """A check ran, and found what it looks for."""


class Refused(Failed):
    """The gate keeps the champion; the message names the rules that failed."""


class Inconclusive(Failed):
    """The gate keeps the champion, as the rules that the message names could not tell."""


class Terminated(SystemExit):
    """SIGTERM came; it unwinds the stack and ends the process with 143."""


class ServerAway(Failed):
    """A server that this command needs does not answer."""


def exit_code(work: Callable[[], None]) -> int:
    """Runs `work`; what a person can cure ends in one sentence, what only we can break in a traceback."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: a file's name need not be UTF-8
    set_up_log(sys.stdout)
    os.environ |= corrections(os.environ)
    for chatty in ("alembic", "mlflow", "timm", "httpx", "onnxscript", "onnx_ir", "torch.onnx"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", "Image size|Corrupt EXIF")  # Pillow's own; decode.py reports what matters
    try:
        with escaping_stdout():
            work()
    except BadData as error:
        return _report_error(error, BAD_DATA)
    except ValueError as error:
        return _report_error(error, USAGE)
    except Refused as error:
        return _report_error(error, REFUSED)
    except Inconclusive as error:
        return _report_error(error, INCONCLUSIVE)
    except (ServerAway, OSError) as error:
        if isinstance(error, BrokenPipeError) and _reader_closed_stdout():
            return PIPE_CLOSED
        return _report_error(_with_remedy(error), SERVER_AWAY)
    except Alarm as error:
        return _report_error(error, FAILED, kind="alarm")
    except (Failed, NonFiniteLoss) as error:
        return _report_error(error, FAILED)
    except KeyboardInterrupt:
        return _report_error("interrupted", INTERRUPTED)
    return 0


def _reader_closed_stdout() -> bool:
    """Whether what reads stdout has ended, as `head` does; what is left for it is dropped."""
    out, watched = sys.stdout.fileno(), select.poll()
    watched.register(out, 0)
    if not any(event & select.POLLERR for _, event in watched.poll(0)):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    return True


def _with_remedy(error: Exception) -> object:
    """The error; where a file system is read-only, in words."""
    if not isinstance(error, OSError) or error.errno != errno.EROFS:
        return error
    return (
        f"{error.filename} cannot be written: its file system is read-only; name a place that can be written, "
        "or work in a copy of the project"
    )


def _report_error(error: object, code: int, *, kind: str = "error") -> int:
    print(escape_controls(f"{kind}: {error}"), file=sys.stderr, flush=True)
    if asked := os.environ.get(EXIT_CODE_FILE):
        Path(asked).write_text(str(code))
    return code


def without_secrets(uri: str) -> str:
    """An address without its user and password."""
    scheme, separator, rest = uri.rpartition("://")  # one without a scheme may hold a password, too
    return scheme + separator + rest.rpartition("@")[2]
