"""What the environment leaves out or gets wrong for programs that run on this machine alone."""

import getpass
import os
from collections.abc import Mapping
from pathlib import Path

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
NO_PROXY_NAMES = ("NO_PROXY", "no_proxy")  # some clients read the one, some the other
OWN_HOME = Path(".state/home")


def corrections(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables to add to these, for this process and those that it starts."""
    return no_proxy_here(environment) | home() | user()


def no_proxy_here(environment: Mapping[str, str]) -> dict[str, str]:
    """A proxy is for other machines: none for this one, nor for what the environment excepts already."""
    excepted = [host.strip() for name in NO_PROXY_NAMES for host in environment.get(name, "").split(",")]
    return dict.fromkeys(NO_PROXY_NAMES, ",".join(dict.fromkeys([*filter(None, excepted), *LOCAL_HOSTS])))


def home() -> dict[str, str]:
    """A home folder where there is none, as in a container whose user has no entry in /etc/passwd: DVC and others do
    not start without."""
    try:
        Path.home()
    except RuntimeError:
        return {"HOME": str(OWN_HOME.resolve())}
    return {}


def user() -> dict[str, str]:
    """A name for such a user: DVC asks for one."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        return {"USER": f"uid{os.getuid()}"}
    return {}


def is_read_only(folder: Path) -> bool:
    """Whether the file system of a folder is mounted read-only."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
