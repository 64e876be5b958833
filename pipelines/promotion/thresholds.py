"""Whether challenger and champion aim at the same rate: a training starts from params.yaml's again, whatever threshold
was chosen by hand for the model before."""

from collections.abc import Mapping

from pipelines.core.percent import choosing
from pipelines.registry import aliases
from pipelines.registry.store import Client


def different_aims(client: Client, category: str, challenger: str, champion: str | None) -> str:
    """A sentence with the command that would make them one; empty where they are, or are not known."""
    if champion is None:
        return ""
    both = [aliases.get_version(client, category, version).tags for version in (challenger, champion)]
    if not all(map(_is_stated, both)) or _aim(both[0]) == _aim(both[1]):
        return ""
    return (
        f"version {challenger}'s threshold was chosen for {_aim(both[0])}, the champion's for {_aim(both[1])}; "
        f"to have that, without training: {choosing(category, both[1])}"
    )


def _is_stated(tags: Mapping[str, str]) -> bool:
    """Whether there are both tags, and a rate that can be read: it is advice, and ends no promotion."""
    try:
        return "threshold_method" in tags and 0 <= float(tags["threshold_rate"]) <= 1
    except (KeyError, ValueError):
        return False


def _aim(tags: Mapping[str, str]) -> str:
    if tags["threshold_method"] == "misses":
        return "the misses of labelled defects"
    return f"{100 * float(tags['threshold_rate']):.3g} % of good parts rejected"
