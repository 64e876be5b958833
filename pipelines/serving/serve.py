"""Score images for whoever asks over HTTP: fastflow serve --model models:/fastflow-bottle@champion

--model, once for each category: an alias in the registry (a new champion then replaces the old one without a restart),
an export's folder, or a category. Then open the address that it prints, or: curl --data-binary @image.png .../score
SIGTERM has it answer what it has taken in, then end. Addresses beyond this machine need a token: FASTFLOW_TOKEN.
"""

import argparse
import ipaddress
import os
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path

import uvicorn
from fastapi.middleware.trustedhost import TrustedHostMiddleware

from fastflow.export.about import ABOUT, read_about
from fastflow.sealed import read_config
from pipelines.core.stage import exit_code, log
from pipelines.registry.folders import folder_of
from pipelines.serving.app import build_app
from pipelines.serving.batching import Batcher
from pipelines.serving.models import REGISTERED, Models, sources_of
from pipelines.serving.uploads import MAX_BYTES, MAX_PIXELS
from pipelines.serving.verdicts import Limits

DRAINING_SECONDS = 30
SHORTEST_TOKEN = 16


def serve(args: argparse.Namespace) -> None:
    """Serves until a signal ends it.

    Raises:
        ValueError: an address beyond this machine without a token, or models that do not go together.
        BadData: a model whose files are not what was written.
        ServerAway: the registry does not answer.
    """
    token = os.environ.get("FASTFLOW_TOKEN", "")
    local = is_local(args.host)
    if not local and len(token) < SHORTEST_TOKEN:
        raise ValueError(
            f"--host {args.host} can be reached by others: set FASTFLOW_TOKEN to a secret of at least "
            f"{SHORTEST_TOKEN} characters, and put a proxy with a certificate in front"
        )
    limits = Limits(args.max_bytes, args.max_pixels, args.seconds, at_once=args.queue)
    ending = threading.Event()
    # bound first: that a port is taken is told before models are loaded
    with bind(args.host, args.port) as bound, tempfile.TemporaryDirectory() as scratch:
        log.info("opening %s; what is no export is exported first", ", ".join(args.model))
        models = Models(sources_of(args.model, category_of), Path(scratch), threads=args.threads)
        batcher = Batcher(batch_size=args.batch_size, places=args.queue)
        watcher = threading.Thread(
            target=models.watch, kwargs={"seconds": args.watch, "ending": ending}, name="watching", daemon=True
        )
        watcher.start()
        app = build_app(models, batcher, limits=limits, token=token)
        if local:  # a page of another site must not speak to us through a name that leads here
            app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost", "127.0.0.1", "[::1]"])
        log.info("open http://%s:%d/   stop: Ctrl-C", args.host, args.port)
        try:
            config = uvicorn.Config(
                app, log_level="warning", access_log=False, timeout_graceful_shutdown=DRAINING_SECONDS,
                server_header=False,
            )  # fmt: skip
            with suppress(KeyboardInterrupt):  # Ctrl-C is how a person ends it
                uvicorn.Server(config).run(sockets=[bound])
        finally:
            ending.set()
            batcher.end()
            log.info("ended")


def bind(host: str, port: int) -> socket.socket:
    """The address as ours; nobody can connect before the server listens. Raises ValueError where it cannot be had."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise ValueError(f"{host}:{port} cannot be listened to ({error.strerror}); choose another --port") from error
    return bound


def is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def category_of(name: str) -> str:
    """The category that a model says it is of. Raises ValueError, BadData."""
    if name.startswith(REGISTERED):
        return name.removeprefix(REGISTERED).partition("@")[0].partition("/")[0]
    if (Path(name) / ABOUT).is_file():
        return str(read_about(Path(name))["category"])
    return str(read_config(folder_of(name))["category"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--batch-size", type=int, default=8, help="images scored at once, where so many wait")
    parser.add_argument("--queue", type=int, default=32, help="requests under way; further ones are answered 429")
    parser.add_argument("--seconds", type=float, default=30, help="until a request is answered 504")
    parser.add_argument("--max-bytes", type=int, default=MAX_BYTES)
    parser.add_argument("--max-pixels", type=int, default=MAX_PIXELS)
    parser.add_argument("--watch", type=float, default=15, help="seconds between two looks for a new champion")
    parser.add_argument("--threads", type=int, help="of the processor; default: all cores")
    serve(parser.parse_args())


if __name__ == "__main__":
    sys.exit(exit_code(main))
