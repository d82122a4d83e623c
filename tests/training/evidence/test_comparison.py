import dataclasses

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from training.evidence.baselines import fit_baseline
from training.evidence.comparison import adds_to_phenotype, auc_estimate, paired_difference
from training.evidence.estimates import Difference
from training.evidence.metrics import ClassMissingError
from training.runs import InnerPrediction, Prediction, RunSubject

N_FOLDS = 5


def a_run(seed, *, imaging, phenotype=1.0, n=200):
    """A finished nested run whose imaging logits carry `imaging` standard deviations of signal."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % 2)
    subjects = [
        RunSubject(
            subject_id=str(i),
            site=("NYU", "Peking")[int(generator.integers(2))],
            label=int(label),
            fold=i % N_FOLDS,
            age_years=float(generator.normal(12, 3)),
            sex=None,
            handedness="right",
            iq=float(generator.normal(110 - 15 * phenotype * label, 15)),
            tr_s=2.0,
            n_frames=172.0,
            dvars_mean=1.0,
            spikes=0.0,
        )
        for i, label in enumerate(labels)
    ]
    seen = generator.normal(imaging * (labels - 0.5), 1.0)
    predictions, inner = [], []
    for fold in range(N_FOLDS):
        shift, scale = (
            generator.normal(0, 3),
            generator.uniform(0.5, 4),
        )  # every fold's model speaks its own way
        said = shift + scale * seen
        training = [i for i in range(n) if i % N_FOLDS != fold]
        held_out = generator.permutation(training)[: len(training) * 3 // 10]
        stopping, calibration = np.array_split(held_out, 2)
        inner += [
            InnerPrediction(subject_id=str(i), fold=fold, part="calibration", logit=float(said[i]))
            for i in calibration
        ]
        # What the stopping part says must not be used: here it is the diagnosis itself.
        inner += [
            InnerPrediction(subject_id=str(i), fold=fold, part="stopping", logit=100.0 * labels[i])
            for i in stopping
        ]
        predictions += [
            Prediction(
                subject_id=str(i),
                fold=fold,
                logit=float(said[i]),
                probability=0.5,
                called="case",
                decision=None,
            )
            for i in range(n)
            if i % N_FOLDS == fold
        ]
    return subjects, predictions, inner


def test_a_brain_that_says_nothing_adds_nothing():
    gains = [
        adds_to_phenotype(*a_run(seed, imaging=0.0), split="stratified", seed=0, n_draws=500).gain
        for seed in range(20)
    ]
    assert sum(gain.low <= 0 <= gain.high for gain in gains) >= 17
    assert sum(gain.low > 0 for gain in gains) <= 1
    assert abs(np.mean([gain.value for gain in gains])) < 0.02


def test_a_brain_that_says_something_of_its_own_adds_to_the_phenotype():
    for seed in range(3):
        found = adds_to_phenotype(*a_run(seed, imaging=2.0), split="stratified", seed=0)
        assert found.gain.low > 0
        assert found.together.value - found.phenotype.value == pytest.approx(found.gain.value)
        assert found.n_subjects == 200
        assert found.reason is None


def test_a_brain_that_is_wrong_on_the_calibration_part_gets_no_weight():
    subjects, predictions, inner = a_run(0, imaging=1.5)
    against = [dataclasses.replace(row, logit=-row.logit) for row in inner]
    found = adds_to_phenotype(subjects, predictions, against, split="stratified", seed=0)
    assert found.together.value == pytest.approx(found.phenotype.value, abs=0.005)


def test_the_stack_is_the_one_put_together_by_hand():
    subjects, predictions, inner = a_run(5, imaging=1.0)
    labels, stacked = [], []
    for fold in range(N_FOLDS):
        parts = {row.subject_id: row for row in inner if row.fold == fold}
        training = [one for one in subjects if one.fold != fold and one.subject_id not in parts]
        assert len(training) == 112, "160 without the 48 of the inner parts"
        first = fit_baseline("phenotype", training, labels=np.array([one.label for one in training]))
        calibration = [
            one for one in subjects if one.subject_id in parts and parts[one.subject_id].part == "calibration"
        ]
        reported = [one for one in subjects if one.fold == fold]
        said = {row.subject_id: row.logit for row in predictions}
        known = np.c_[first.logits(calibration), [parts[one.subject_id].logit for one in calibration]]
        asked = np.c_[first.logits(reported), [said[one.subject_id] for one in reported]]
        scaler = StandardScaler().fit(known)
        shrink = [1, 1 / np.sqrt(10)]  # a penalty of 10 on the imaging weight, as a smaller column
        second = LogisticRegression().fit(
            scaler.transform(known) * shrink, [one.label for one in calibration]
        )
        assert (second.coef_ > 0).all(), "or the bound would bind"
        labels += [one.label for one in reported]
        stacked += second.predict_proba(scaler.transform(asked) * shrink)[:, 1].tolist()
    found = adds_to_phenotype(subjects, predictions, inner, split="stratified", seed=0)
    assert found.together.value == pytest.approx(roc_auc_score(labels, stacked), abs=1e-4)


def test_without_inner_parts_nothing_is_claimed():
    subjects, predictions, _ = a_run(0, imaging=2.0)
    found = adds_to_phenotype(subjects, predictions, [], split="stratified", seed=0)
    assert found.gain is found.together is found.phenotype is None
    assert "protocol 'paper'" in found.reason


def test_a_calibration_part_of_one_class_is_named_and_not_worked_around():
    subjects, predictions, inner = a_run(0, imaging=2.0)
    label = {one.subject_id: one.label for one in subjects}
    thin = [row for row in inner if row.fold != 3 or row.part == "stopping" or label[row.subject_id] == 0]
    found = adds_to_phenotype(subjects, predictions, thin, split="stratified", seed=0)
    assert found.gain is None
    assert found.reason.startswith("fold 3: inner calibration part: expected subjects of both classes")


def test_folds_that_are_not_finished_are_left_out():
    subjects, predictions, inner = a_run(0, imaging=2.0)
    finished = [row for row in predictions if row.fold < 2]
    found = adds_to_phenotype(subjects, finished, inner, split="stratified", seed=0)
    assert found.n_subjects == 80
    assert found.gain is not None


def test_the_difference_is_that_of_two_areas_and_its_interval_knows_that_the_people_are_the_same():
    generator = np.random.default_rng(2)
    labels = np.arange(200) % 2
    first = generator.normal(labels, 1.0)
    second = first + generator.normal(0, 0.3, size=200)
    found = paired_difference(labels, first, second, seed=0)
    assert found.value == pytest.approx(roc_auc_score(labels, first) - roc_auc_score(labels, second))
    alone = auc_estimate(labels, first, seed=0)
    assert alone.value == pytest.approx(roc_auc_score(labels, first))
    assert found.high - found.low < (alone.high - alone.low) / 2, "what both share does not count"
    swapped = paired_difference(labels, second, first, seed=0)
    assert (-swapped.value, -swapped.high, -swapped.low) == pytest.approx(
        (found.value, found.low, found.high)
    )
    assert paired_difference(labels, first, first, seed=0) == Difference(0, 0, 0, is_drawn=True)


def test_the_interval_of_the_difference_is_that_of_a_plain_bootstrap():
    generator = np.random.default_rng(3)
    labels = np.arange(80) % 2
    first, second = generator.normal(1.5 * labels, 1.0), generator.normal(0.5 * labels, 1.0)
    cases, others = np.flatnonzero(labels == 1), np.flatnonzero(labels == 0)
    drawn = []
    for _ in range(400):
        people = np.r_[generator.choice(cases, 40), generator.choice(others, 40)]
        drawn.append(
            roc_auc_score(labels[people], first[people]) - roc_auc_score(labels[people], second[people])
        )
    found = paired_difference(labels, first, second, seed=0)
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.04)


def test_one_class_cannot_be_compared():
    with pytest.raises(ClassMissingError, match="paired comparison"):
        paired_difference(np.ones(4, dtype=np.int64), np.zeros(4), np.zeros(4), seed=0)
