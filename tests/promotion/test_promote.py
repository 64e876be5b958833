"""The gate end to end: three retrainings of a tiny category, and `promote` and `rollback` as a person calls them."""

import io
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import mlflow
import pytest
import yaml
from PIL import Image

from fastflow.sealed import read_config, write_threshold
from pipelines.core.stage import REFUSED, USAGE, exit_code
from pipelines.promotion import promote
from pipelines.promotion.rollback import rollback
from pipelines.registry import aliases, registered, store
from pipelines.reporting.decision import in_words, read_decision
from pipelines.tracking.sync import sync
from tests.conftest import draw_square, write_plates
from tests.test_stages import STAGE_NAMES, run, write_tiny_params

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
NAME = "fastflow-plates"
QUALITY = {"image_auroc", "aupro", "defects"}
REPORT, MODEL = Path("reports/plates"), Path("models/plates")
ROLLBACK_CPU_SECONDS = 5
Damage = Callable[[str], AbstractContextManager[None]]


class Outcome(NamedTuple):
    """What one `promote` left."""

    code: int
    said: str  # on stderr
    decision: dict[str, Any]
    words: str
    tags: dict[str, str]  # of the challenger, those of the gate
    aliases: dict[str, str | None]

    def failed(self) -> set[str]:
        return {rule["name"] for rule in self.decision["rules"] if not rule["passed"]}


def asked(*options: str) -> Outcome:
    """`promote --category plates` and these options, through its command line."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stderr(said):
        patch.setattr(sys, "argv", ["promote", "--category", "plates", *options])
        code = exit_code(promote.main)
    decision = read_decision(REPORT)
    told = tags(decision["challenger"]) if decision else {}
    told = {name: value for name, value in told.items() if name.startswith("gate")}
    return Outcome(code, said.getvalue(), decision, in_words(decision) if decision else "", told, standing())


def standing() -> dict[str, str | None]:
    client = store.connect()
    return {which: aliases.alias(client, NAME, which) for which in ("champion", "previous", "challenger")}


def stand(**versions: str) -> None:
    """Puts the aliases where a test starts from."""
    client = store.connect()
    for which in standing():
        if which in versions:
            client.set_registered_model_alias(NAME, which, versions[which])
        else:
            client.delete_registered_model_alias(NAME, which)


def tags(version: str) -> dict[str, str]:
    return dict(aliases.get_version(store.connect(), "plates", version).tags)


def retrain(*, seed: int) -> None:
    """Prepares, trains and evaluates the smallest of flows, with the gate's limit on time lifted: milliseconds on a
    busy machine are no measure of it."""
    write_tiny_params(Path(), epochs=3)
    values = yaml.safe_load(Path("params.yaml").read_text())
    values["seed"] = seed
    values["model"]["overrides"] |= {"layers": [1], "flow_steps": 1}
    values["gate"]["latency_factor"] = 1000.0
    Path("params.yaml").write_text(yaml.safe_dump(values))
    with pytest.MonkeyPatch.context() as patch:
        for stage in STAGE_NAMES:
            assert run(stage, patch) == 0


def plant_noise() -> None:
    """As many defective plates among the good training images as there are good ones; none of them is a test image."""
    for i in range(8):
        pixels, _ = draw_square(seed=5000 + i, defect=True)
        Image.fromarray(pixels).save(f"images/plates/train/good/noise{i}.png")


class Story(NamedTuple):
    """What the gate said, in this order."""

    without_version: Outcome
    first: Outcome
    first_again: Outcome
    equal: Outcome
    noisy: Outcome


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with a drawn category and a store of its own, as the current directory of this file's tests."""
    folder = tmp_path_factory.mktemp("gate")
    write_plates(folder / "images/plates")
    write_tiny_params(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("FASTFLOW_SYNC", "later")
        yield folder


@pytest.fixture(scope="module")
def story(project: Path) -> Story:
    """Versions 2 and 3 have the same seed and parameters: what tells them apart is the noise alone."""
    without_version = asked()
    retrain(seed=0)
    first, first_again = asked(), asked()
    retrain(seed=1)
    equal = asked()
    plant_noise()
    retrain(seed=1)
    noisy = asked()
    return Story(without_version, first, first_again, equal, noisy)


def test_the_first_version_needs_no_champion_to_beat(story: Story) -> None:
    assert story.without_version.code == USAGE
    assert "has no version yet; run: dvc repro evaluate@plates" in story.without_version.said
    assert (story.first.code, story.first.said) == (0, "")
    assert story.first.aliases == {"champion": "1", "previous": None, "challenger": None}
    assert [rule["name"] for rule in story.first.decision["rules"]] == ["finished", "artifact", "floor"]
    assert story.first.words == "version 1, no champion before"
    assert story.first.tags == {"gate": "promoted", "gate_failed": "", "gate_reason": ""}
    assert story.first_again == story.first


def test_an_equal_challenger_becomes_champion(story: Story) -> None:
    assert (story.equal.code, story.equal.said) == (0, "")
    assert story.equal.failed() == set()
    assert {rule["name"] for rule in story.equal.decision["rules"]} > QUALITY | {"same_images", "false_rejects"}
    assert story.equal.aliases == {"champion": "2", "previous": "1", "challenger": None}
    assert story.equal.words == "version 2, against version 1"
    assert story.equal.tags == {"gate": "promoted", "gate_failed": "", "gate_reason": ""}


def test_a_challenger_that_learned_defects_as_normal_is_refused_by_name(story: Story) -> None:
    noisy = story.noisy
    assert noisy.code == REFUSED
    assert noisy.said.startswith("error: plates: version 3 is refused, version 2 stays champion: ")
    assert noisy.said.count("\n") == 1
    assert noisy.failed()
    assert noisy.failed() <= QUALITY
    assert all(f"{name}: " in noisy.said for name in noisy.failed())
    assert noisy.aliases == {"champion": "2", "previous": "1", "challenger": "3"}
    assert noisy.decision["verdict"] == noisy.tags["gate"] == "refused"
    assert set(noisy.tags["gate_failed"].split(", ")) == noisy.failed()
    figures = {rule["name"]: rule["figures"] for rule in noisy.decision["rules"]}
    assert figures["defects"] == {"lost": {"square": 4}, "allowed": 1}
    assert figures["aupro"]["challenger"] < figures["aupro"]["champion"]
    assert noisy.words == "version 3, against version 2"
    lost = next(rule["sentence"] for rule in noisy.decision["rules"] if rule["name"] == "defects")
    assert lost.startswith("defect types that lose more than 1 images: {'square': 4}")


def test_the_refusal_rests_on_the_noise_alone_and_is_kept_with_the_run(story: Story) -> None:
    client = store.connect()
    made = [aliases.get_version(client, "plates", version) for version in ("2", "3")]
    clean, noisy = (client.get_run(str(version.run_id)) for version in made)
    assert clean.data.params == noisy.data.params
    assert (clean.data.metrics["num_train"], noisy.data.metrics["num_train"]) == (8, 16)
    images = [outcome.decision["evaluation_set_sha256"] for outcome in (story.first, story.equal, story.noisy)]
    assert len(set(images)) == 1
    kept = mlflow.artifacts.load_dict(f"{noisy.info.artifact_uri}/gate/against_2/gate.json")
    assert kept["rules"] == story.noisy.decision["rules"]


def test_force_needs_a_reason_and_the_reason_is_kept(story: Story) -> None:
    stand(champion="2", previous="1", challenger="3")
    before = standing()
    for options in (["--force"], ["--force", "--reason", " "], ["--reason", "new camera"]):
        unclear = asked(*options)
        assert unclear.code == USAGE
        assert unclear.said == "error: --force and --reason go together: say why the rules do not count\n"
        assert unclear.aliases == before
    forced = asked("--force", "--reason", "new camera")
    assert (forced.code, forced.said) == (0, "")
    assert forced.aliases == {"champion": "3", "previous": "2", "challenger": None}
    assert (forced.decision["verdict"], forced.decision["reason"]) == ("forced", "new camera")
    assert forced.failed() == story.noisy.failed()
    assert forced.words == "version 3, against version 2 (new camera)"
    assert forced.tags == story.noisy.tags | {"gate": "forced", "gate_reason": "new camera"}


def python(*arguments: str) -> tuple[float, subprocess.CompletedProcess[str]]:
    """A process that says what it imports, and its seconds of the processor: those of a clock are the neighbours'."""
    environment = os.environ.copy()
    environment.pop("MLFLOW_TRACKING_URI", None)  # as a person calls it
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done


def test_a_rollback_gives_the_champion_back_in_seconds(story: Story) -> None:
    stand(champion="3", previous="2")
    spent, done = python("-m", "pipelines.promotion.rollback", "--category", "plates")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "plates: version 2 is champion again" in done.stdout
    assert standing() == {"champion": "2", "previous": "3", "challenger": None}
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "mlflow" in imported
    assert "torch" not in imported
    if spent >= ROLLBACK_CPU_SECONDS:  # a crowded processor is slower: then a bare connection is, too
        connected, _ = python("-c", "from pipelines.registry import store; store.connect()")
        assert spent < 2 * connected


def test_what_was_rolled_back_comes_again_only_by_its_number(story: Story) -> None:
    stand(champion="3", previous="2")
    rollback("plates")
    for _ in range(2):
        refused = asked()
        assert refused.code == REFUSED
        assert "version 3 was rolled back, version 2 stays champion" in refused.said
        assert "fastflow promote plates --version 3" in refused.said
        assert refused.aliases["champion"] == "2"
        rollback("plates")
        assert asked().code == 0  # it is champion already
        rollback("plates")
    forced = asked("--version", "3", "--force", "--reason", "it was right")
    assert forced.aliases["champion"] == "3"
    rollback("plates")
    assert asked("--version", "1").code in (0, REFUSED)  # tried, whatever comes of it


def test_after_an_abandoned_threshold_what_is_in_use_is_tried(
    story: Story, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newest version is of a threshold that was given up; DVC restored the model of the one before."""
    stand(champion="2")
    before = (MODEL / "config.json").read_bytes()
    write_threshold(MODEL, read_config(MODEL)["threshold"] | {"image": 0.99})
    unknown = asked()
    assert unknown.code == USAGE
    assert "models/plates is no version of fastflow-plates as it is now; run: fastflow report" in unknown.said
    assert run("evaluate", monkeypatch) == 0
    sync()
    assert standing() == {"champion": "2", "previous": None, "challenger": "4"}
    (MODEL / "config.json").write_bytes(before)
    for version in ("3", "4"):
        store.connect().set_model_version_tag(NAME, version, aliases.ROLLED_BACK, "false")
    assert asked().decision["challenger"] == "3"
    stand(champion="3", challenger="4")
    with caplog.at_level("INFO", logger="fastflow"):
        assert asked().code == 0
    assert caplog.records[-1].getMessage() == (
        "plates: version 3 is champion already; version 4 was evaluated, too: --version 4"
    )
    MODEL.rename("aside")
    try:
        assert asked().decision["challenger"] == "4"  # a machine that only promotes
        stand()
        assert "has no champion, and none was chosen: name one, --version N" in asked().said
    finally:
        Path("aside").rename(MODEL)


def test_thresholds_that_do_not_aim_at_the_same_are_told(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    """A threshold chosen by hand is of one model; the next training aims at the rate of params.yaml again."""
    told = "threshold was chosen for 30 % of good parts rejected, the champion's for 1 % of good parts rejected; to"
    stand(champion="2", challenger="3")
    assert not asked("--version", "3").said.count("was chosen for")
    rate = tags("3")["threshold_rate"]
    assert float(rate) == read_config(MODEL)["threshold"]["false_reject_rate"] == 0.01
    client = store.connect()
    client.set_model_version_tag(NAME, "3", "threshold_rate", "0.3")
    try:
        assert told in (refused := asked("--version", "3")).said
        assert refused.code == REFUSED
        assert told in caplog.text
        client.set_model_version_tag(NAME, "2", "threshold_method", "misses")
        said = asked("--version", "3").said
        assert "the champion's for the misses of labelled defects" in said
        assert "fastflow threshold plates --max-miss 1%" in said
    finally:
        client.set_model_version_tag(NAME, "3", "threshold_rate", rate)
        client.set_model_version_tag(NAME, "2", "threshold_method", tags("3")["threshold_method"])


def test_a_first_champion_that_rejects_too_many_is_told(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    stand()
    values = yaml.safe_load(Path("params.yaml").read_text())
    strict = values | {"gate": values["gate"] | {"false_reject_rate": 0.0}}
    Path("params.yaml").write_text(yaml.safe_dump(strict))
    try:
        assert asked("--version", "1").code == 0
    finally:
        Path("params.yaml").write_text(yaml.safe_dump(values))
    floor = next(rule for rule in read_decision(REPORT)["rules"] if rule["name"] == "floor")
    told = "a first champion is not held to it" in caplog.text
    assert told == (floor["figures"]["false_rejects"] > 0)


def test_a_rollback_to_a_version_without_files_is_refused(story: Story) -> None:
    stand(champion="2", previous="1")
    with removed("1"), pytest.raises(ValueError, match="version 1 has lost its files: version 2 stays champion"):
        rollback("plates")
    assert standing() == {"champion": "2", "previous": "1", "challenger": None}


@contextmanager
def flipped(version: str) -> Iterator[None]:
    """One bit of the version's weights in the store is another one meanwhile."""
    weights = artifact(version) / "data/plates/flow.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    try:
        yield
    finally:
        weights.write_bytes(whole)


@contextmanager
def removed(version: str) -> Iterator[None]:
    """The version's files are not in the store meanwhile."""
    place = artifact(version)
    aside = place.rename("aside")
    try:
        yield
    finally:
        aside.rename(place)


def artifact(version: str) -> Path:
    (place,) = Path(".mlflow/artifacts").glob(f"*/artifacts/model-{tags(version)[registered.CONTENT][:8]}")
    return place


DAMAGES: dict[Damage, str] = {
    flipped: "the artifact was changed or damaged",
    removed: "its files are gone from the store",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_damaged_challenger_is_refused_by_force_too(story: Story, damage: Damage) -> None:
    stand(champion="1", challenger="2")  # which passed, whole
    before = standing()
    with damage("2"):
        for options in ([], ["--force", "--reason", "new camera"]):
            outcome = asked("--version", "2", *options)
            assert outcome.code == REFUSED
            assert "version 2 is refused, version 1 stays champion: artifact: " in outcome.said
            assert DAMAGES[damage] in outcome.said
            assert outcome.failed() == {"artifact"}
            assert outcome.decision["verdict"] == "refused"
            assert outcome.aliases == before
            assert (outcome.tags["gate"], outcome.tags["gate_failed"]) == ("refused", "artifact")
    assert asked("--version", "2").aliases == {"champion": "2", "previous": "1", "challenger": None}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda f: f.__name__)
def test_a_damaged_champion_is_replaced_by_force_alone(story: Story, damage: Damage) -> None:
    stand(champion="1", challenger="2")
    with damage("1"):
        refused = asked("--version", "2")
        assert refused.code == REFUSED
        assert "champion: version 1 cannot be compared with: " in refused.said
        assert DAMAGES[damage] in refused.said
        assert refused.failed() == {"champion"}
        assert refused.aliases["champion"] == "1"
        forced = asked("--version", "2", "--force", "--reason", "the champion is lost")
        assert forced.code == 0
        assert forced.aliases == {"champion": "2", "previous": "1", "challenger": None}
