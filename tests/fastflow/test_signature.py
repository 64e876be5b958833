"""Where a public key is named, a model folder opens only with a signature by its private key, made by OpenSSL or us."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fastflow.errors import BadData
from fastflow.files import file_sha256
from fastflow.sealed import CONFIG, MAX_JSON_BYTES
from fastflow.signature import SIGNED_BY, BadKey, sign, signature_file
from tests.fastflow.test_sealed import Open, edit
from tests.fastflow.test_sealed import model as model  # the fixture

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="OpenSSL's program makes the keys")
Keys = Callable[[str], tuple[Path, Path]]


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    """A new private key and its public one, by OpenSSL."""

    def make(kind: str) -> tuple[Path, Path]:
        private, public = tmp_path / f"{kind}.key", tmp_path / f"{kind}.pem"
        openssl("genpkey", "-algorithm", kind, "-out", str(private))
        openssl("pkey", "-in", str(private), "-pubout", "-out", str(public))
        return private, public

    return make


def openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


def test_nothing_is_asked_for_where_no_key_is_named(model: tuple[Path, Path, Open]) -> None:
    folder, _, open_it = model
    open_it(folder)


def test_only_what_is_signed_opens(model: tuple[Path, Path, Open], keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, file, open_it = model
    private, public = keys("ed25519")
    monkeypatch.setenv(SIGNED_BY, str(public))
    with pytest.raises(BadData, match=f"{file.name} has no signature {file.name}.sig beside it"):
        open_it(folder)
    signature_file(file).write_bytes(sign(file.read_bytes(), private))
    open_it(folder)
    edit(file, anew=True, category="gears")  # sealed again, by someone who has no key
    with pytest.raises(BadData, match=f"{file.name} is not signed by the key of {SIGNED_BY}"):
        open_it(folder)


def test_openssl_and_we_make_the_same_signature(
    model: tuple[Path, Path, Open], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file, open_it = model
    private, public = keys("ed25519")
    options = ["-rawin", "-in", str(file), "-out", str(signature_file(file))]
    openssl("pkeyutl", "-sign", "-inkey", str(private), *options)
    assert signature_file(file).read_bytes() == sign(file.read_bytes(), private)
    monkeypatch.setenv(SIGNED_BY, str(public))
    open_it(folder)


def test_another_key_or_another_files_signature_is_none(
    model: tuple[Path, Path, Open], keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, file, open_it = model
    private, public = keys("ed25519")
    kept = public.read_bytes()
    own = sign(file.read_bytes(), private)
    stranger, _ = keys("ed25519")
    public.write_bytes(kept)
    monkeypatch.setenv(SIGNED_BY, str(public))
    for wrong in (sign(file.read_bytes(), stranger), sign(b"another file", private), own[:-1], b"", own + b"\n"):
        signature_file(file).write_bytes(wrong)
        with pytest.raises(BadData, match="is not signed by the key"):
            open_it(folder)


def test_a_key_that_cannot_be_used_opens_nothing(
    model: tuple[Path, Path, Open], keys: Keys, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, file, open_it = model
    private, public = keys("ed25519")
    signature_file(file).write_bytes(sign(file.read_bytes(), private))
    _, other_kind = keys("x25519")
    damaged = tmp_path / "damaged.pem"
    damaged.write_bytes(public.read_bytes()[:40])
    for bad, said in (
        (tmp_path / "none.pem", "no public key"),
        (damaged, "no public key"),
        (other_kind, "another kind"),
    ):
        monkeypatch.setenv(SIGNED_BY, str(bad))
        with pytest.raises(BadKey, match=said):
            open_it(folder)


def test_a_known_hash_needs_no_signature_and_an_empty_variable_opens_nothing(
    model: tuple[Path, Path, Open], keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, file, open_it = model
    _, public = keys("ed25519")
    monkeypatch.setenv(SIGNED_BY, str(public))
    open_it(folder, sha256=file_sha256(file))
    monkeypatch.setenv(SIGNED_BY, "")
    with pytest.raises(BadKey, match=f"{SIGNED_BY} is set, and empty"):
        open_it(folder)


def test_a_pipe_or_an_endless_file_is_no_model(model: tuple[Path, Path, Open]) -> None:
    folder, file, open_it = model
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(BadData, match=f"it has no {file.name}"):
        open_it(folder)
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(BadData, match=f"it has no {file.name}"):
        open_it(folder)
    file.unlink()
    with file.open("wb") as made:
        made.truncate(MAX_JSON_BYTES + 1)
    with pytest.raises(BadData, match="it has more than"):
        open_it(folder)


def test_a_file_that_is_no_private_key_signs_nothing(keys: Keys, tmp_path: Path) -> None:
    _, public = keys("ed25519")
    other_kind, _ = keys("x25519")
    for bad, said in ((public, "no private key"), (tmp_path / CONFIG, "no private key"), (other_kind, "another kind")):
        with pytest.raises(BadKey, match=said):
            sign(b"content", bad)
