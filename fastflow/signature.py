"""Signatures of model folders: who wrote the JSON that seals one; Ed25519, by the package cryptography.

    openssl genpkey -algorithm ed25519 -out line.key        the private key, for whoever releases models
    openssl pkey -in line.key -pubout -out line.pem         the public one, for whoever uses them

A signature is the 64 bytes that `openssl pkeyutl -sign -rawin` gives, in a file beside the JSON, with `.sig` behind its
name. Where the environment names a public key in FASTFLOW_SIGNED_BY, no model folder opens without one.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where a signature is made or asked for: most processes do without
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

SIGNED_BY = "FASTFLOW_SIGNED_BY"
SUFFIX = ".sig"
SIGNATURE_BYTES = 64
HOW = "openssl genpkey -algorithm ed25519"


class BadKey(ValueError):
    """A file that holds no key of the kind that is needed."""


def signature_file(path: Path) -> Path:
    """Where the signature of a file lies."""
    return path.with_name(path.name + SUFFIX)


def sign(content: bytes, key: Path) -> bytes:
    """The signature, 64 bytes, by a private key without a password, in PEM. Raises BadKey."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(key.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{key} holds no private key that can be read ({error}); make one: {HOW} -out {key}") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise BadKey(f"{key} holds a key of another kind; allowed: Ed25519; make one: {HOW}")
    return private.sign(content)


def signature_fault(path: Path, content: bytes) -> str:
    """Why a file with this content is not signed by the key that the environment asks for; empty where it is, or none
    is asked for. Raises BadKey where that key cannot be read."""
    wanted = os.environ.get(SIGNED_BY)
    if wanted is None:
        return ""
    from cryptography.exceptions import InvalidSignature

    key = _public_key(Path(wanted))
    file = signature_file(path)
    if not file.is_file():
        return f"has no signature {file.name} beside it, which {SIGNED_BY} asks for"
    try:
        with file.open("rb") as opened:
            key.verify(opened.read(SIGNATURE_BYTES + 1), content)
    except InvalidSignature:
        return f"is not signed by the key of {SIGNED_BY}, {wanted}: {file.name} is of another key or another content"
    return ""


def _public_key(file: Path) -> "Ed25519PublicKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if file == Path():
        raise BadKey(f"{SIGNED_BY} is set, and empty: name the public key, or unset it")
    try:
        key = load_pem_public_key(file.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{SIGNED_BY} names {file}, which holds no public key in PEM ({error})") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey(f"{SIGNED_BY} names {file}, which holds a key of another kind; allowed: Ed25519")
    return key
