"""A proxy is for other machines: what runs on this one is spoken to directly, whatever http_proxy says."""

from collections.abc import Mapping

LOCAL = ("127.0.0.1", "localhost", "::1")
NAMES = ("NO_PROXY", "no_proxy")  # some clients read the one, some the other


def direct(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to these: no proxy for this machine, nor for what they except already."""
    excepted = [host.strip() for name in NAMES for host in environment.get(name, "").split(",") if host.strip()]
    return dict.fromkeys(NAMES, ",".join(dict.fromkeys([*excepted, *LOCAL])))
