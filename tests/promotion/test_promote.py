"""The gate end to end: three retrainings of a tiny category, and `promote` and `rollback` as a person calls them."""

from pathlib import Path

import mlflow
import pytest

from fastflow.sealed import read_config, write_threshold
from pipelines.core.stage import BAD_DATA, INCONCLUSIVE, REFUSED, USAGE
from pipelines.promotion.rollback import rollback
from pipelines.registry import aliases, store
from pipelines.tracking.sync import sync
from tests.promotion.kit import (
    DAMAGES,
    MODEL,
    NAME,
    Damage,
    Story,
    asked,
    plant_noise,
    retrain,
    stand,
    standing,
    tagged,
    tags,
)
from tests.stages import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # MLflow's own deprecations are not ours to fix
]
FLOORS = {"image_auroc_floor", "misses", "false_rejects"}
QUALITY = {"image_auroc", "aupro", "defects", *FLOORS}
PROMOTED = {"gate": "promoted"}


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
    assert {rule["name"] for rule in story.first.decision["rules"]} == {"finished", "artifact", "same_images"} | FLOORS
    assert story.first.words == "version 1, no champion before"
    assert story.first.tags == PROMOTED
    assert story.first_again == story.first


def test_an_equal_challenger_becomes_champion(story: Story) -> None:
    assert (story.equal.code, story.equal.said) == (0, "")
    assert story.equal.failed() == set()
    assert {rule["name"] for rule in story.equal.decision["rules"]} > QUALITY | {"same_images", "latency"}
    assert story.equal.aliases == {"champion": "2", "previous": "1", "challenger": None}
    assert story.equal.words == "version 2, against version 1"
    assert story.equal.tags == PROMOTED


def test_a_challenger_that_learned_defects_as_normal_is_refused_by_name(story: Story) -> None:
    noisy = story.noisy
    assert noisy.code == REFUSED
    assert noisy.said.startswith("error: plates: version 3 is refused, version 2 stays champion: ")
    assert noisy.said.count("\n") == 1
    assert noisy.failed()
    assert noisy.failed() <= QUALITY
    assert all(f"{name}: " in noisy.said for name in noisy.failed())
    assert noisy.aliases == {"champion": "2", "previous": "1", "challenger": "3"}
    assert noisy.decision["verdict"] == "refused"
    failed, unclear = noisy.tags["gate"].removeprefix("refused: failed ").split("; unclear ")
    assert set(failed.split(", ")) == noisy.failed()
    assert set(unclear.split(", ")) == noisy.of("inconclusive")
    figures = {rule["name"]: rule["figures"] for rule in noisy.decision["rules"]}
    assert figures["defects"] == {"lost": {"square": 4}, "allowed": 1}
    assert figures["misses"]["count"] == figures["misses"]["defective_images"] == 4
    assert figures["aupro"]["challenger"] < figures["aupro"]["champion"]
    assert noisy.words == "version 3, against version 2"
    assert "misses: 4 of 4 defective images missed, 100.0%" in noisy.said
    assert noisy.of("inconclusive") == {"defects"}  # four lost of four: chance is not ruled out


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
    for done, verdict in ((clean, "promoted"), (noisy, "refused")):
        reported = [file.path for file in client.list_artifacts(done.info.run_id, "report")]
        assert "report/metrics.json" in reported
        assert "report/gate.json" not in reported, "the decision on the version before"
        page = mlflow.artifacts.load_text(f"{done.info.artifact_uri}/report/report.html")
        assert f'<details class="gate {verdict}"' in page


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
    assert forced.tags["gate"] == story.noisy.tags["gate"].replace("refused: ", "forced: new camera; ")


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
        store.connect().set_model_version_tag(NAME, version, "gate", "")
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


def test_thresholds_that_do_not_aim_at_the_same_are_reported(story: Story, caplog: pytest.LogCaptureFixture) -> None:
    """A threshold chosen by hand is of one model; the next training aims at the rate of params.yaml again."""
    told = "threshold was chosen for 30 % of good parts rejected, the champion's for 1 % of good parts rejected; to"
    stand(champion="2", challenger="3")
    assert not asked("--version", "3").said.count("was chosen for")
    rate = tags("3")["threshold_rate"]
    assert float(rate) == read_config(MODEL)["threshold"]["false_reject_rate"] == 0.01
    with tagged("3", threshold_rate="0.3"):
        assert told in (refused := asked("--version", "3")).said
        assert refused.code == REFUSED
        assert told in caplog.text
        with tagged("2", threshold_method="misses"):
            said = asked("--version", "3").said
        assert "the champion's for the misses of labelled defects" in said
        assert "fastflow threshold plates --max-miss 1%" in said


def test_only_images_that_were_prepared_are_judged_on(story: Story) -> None:
    stand(champion="1", challenger="2")
    good, other = (Path(f"images/plates/test/good/00{i}.png") for i in (0, 1))
    whole, decision = good.read_bytes(), asked().decision
    good.write_bytes(other.read_bytes())
    try:
        refused = asked("--version", "2", "--force", "--reason", "it must be")
    finally:
        good.write_bytes(whole)
    assert refused.code == BAD_DATA
    assert "test/good/000.png is not what it was: damaged or replaced" in refused.said
    assert (refused.decision, refused.aliases["champion"]) == (decision, "1")


def test_a_threshold_that_was_chosen_on_test_images_is_a_persons_decision(story: Story) -> None:
    stand(champion="1", challenger="2")
    with tagged("2", threshold_method="misses"):
        unclear = asked("--version", "2")
    assert (unclear.code, unclear.aliases["champion"]) == (INCONCLUSIVE, "1")
    assert (unclear.failed(), unclear.of("inconclusive")) == (set(), {"threshold"})


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
            assert outcome.tags["gate"] == "refused: failed artifact"
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
        assert {rule["name"] for rule in refused.decision["rules"]} > FLOORS, "of the one that may be forced"
        assert refused.aliases["champion"] == "1"
        forced = asked("--version", "2", "--force", "--reason", "the champion is lost")
        assert forced.code == 0
        assert forced.aliases == {"champion": "2", "previous": "1", "challenger": None}
