"""The description of a model folder, and the check that it is unchanged since it was written; without PyTorch.

Every model folder has one JSON file that lists the sha256 of all files that are read, and its own. That detects
damage and careless edits. Someone who can write every file can also write new hashes; against that helps the sha256 of
the JSON file, stored in another place (`sha256=` of the functions that open a model), or a signature
(`fastflow/signature.py`).
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fastflow.allowed import SHA256, check, check_threshold
from fastflow.errors import BadData
from fastflow.files import file_sha256, write_text
from fastflow.signature import signature_fault

CONFIG, FLOW, BACKBONE = "config.json", "flow.safetensors", "backbone.safetensors"
SEAL = "config_sha256"
MAX_JSON_BYTES = 16_000_000


class BadCheckpoint(BadData):
    """A checkpoint folder that cannot be trusted; the message names the file and what is wrong."""


class Kind(NamedTuple):
    """A kind of model folder: the JSON `file` that seals it, the `error` of what is wrong with it, how to make
    one (`make`) or to replace it (`cure`)."""

    name: str
    file: str
    error: type[BadData]
    make: str
    cure: str

    def read(self, folder: Path, *, sha256: str = "") -> dict[str, Any]:
        """The JSON as it was written. `sha256`: the expected one; empty where it is not known.

        Raises:
            BadData: of this kind, the file is absent, not such a folder's, not what was written, not as expected, or
                not signed where the environment asks for it.
            ValueError: `sha256` is none. BadKey: the key that it is to be signed by cannot be read.
        """
        return self.read_bytes(folder, sha256=sha256)[0]

    def read_bytes(self, folder: Path, *, sha256: str = "") -> tuple[dict[str, Any], bytes]:
        """As `read`, with the file's content, as it was read."""
        path = folder / self.file
        if sha256:
            check(str(folder), "the sha256 that it is held to", sha256, SHA256)
        if not path.is_file():  # a pipe or a device would never end
            raise self.error(f"{folder} is not {self.name}: it has no {self.file}; {self.make}")
        if path.stat().st_size > MAX_JSON_BYTES:
            raise self.error(f"{path} is damaged: it has more than {MAX_JSON_BYTES:,} bytes; {self.cure}")
        content = path.read_bytes()
        if sha256 and (got := hashlib.sha256(content).hexdigest()) != sha256:
            raise self.error(f"{path} is not the one asked for: its sha256 is {got}, not {sha256}")
        if not sha256 and (fault := signature_fault(path, content)):  # a known hash says more than a signature
            raise self.error(f"{path} {fault}; fastflow sign writes one")
        try:
            about = json.loads(content)
            hashes, seal = about["sha256"], about.pop(SEAL, None)
            for name, digest in hashes.items():
                check("sha256", name, digest, SHA256)
            known = _seal(about)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise self.error(f"{path} is damaged ({error!r}); {self.cure}") from error
        if seal is None:
            raise self.error(f"{path} has no seal, so its content cannot be trusted; {self.cure}")
        if seal != known:
            raise self.error(f"{path} is damaged: its content is not what was written; {self.cure}")
        if not hashes:
            raise self.error(f"{path} is damaged: it lists the sha256 of no file; {self.cure}")
        assert isinstance(about, dict)
        return about, content

    def verify(self, path: Path, expected: str | None) -> None:
        """Raises an error of this kind if a file is absent, unlisted (None), or has another sha256 than expected."""
        listed = self._require_listed(path, expected)
        self._require_same(path, file_sha256(path), listed)

    def verified(self, path: Path, expected: str | None) -> bytes:
        """A file's content, as it was hashed: read once, so that nothing can change between. Raises as `verify`."""
        listed = self._require_listed(path, expected)
        content = path.read_bytes()
        self._require_same(path, hashlib.sha256(content).hexdigest(), listed)
        return content

    def _require_listed(self, path: Path, expected: str | None) -> str:
        if not path.is_file():
            raise self.error(f"{path} is missing; {self.cure}")
        if expected is None:
            raise self.error(f"{path} is not among the files whose sha256 {self.file} lists; {self.cure}")
        return expected

    def _require_same(self, path: Path, got: str, expected: str) -> None:
        if got != expected:
            raise self.error(f"{path} is damaged: its sha256 is {got}, recorded was {expected}; {self.cure}")

    def threshold(self, folder: Path, about: Mapping[str, Any]) -> dict[str, Any]:
        """The threshold in it. Raises an error of this kind where there is none, or a number is not finite."""
        try:
            return check_threshold(str(folder / self.file), about.get("threshold"))
        except ValueError as error:
            raise self.error(f"{error}; {self.cure}") from error


CHECKPOINT = Kind(
    "a checkpoint", CONFIG, BadCheckpoint, make="train the category first", cure="restore it or train again"
)


def sealed(config: dict[str, Any]) -> str:
    """The JSON's text, with the hash of all the rest of it."""
    config = {key: value for key, value in config.items() if key != SEAL}
    return json.dumps(config | {SEAL: _seal(config)}, indent=2) + "\n"


def _seal(config: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def read_config(folder: Path, *, sha256: str = "") -> dict[str, Any]:
    """A checkpoint's config.json. Raises BadCheckpoint, ValueError: as `Kind.read`."""
    config = CHECKPOINT.read(folder, sha256=sha256)
    if "model" not in config or FLOW not in config["sha256"]:
        raise BadCheckpoint(f"{folder / CONFIG} is damaged: it does not describe a model; {CHECKPOINT.cure}")
    if "threshold" in config:
        CHECKPOINT.threshold(folder, config)
    return config


def weights_id(config: Mapping[str, Any]) -> str:
    """What names a model in score files, 12 digits of a hash of all that makes a score: flow, backbone, and the model's
    description, in which are size, region of interest and the meaning of pixels. A threshold does not change it."""
    weights = [config["sha256"].get(name) for name in (FLOW, BACKBONE)]
    return hashlib.sha256(json.dumps([config["model"], *weights], sort_keys=True).encode()).hexdigest()[:12]


def write_threshold(folder: Path, threshold: dict[str, Any]) -> None:
    """Replaces the threshold in config.json at once; the weights stay as they are.

    Raises:
        BadCheckpoint: as `read_config`.
        ValueError: a threshold that is not finite.
    """
    check_threshold("to be written", threshold)
    write_text(folder / CONFIG, sealed(read_config(folder) | {"threshold": threshold}))


def read_sealed(folder: Path, name: str, *, about: Mapping[str, Any] | None = None) -> bytes:
    """A file beside the weights, as it was written; `about`: config.json, where that was read before. Raises
    BadCheckpoint if it is absent, unlisted or another."""
    about = read_config(folder) if about is None else about
    return CHECKPOINT.verified(folder / name, about["sha256"].get(name))
