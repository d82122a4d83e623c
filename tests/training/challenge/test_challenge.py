"""Real trainings of the smallest networks, on noise whose variance the label decides, before the gate."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from imaging import PreprocessingSpec
from model import backends
from model.checkpoint import load_checkpoint, save_checkpoint
from model.errors import BackendParityError, CheckpointError, MethodNeedsT1wError
from tests.model.tissue_model import write_tissue_model
from tests.training.challenge.tiny_trainings import SETTINGS, cohort, series_of, trained
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import SPEC, tiny_subjects
from training.challenge.challenge import Origin, challenge
from training.challenge.people import EvaluationSet, EvaluationSetChangedError, EvaluationSetTooSmallError
from training.challenge.rules import Margins
from training.cohort.store.cohort_store import CohortStore
from training.fitting.logits import subject_logits
from training.fitting.prepared import TrainingSubject
from training.runs import CHECKPOINT_FILE
from training.validation.added import choose_added
from training.validation.cross_validation import train_run

# So few people leave wide intervals: what is not about margins shall not fail by them.
WIDE = Margins(auc=0.3, sensitivity=0.5, uncertain=1.0, seconds_ratio=100.0)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("challenge")


@pytest.fixture(scope="module")
def everybody():
    return tiny_subjects(128)


@pytest.fixture(scope="module")
def evaluation(place, everybody):
    store = cohort(place, name="locked", subjects=everybody[80:])
    return EvaluationSet.of(store, store.subjects)


@pytest.fixture(scope="module")
def champion(place, everybody):
    return trained(place, cohort(place, name="first", subjects=everybody[:80]), "champion")


def judged(champion, origin, evaluation, **options):
    found = challenge(
        champion.run / CHECKPOINT_FILE,
        origin.run / CHECKPOINT_FILE,
        evaluation,
        origin=origin,
        margins=WIDE,
        device="cpu",
        **options,
    )
    return found, [rule.name for rule in found.rules if not rule.passed]


def test_an_honest_challenger_is_measured_and_passes(champion, evaluation):
    told = []
    found, failed = judged(champion, champion, evaluation, progress=lambda *said: told.append(said))
    assert failed == []
    assert found.passed
    assert found.evaluation["subjects"] == 48
    assert found.together.challenger.evaluation.auc.value > 0.8
    assert told[-1] == ("challenger", 1.0)
    assert [share for _, share in told] == sorted(share for _, share in told)


def test_the_answers_are_those_of_the_networks_one_by_one(champion, evaluation):
    found, _ = judged(champion, champion, evaluation)
    checkpoint = load_checkpoint(champion.run / CHECKPOINT_FILE)
    device = next(checkpoint.networks()[0].parameters()).device
    logits = np.mean(
        [subject_logits(one, evaluation.people, device=device) for one in checkpoint.networks()], axis=0
    )
    expected = expit(logits / checkpoint.card.temperature)
    labels = evaluation.labels
    brier = ((expected - labels) ** 2).mean()
    assert found.together.champion.evaluation.brier.value == pytest.approx(brier, abs=1e-5)
    assert found.together.champion.backend_difference < 1e-4


def test_shuffled_labels_are_stopped(place, champion, evaluation, everybody):
    store = cohort(place, name="shuffled", subjects=everybody[:80], shuffled=True)
    found, failed = judged(champion, trained(place, store, "of-chance"), evaluation)
    assert not found.passed
    assert {"better_than_chance", "auc_not_worse"} <= set(failed)


def test_a_challenger_that_has_seen_these_people_is_stopped_whatever_they_were_called(
    place, champion, evaluation, everybody
):
    seen = [*everybody[:76], *everybody[80:84]]
    series = {f"9{one.subject_id}": [series_of(one)] for one in seen}
    renamed = [replace(one, subject_id=f"9{one.subject_id}") for one in seen]
    store = write_store(
        place / "leaking", subjects=renamed, series=series, spec=SPEC, name="leaking", simulated=True
    )
    found, failed = judged(champion, trained(place, store, "leaked"), evaluation)
    assert "no_leak" in failed
    assert next(rule for rule in found.rules if rule.name == "no_leak").found.startswith("4 of 48 (4 by")


def test_a_challenger_to_whom_these_people_were_only_added_is_stopped_too(
    place, champion, evaluation, everybody
):
    renamed = [replace(one, subject_id=f"8{one.subject_id}") for one in everybody[80:83]]
    series = {f"8{one.subject_id}": [series_of(one)] for one in everybody[80:83]}
    others = write_store(place / "others", subjects=renamed, series=series, spec=SPEC, name="others")
    first = CohortStore.open(champion.cohort)
    run = train_run(
        first,
        first.subjects,
        settings=SETTINGS.model_copy(update={"epochs": 1}),
        out=place / "added-to",
        device="cpu",
        added=choose_added(first, others),
    )
    found, failed = judged(champion, Origin(run=run, cohort=first.folder), evaluation)
    assert "no_leak" in failed
    assert next(rule for rule in found.rules if rule.name == "no_leak").found.startswith("3 of 48 (3 by")


def test_another_models_run_or_another_cohort_is_no_record_of_whom_it_was_trained_on(champion, evaluation):
    checkpoint = champion.run / CHECKPOINT_FILE
    elsewhere = Origin(run=champion.run, cohort=evaluation.store.folder)
    found = challenge(checkpoint, checkpoint, evaluation, origin=elsewhere, margins=WIDE, device="cpu")
    assert [rule.name for rule in found.rules if not rule.passed] == ["no_leak"]


def test_a_checkpoint_of_nobody_knows_whom_is_not_promoted_as_it_is(champion, evaluation):
    checkpoint = champion.run / CHECKPOINT_FILE
    found = challenge(checkpoint, checkpoint, evaluation, origin=None, margins=WIDE, device="cpu")
    assert [rule.name for rule in found.rules if not rule.passed] == ["no_leak"]
    assert not found.passed


@pytest.mark.parametrize(
    ("told_by", "said"),
    [
        ("set", "40 of 40: trained on this very set, by the fingerprint in its card"),
        ("cohort", "40 of 40: trained on the whole cohort that this set is taken from, by the fingerprint"),
        ("others", "no record of whom it was trained on"),
    ],
)
def test_a_card_that_names_these_very_people_says_so_without_any_record(
    told_by, said, champion, evaluation, tmp_path
):
    store = evaluation.store
    people = EvaluationSet.of(store, store.subjects[:40])
    named = {"set": people.fingerprint, "cohort": evaluation.fingerprint}
    fingerprint = named.get(told_by) or store.fingerprint(store.subjects[:44])
    checkpoint = load_checkpoint(champion.run / CHECKPOINT_FILE)
    card = checkpoint.card.model_copy(update={"cohort_fingerprint": fingerprint})
    path = tmp_path / "imported.safetensors"
    save_checkpoint(path, members=checkpoint.members, card=card)
    found = challenge(champion.run / CHECKPOINT_FILE, path, people, origin=None, margins=WIDE, device="cpu")
    [rule] = [rule for rule in found.rules if rule.name == "no_leak"]
    assert not rule.passed
    assert rule.found.startswith(said)


@pytest.mark.parametrize("damage", ["cut", "other"])
def test_a_corrupted_checkpoint_is_stopped_before_anything_is_computed(
    damage, champion, evaluation, tmp_path
):
    path = tmp_path / "checkpoint.safetensors"
    shutil.copy(champion.run / CHECKPOINT_FILE, path)
    sha256 = load_checkpoint(path).sha256
    content = path.read_bytes()
    path.write_bytes(content[:-1000] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    found = challenge(champion.run / CHECKPOINT_FILE, path, evaluation, origin=None, challenger_sha256=sha256)
    assert [(rule.name, rule.passed, rule.overridable) for rule in found.rules] == [("intact", False, False)]
    assert not found.passed
    assert found.to_json()["together"] is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("nan", "NaN or infinite values where there should be finite weights in 'members."),
        ("cut", "bytes that are not safetensors"),
        ("gone", "no file that can be read"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence(damage, said, champion, evaluation, tmp_path):
    path = tmp_path / "checkpoint.safetensors"
    content = (champion.run / CHECKPOINT_FILE).read_bytes()
    if damage != "gone":
        path.write_bytes(content[:-1000] if damage == "cut" else content[:-1000] + b"\xff" * 1000)
    [rule] = challenge(champion.run / CHECKPOINT_FILE, path, evaluation, origin=None).rules
    assert (rule.name, rule.expected) == ("intact", "the intact file that was registered")
    assert rule.found.startswith(said)
    assert "expected" not in rule.found


def test_a_challenger_that_reads_more_than_scans_bring_cannot_be_measured(champion, evaluation, tmp_path):
    path = write_tissue_model(tmp_path / "checkpoint.safetensors")
    with pytest.raises(MethodNeedsT1wError):
        challenge(champion.run / CHECKPOINT_FILE, path, evaluation, origin=None)


def test_another_preprocessing_is_stopped_by_the_names_of_what_differs(champion, evaluation, tmp_path):
    checkpoint = load_checkpoint(champion.run / CHECKPOINT_FILE)
    other = PreprocessingSpec(window_frames=4, n_windows=2, tr_s=None)
    path = tmp_path / "checkpoint.safetensors"
    card = checkpoint.card.model_copy(update={"preprocessing": other.to_json()})
    save_checkpoint(path, members=checkpoint.members, card=card)
    found = challenge(champion.run / CHECKPOINT_FILE, path, evaluation, origin=None)
    (rule,) = found.rules
    assert (rule.name, rule.expected, rule.found) == ("same_preprocessing", "tr_s 2.0", "tr_s None")
    assert not found.passed


def test_a_champion_that_does_not_answer_is_an_error_and_no_verdict(champion, evaluation, tmp_path):
    with pytest.raises(CheckpointError):
        challenge(tmp_path / "none", champion.run / CHECKPOINT_FILE, evaluation, origin=None)


def test_other_people_than_those_that_were_locked_are_refused(evaluation):
    store = evaluation.store
    with pytest.raises(EvaluationSetChangedError, match="found others"):
        EvaluationSet.of(store, store.subjects[1:], locked_as=evaluation.fingerprint)
    same = EvaluationSet.of(store, store.subjects[::-1], locked_as=evaluation.fingerprint)
    assert [one.subject_id for one in same.people] == sorted(one.subject_id for one in same.people)


def test_few_people_judge_nothing(evaluation):
    store = evaluation.store
    with pytest.raises(EvaluationSetTooSmallError, match="found 9 cases and 9 controls"):
        EvaluationSet.of(store, store.subjects[:18])
    assert all(isinstance(one, TrainingSubject) for one in evaluation.people)


def wrong_from(number, monkeypatch):
    """Have OpenVINO compute wrongly, as on a processor that it is wrong about, from so many networks on."""
    made, right = [], backends._openvino

    def encoder(encoders):
        made.append(encoders)
        encode = right(encoders)
        return encode if len(made) < number else lambda frames: encode(frames) + 1

    monkeypatch.setattr(backends, "_openvino", encoder)


def test_a_challenger_that_the_backend_in_use_gets_wrong_fails_by_name_and_for_good(
    champion, evaluation, monkeypatch
):
    wrong_from(2, monkeypatch)
    found, failed = judged(champion, champion, evaluation, backend="openvino")
    assert failed == ["backends_agree"]
    assert (found.passed, found.together) == (False, None)
    [rule] = found.rules
    assert not rule.overridable
    assert "found a difference of" in rule.found
    wrong_from(1, monkeypatch)
    with pytest.raises(BackendParityError):
        judged(champion, champion, evaluation, backend="openvino")


def test_both_are_computed_by_the_backend_that_is_asked_for(champion, evaluation):
    found, failed = judged(champion, champion, evaluation, backend="torch")
    assert failed == []
    assert (found.together.champion.backend, found.together.challenger.backend) == ("torch", "torch")
