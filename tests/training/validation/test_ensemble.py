import shutil
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from imaging import NetworkInput, QualityReport
from model.checkpoint import load_checkpoint
from model.predictor import Predictor
from tests.training.validation.tiny_cohorts import QUICK, SPEC, tiny_store
from training.cohort.population import describe_population
from training.evidence.calibration import fit_temperature
from training.run_files import RunFolderError, read_rows, write_rows
from training.runs import (
    CHECKPOINT_FILE,
    INNER_PREDICTIONS_FILE,
    POPULATION_FILE,
    PREDICTIONS_FILE,
    SUBJECTS_FILE,
    InnerPrediction,
    Prediction,
    RunSubject,
    fold_folder,
    read_run,
)
from training.validation.cross_validation import train_run
from training.validation.ensemble import write_ensemble


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    return train_run(store, store.subjects, settings=QUICK, out=out, device="cpu")


@pytest.fixture(scope="module")
def card(run):
    return load_checkpoint(run / CHECKPOINT_FILE).card


def test_the_card_says_what_it_is_and_that_nobody_was_scanned(run, card):
    record = read_run(run)
    assert (card.network, card.rnn, card.width, card.members) == ("C", "lstm", 1, 2)
    assert card.preprocessing == SPEC.to_json()
    assert card.cohort_fingerprint == record.cohort_fingerprint
    assert card.intended_use == "demonstration"
    assert card.trained_on == "16 simulated subjects (cohort tiny); no person's scan"
    assert card.decision_rule == "conformal"


def test_the_card_describes_those_who_took_part(tmp_path):
    store = tiny_store(tmp_path / "cohort")
    some = [subject for subject in store.subjects if subject.age_years < 20]
    settings = QUICK.model_copy(update={"epochs": 1, "protocol": "paper"})
    run = train_run(store, some, settings=settings, out=tmp_path / "run", device="cpu")
    card = load_checkpoint(run / CHECKPOINT_FILE).card
    assert card.population == describe_population(store, some)
    assert (card.population.subjects, card.population.figures["age_years"].maximum) == (12, 19.0)
    # A run that an earlier version began does not say who they are, until it is gone on with.
    (run / POPULATION_FILE).unlink()
    assert write_ensemble(run).population is None
    train_run(store, some, settings=settings, out=run, device="cpu")
    assert load_checkpoint(run / CHECKPOINT_FILE).card == card


def test_a_cohort_of_people_is_research_and_counted(tmp_path):
    store = tiny_store(tmp_path / "cohort", simulated=False)
    settings = QUICK.model_copy(update={"epochs": 1, "protocol": "paper"})
    run = train_run(store, store.subjects, settings=settings, out=tmp_path / "run", device="cpu")
    card = load_checkpoint(run / CHECKPOINT_FILE).card
    assert card.intended_use == "research"
    assert card.trained_on == "16 people of cohort tiny: 8 with ADHD, 8 controls"
    assert "16 people" in card.metrics["measured_on"]
    assert (card.temperature, card.threshold) == (1.0, 0.5), "the paper calibrates nothing"
    assert (card.decision_rule, card.conformal_quantiles) == ("interval", None)
    assert "coverage" not in card.metrics


def test_a_cohort_with_a_marked_scan_is_a_demonstration_that_claims_nothing_of_anybody(tmp_path):
    store = tiny_store(tmp_path / "cohort")
    first, *others = store.scans
    store = replace(store, scans=(replace(first, warnings=("simulated_scan",)), *others))
    settings = QUICK.model_copy(update={"epochs": 1, "protocol": "paper"})
    run = train_run(store, store.subjects, settings=settings, out=tmp_path / "run", device="cpu")
    card = load_checkpoint(run / CHECKPOINT_FILE).card
    assert card.intended_use == "demonstration"
    assert card.trained_on == "16 subjects of cohort tiny, which mixes simulated scans with others"
    assert card.metrics["measured_on"].startswith("16 subjects, each")


def test_the_card_is_calibrated_on_all_inner_calibration_parts_and_on_no_reported_fold(run, card, tmp_path):
    label = {one.subject_id: one.label for one in read_rows(run, SUBJECTS_FILE, RunSubject)}
    rows = read_rows(run, INNER_PREDICTIONS_FILE, InnerPrediction)
    kept = [row for row in rows if row.part == "calibration"]
    assert {row.fold for row in kept} == {0, 1}
    logits = np.array([row.logit for row in kept])
    labels = np.array([label[row.subject_id] for row in kept])
    assert card.temperature == fit_temperature(logits, labels)
    for name, probabilities in (
        ("control", expit(logits / card.temperature)[labels == 0]),
        ("adhd", 1 - expit(logits / card.temperature)[labels == 1]),
    ):
        # Four of a class cannot promise 90 %, which takes nine.
        assert len(probabilities) < 9
        assert card.conformal_quantiles[name] == 1.0
    turned = shutil.copytree(run, tmp_path / "run")
    write_rows(
        turned / PREDICTIONS_FILE,
        [
            replace(row, logit=-row.logit, probability=1 - row.probability)
            for row in read_rows(turned, PREDICTIONS_FILE, Prediction)
        ],
    )
    other = write_ensemble(turned)
    assert other.metrics != card.metrics
    for field in ("temperature", "threshold", "conformal_quantiles"):
        assert getattr(other, field) == getattr(card, field)


def test_the_metrics_are_those_of_the_reported_folds(run, card):
    predictions = read_rows(run, PREDICTIONS_FILE, Prediction)
    labels = np.array([one.label for one in read_rows(run, SUBJECTS_FILE, RunSubject)])
    called = np.array([one.called == "case" for one in predictions])
    probabilities = [one.probability for one in predictions]
    metrics = card.metrics
    assert metrics["auc"]["value"] == pytest.approx(roc_auc_score(labels, probabilities), abs=1e-4)
    balanced = balanced_accuracy_score(labels, called)
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(balanced, abs=1e-4)
    assert metrics["auc"]["low"] <= metrics["auc"]["value"] <= metrics["auc"]["high"]
    assert metrics["confusion"] == {
        "tp": int((called & (labels == 1)).sum()),
        "fn": int((~called & (labels == 1)).sum()),
        "fp": int((called & (labels == 0)).sum()),
        "tn": int((~called & (labels == 0)).sum()),
    }
    uncertain = [one.decision == "uncertain" for one in predictions]
    assert metrics["uncertain_share"] == pytest.approx(np.mean(uncertain), abs=1e-4)
    assert metrics["coverage"]["level"] == 0.9
    assert metrics["coverage"]["overall"]["n"] == 16


def test_a_served_scan_gets_the_mean_of_what_the_folds_models_say(run, store):
    """The subject's own fold reported a logit; that member must give it for the same frames."""
    predictor = Predictor.load(run / CHECKPOINT_FILE, device="cpu")
    subject = next(one for one in store.subjects if len(store.scans_of(one.subject_id)) == 1)
    series = store.series(store.scans_of(subject.subject_id)[0]).T.astype(np.float32)
    quality = QualityReport(
        n_frames=6,
        tr_s=2.0,
        duration_s=12.0,
        tsnr=None,
        mean_intensity=None,
        temporal_sd=1.0,
        dvars_mean=1.0,
        dvars_max=1.0,
        dvars=(1.0,),
        spikes=0,
        template_coverage=1.0,
        in_band_power=0.9,
        template_space={},
    )
    network_input = NetworkInput(series=series, tr_s=2.0, spec=SPEC, quality=quality)
    answer = predictor.classify(network_input, seed=0)
    reported = {one.subject_id: one for one in read_rows(run, PREDICTIONS_FILE, Prediction)}
    row = reported[subject.subject_id]
    assert answer.member_logits.shape == (2, SPEC.n_windows)
    assert answer.member_logits[row.fold].mean() == pytest.approx(row.logit, abs=1e-5)


def test_the_same_run_makes_the_same_bytes(run):
    before = (run / CHECKPOINT_FILE).read_bytes()
    write_ensemble(run)
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_a_run_with_a_fold_missing_has_no_ensemble(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (fold_folder(copy, 1) / "outcome.json").unlink()
    (copy / CHECKPOINT_FILE).unlink()
    with pytest.raises(RunFolderError, match="folds/1"):
        write_ensemble(copy)
    assert not (copy / CHECKPOINT_FILE).exists()


@pytest.mark.parametrize(("damage", "found"), [("missing", "none"), ("cut", "a damaged file")])
def test_weights_that_do_not_read_are_named_with_what_trains_them_anew(damage, found, store, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    weights, outcome = (fold_folder(copy, 1) / name for name in ("weights.safetensors", "outcome.json"))
    intact = weights.read_bytes()
    weights.unlink()
    if damage == "cut":
        weights.write_bytes(intact[:-100])
    with pytest.raises(RunFolderError, match="expected intact weights in folds/1/weights") as refused:
        train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu")
    assert refused.value.found.startswith(
        f"{found} (remove folds/1/outcome.json and give the same command again"
    )
    outcome.unlink()
    train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu")
    assert weights.read_bytes() == intact
    assert (copy / CHECKPOINT_FILE).read_bytes() == (run / CHECKPOINT_FILE).read_bytes()
