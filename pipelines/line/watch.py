"""Pictures in, verdicts out: fastflow watch NAME DIR

Each new picture in DIR is judged once it is whole, in order of arrival, by the champion, and its verdict goes to the
outputs of line.yaml: docs/line.md. Pictures that are there already are judged, too. SIGTERM and Ctrl-C end it after the
pictures at hand; the next start goes on.
"""

import re
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from fastflow.files import printable
from pipelines.core.lock import locked
from pipelines.core.names import counted
from pipelines.core.paths import CHAMPION_MODEL, STATE
from pipelines.core.region_rule import region_rule
from pipelines.core.run import LOCKS
from pipelines.core.sections import CATEGORY_NAME
from pipelines.core.signals import deferred_signals
from pipelines.core.stage import log
from pipelines.line.arrivals import Arrivals
from pipelines.line.instruments import Instruments
from pipelines.line.json_lines import JsonLinesOutput
from pipelines.line.judge import Judge
from pipelines.line.mqtt import MqttOutput
from pipelines.line.outputs import Output, Sender
from pipelines.line.settings import LINE_FILE, MIN_SECRET_CHARACTERS, Line, OpcUa, read_line, secret
from pipelines.line.sight import Sight
from pipelines.line.state import State, opened, state_file
from pipelines.line.watcher import AT_ONCE, Watcher
from pipelines.line.webhook import WebhookOutput
from pipelines.review.keep import Keeper
from pipelines.scoring.production import Production, is_recorded
from pipelines.serving.batching import Batcher
from pipelines.serving.decoding import Decoders
from pipelines.serving.due import required_checks
from pipelines.serving.models import Models, sources_of
from pipelines.serving.serve import category_of, start_watching
from pipelines.serving.uploads import MAX_PIXELS

BATCH_SIZE = 8
LOOK_SECONDS = 0.1


class Options(NamedTuple):
    """Those of `fastflow watch --help`; `record` None: in a project."""

    model: str | None = None
    sha256: str = ""
    poll: bool = False
    new_only: bool = False
    settle: float = 0.5
    champion_seconds: float = 15
    threads: int | None = None
    record: bool | None = None
    metrics_port: int | None = None


def watch(category: str, folder: Path, options: Options) -> None:
    """Watches until a signal ends it.

    Raises:
        ValueError: no such folder, another category's model, a line.yaml, secret or port that cannot be used.
        BadData: a damaged model or state. LockHeld: it is watched already. ServerAway: no registry, a full disk.
    """
    if not re.fullmatch(CATEGORY_NAME, category):
        raise ValueError(f"{category!r} is no category's name; allowed: letters, digits, and _ . - behind the first")
    line = read_line()
    outputs = outputs_of(line, category)
    LOCKS.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        check = stack.enter_context(deferred_signals())
        what = f"{category} is watched already"
        stack.enter_context(locked(LOCKS / f"watch@{category}.lock", what=what, wait=False))
        state = State(stack.enter_context(opened(state_file(category), sure=True)), [one.name for one in outputs])
        if state.is_first and not folder.is_dir():
            raise ValueError(f"{folder} is no folder; name the one that pictures come to, and mount its share first")
        arrivals = Arrivals(folder, state.known, settle=options.settle)
        instruments = Instruments(category)
        if options.metrics_port is not None:
            instruments.serve(options.metrics_port)
        keeper = Keeper(category, line.review.rule) if line.review and is_recorded(options.record) else None
        judge = open_judge(category, options, state, stack, keeper)
        sight = Sight(arrivals, poll=options.poll)
        stack.callback(sight.end)
        begin(state, arrivals, new_only=options.new_only)
        senders = [Sender(output, state_file(category)) for output in outputs]
        for one in senders:
            one.start()
            stack.callback(one.end)
        watcher = Watcher(line.name, category, state, arrivals, sight, judge, senders, instruments)
        log.info("watching %s; verdicts go to %s   stop: Ctrl-C", folder, ", ".join(state.outputs) or "the state alone")
        while True:
            check()
            if not watcher.step():
                time.sleep(LOOK_SECONDS)


def outputs_of(line: Line, category: str) -> list[Output]:
    """Raises ValueError where line.yaml names a secret that the environment has not."""
    found: list[Output] = []
    if line.json_lines:
        found.append(JsonLinesOutput(line.json_lines, category))
    if line.webhook:
        key = secret(line.webhook.secret_from, at_least=MIN_SECRET_CHARACTERS)
        found.append(WebhookOutput(line.webhook, key))
    if line.mqtt:
        found.append(MqttOutput(line.mqtt, line.name, category))
    if line.opcua:
        found.append(opcua_output(line.opcua, line.name, category))
    return found


def opcua_output(settings: OpcUa, station: str, category: str) -> Output:
    """Raises ValueError where its library is not installed."""
    try:
        from pipelines.line.opcua import OpcUaOutput  # an extra: not everybody has it
    except ImportError as error:
        raise ValueError(f"{LINE_FILE}: opcua needs the package asyncua: pip install 'asyncua>=2.1'") from error
    return OpcUaOutput(settings, station, category)


def open_judge(category: str, options: Options, state: State, stack: ExitStack, keeper: Keeper | None = None) -> Judge:
    """With the model, and what it needs; what runs beside it ends with `stack`."""
    model = options.model or CHAMPION_MODEL.format(category=category)
    (source,) = sources_of([model], [options.sha256] if options.sha256 else [], category_of)
    if source.category != category:
        raise ValueError(f"{model} is a model of {source.category}, not of {category}")
    log.info("opening %s; a model that is not an export is exported first", model)
    models = Models([source], STATE / "line" / "models" / category, threads=options.threads)
    required_checks(models.detectors)
    ending = threading.Event()
    stack.callback(ending.set)
    start_watching(models, seconds=options.champion_seconds, ending=ending)
    judge = Judge(
        models, Batcher(batch_size=BATCH_SIZE, max_waiting=AT_ONCE), Decoders(max_pixels=MAX_PIXELS),
        rule=region_rule(category), knows=state.knows,
        production=Production(category, "line") if is_recorded(options.record) else None,
        keeper=keeper,
    )  # fmt: skip
    stack.callback(judge.end)
    return judge


def begin(state: State, arrivals: Arrivals, *, new_only: bool) -> None:
    """Notes the start, and says what is there."""
    try:
        there = arrivals.scan()
    except OSError:
        if state.is_first:
            raise
        there = {}  # its share is away, and waited for
    new = {printable(name): one for name, one in there.items() if state.known.get(printable(name)) != one}
    skips = state.is_first and new_only
    what = "left out (--new-only)" if skips else "judged first" + "; --new-only leaves them out" * state.is_first
    if new:
        log.info("%s without a verdict there already: %s", counted(len(new), "picture"), what)
    state.start(new if skips else {})
