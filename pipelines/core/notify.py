"""Notify people: a JSON message to a webhook, where the environment names one."""

import json
import os
import socket
import urllib.request
from http.client import HTTPException
from urllib.error import HTTPError
from urllib.parse import urlsplit

from pipelines.core.stage import log

WEBHOOK = "FASTFLOW_WEBHOOK"  # an address is a secret: it is no parameter, and in no file of the project
TIMEOUT_SECONDS = 10


def notify(what: str, text: str) -> bool:
    """Posts {"text", "event", "host"}, which chat services show as it is; False where it could not be sent."""
    address = os.environ.get(WEBHOOK, "")
    if not address:
        return False
    message = {"text": f"FastFlow, {what}: {text}", "event": what, "host": socket.gethostname()}
    try:
        if not address.startswith(("http://", "https://")):
            raise ValueError
        request = urllib.request.Request(
            address, json.dumps(message).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS):
            return True
    except (OSError, ValueError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the answer, too
        # an error of the address says it, or a part of it
        why = error if isinstance(error, OSError) and "@" not in address else "its address or its answer cannot be used"
        log.warning("the message to %s was not sent: %s", _host_of(address), why)
        return False


def _host_of(address: str) -> str:
    """Without what may be secret: user, password, path."""
    try:
        return urlsplit(address).hostname or WEBHOOK
    except ValueError:
        return WEBHOOK
