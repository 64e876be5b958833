"""Score images for whoever asks over HTTP: fastflow serve --model models:/fastflow-bottle@champion

--model, once for each category: an alias in the registry (a new champion then replaces the old one without a restart),
an export's folder, or a category. Then open the address that it prints, or: curl --data-binary @image.png .../score
On SIGTERM it answers the requests it has accepted, then ends. Other addresses than this machine's need a token:
FASTFLOW_TOKEN.
"""

import os
import socket
import tempfile
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from fastflow.export.about import ABOUT, read_about
from fastflow.regions import RegionRule
from fastflow.sealed import read_config
from pipelines.core.region_rule import region_rule
from pipelines.core.stage import log
from pipelines.registry.folders import folder_of
from pipelines.scoring.production import is_recorded
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.connections import BACKLOG, BoundedProtocol, BoundedServer
from pipelines.serving.decoding import Decoders
from pipelines.serving.due import required_checks
from pipelines.serving.guard import check_token, is_local, own_names, url_of
from pipelines.serving.models import REGISTERED, Models, sources_of
from pipelines.serving.recorder import Recorder
from pipelines.serving.uploads import MAX_BYTES, MAX_PIXELS
from pipelines.serving.verdicts import Limits

DRAINING_SECONDS = 30


def serve(
    models: Sequence[str],
    *,
    host: str,
    port: int,
    batch_size: int,
    queue: int,
    max_bytes: int | None,
    max_pixels: int | None,
    seconds: float,
    watch: float,
    threads: int | None,
    sha256: Sequence[str] = (),
    record: bool | None = None,
) -> None:
    """Serves until a signal ends it. The options are those of `fastflow serve --help`; `record` None: in a project.

    Raises:
        ValueError: an address beyond this machine without a token, one that no request can send, models that clash.
        BadData: a model whose files are not what was written.
        ServerAway: the registry does not answer.
    """
    token = os.environ.get("FASTFLOW_TOKEN", "")
    limits = Limits(max_bytes or MAX_BYTES, max_pixels or MAX_PIXELS, seconds, at_once=queue)
    ending = threading.Event()
    # bound first: a port in use is reported before models are loaded
    with bind(host, port) as bound, tempfile.TemporaryDirectory() as scratch:
        check_token(token, host=host, local=is_local(str(bound.getsockname()[0])))
        log.info("opening %s; a model that is not an export is exported first", ", ".join(models))
        opened = Models(sources_of(models, sha256, category_of), Path(scratch), threads=threads)
        batcher = Batcher(batch_size=batch_size, max_waiting=queue)
        decoders = Decoders(max_pixels=limits.max_pixels)
        start_watching(opened, seconds=watch, ending=ending)
        recorder = Recorder() if is_recorded(record) else None
        rules, masters = rules_of(opened), required_checks(opened.detectors)
        app = build_app(
            opened, batcher, decoders, limits=limits, token=token, recorder=recorder, rules=rules, masters=masters
        )
        try:
            run_server(app, bound, host=host)
        finally:
            ending.set()
            end(batcher, decoders, recorder)


def end(batcher: Batcher, decoders: Decoders, recorder: Recorder | None) -> None:
    """Ends what works beside the server."""
    batcher.end()
    decoders.end()
    if recorder:
        recorder.end()
    log.info("ended")


def start_watching(models: Models, *, seconds: float, ending: threading.Event) -> None:
    watching = partial(models.watch, seconds=seconds, ending=ending)
    threading.Thread(target=watching, name="watching", daemon=True).start()


def rules_of(models: Models) -> dict[str, RegionRule]:
    """What is a region, by category, as params.yaml states it now. Raises ValueError where that cannot be used."""
    return {source.category: region_rule(source.category) for source in models.sources}


def run_server(app: FastAPI, bound: socket.socket, *, host: str) -> None:
    """Says where it is, and runs until a signal ends it; accepted requests are answered first. `host`: as it was given;
    what this machine alone can reach answers to its own names alone."""
    address, port = map(str, bound.getsockname()[:2])
    if is_local(address):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=own_names(address, host))
    log.info("open %s   stop: Ctrl-C", url_of(address, int(port)))
    config = uvicorn.Config(
        app, http=BoundedProtocol, ws="none", log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=DRAINING_SECONDS, backlog=BACKLOG,
    )  # fmt: skip
    with suppress(KeyboardInterrupt):  # Ctrl-C is how a person ends it
        BoundedServer(config).run(sockets=[bound])


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; nobody can connect before the server listens. Raises ValueError."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError, OverflowError) as error:
        why = getattr(error, "strerror", None) or error
        raise ValueError(f"{host}:{port} cannot be bound ({why}); choose another --port") from error
    return bound


def category_of(name: str, sha256: str) -> str:
    """The category that a model says it is of; `sha256` as in `pipelines.serving.models.Source`. Raises ValueError,
    BadData."""
    if name.startswith(REGISTERED):
        return name.removeprefix(REGISTERED).partition("@")[0].partition("/")[0]
    if (Path(name) / ABOUT).is_file():
        return str(read_about(Path(name), sha256=sha256)["category"])
    category = read_config(folder_of(name), sha256=sha256).get("category")
    if not category:
        raise ValueError(f"{name} does not say which category it is of; save it by fastflow.api, or train it")
    return str(category)
