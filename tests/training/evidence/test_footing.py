import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from training.evidence.baselines import baseline_probabilities
from training.evidence.calibration import fit_scaling
from training.evidence.footing import calibration_labels, lean_of_baselines, lean_of_networks, scores
from training.runs import InnerPrediction, RunSubject

SHARES = (0.55, 0.5, 0.4, 0.27, 0.15, 0.0)  # of cases, by site, as uneven as ADHD-200's
PER_SITE = 60


def noise(seed):
    """People of six sites, of whom nothing that is known has to do with the diagnosis."""
    generator = np.random.default_rng(seed)
    return [
        RunSubject(
            subject_id=f"{site}-{i}",
            site=f"site {site}",
            label=int(i < round(share * PER_SITE)),
            fold=site,
            age_years=float(generator.normal(12, 3)),
            sex="male" if generator.random() < 0.5 else "female",
            handedness="right",
            iq=float(generator.normal(110, 13)),
            tr_s=2.0,
            n_frames=float(generator.integers(100, 200)),
            dvars_mean=float(generator.normal(1, 0.1)),
            spikes=float(generator.integers(5)),
        )
        for site, share in enumerate(SHARES)
        for i in range(PER_SITE)
    ]


def dealt(people):
    return np.array([one.label for one in people]), folds_of(people)


def folds_of(people):
    return np.array([one.fold for one in people])


@pytest.mark.parametrize("name", ["phenotype", "motion"])
def test_what_knows_nothing_is_at_chance_over_sites_that_were_left_out(name):
    as_they_are, level = [], []
    for seed in range(8):
        people = noise(seed)
        labels = np.array([one.label for one in people])
        said = baseline_probabilities(name, people)
        lean = lean_of_baselines(*dealt(people), split="leave_site_out")
        as_they_are.append(roc_auc_score(labels, said))
        level.append(roc_auc_score(labels, scores(said, folds_of(people), lean)))
    assert np.mean(as_they_are) < 0.4, "or there is nothing to mend"
    assert np.mean(level) == pytest.approx(0.5, abs=0.025)


def test_the_lean_is_that_of_the_other_folds():
    people = noise(0)
    lean = lean_of_baselines(*dealt(people), split="leave_site_out")
    cases = [round(share * PER_SITE) for share in SHARES]
    others = (sum(cases) - cases[1]) / (len(people) - PER_SITE)
    assert lean[1] == pytest.approx(np.log(others / (1 - others)))
    assert max(lean, key=lean.get) == 5, "the site without cases leaves the most of them to the others"
    found = scores(np.full(len(people), 0.3), folds_of(people), lean)
    assert found[PER_SITE] == pytest.approx(logit(0.3) - lean[1])


def test_stratified_folds_are_ranked_as_they_are():
    people = noise(0)
    lean = lean_of_baselines(*dealt(people), split="stratified")
    said = expit(np.random.default_rng(0).normal(size=len(people), scale=12))
    said[:2] = 0.0, 1.0
    found = scores(said, folds_of(people), lean)
    assert np.isfinite(found).all()
    assert (np.argsort(found) == np.argsort(said)).all()


def test_a_calibrated_network_without_a_clue_is_at_chance_over_sites_that_were_left_out():
    """Its answers are as far apart as calibration on noise leaves them."""
    as_they_are, level = [], []
    for seed in range(20):
        people, generator = noise(seed), np.random.default_rng(seed)
        said, calibrated_on = np.empty(len(people)), {}
        for fold in range(len(SHARES)):
            others = [one for one in people if one.fold != fold]
            calibration = [others[i] for i in generator.choice(len(others), 45, replace=False)]
            labels = np.array([one.label for one in calibration])
            scaling = fit_scaling(generator.normal(size=45), labels)
            said[folds_of(people) == fold] = expit(scaling(generator.normal(size=PER_SITE)))
            calibrated_on[fold] = labels
        labels = np.array([one.label for one in people])
        lean = lean_of_networks(*dealt(people), calibrated_on, split="leave_site_out")
        as_they_are.append(roc_auc_score(labels, said))
        level.append(roc_auc_score(labels, scores(said, folds_of(people), lean)))
    assert np.mean(as_they_are) < 0.45, "or there is nothing to mend"
    assert np.mean(level) == pytest.approx(0.5, abs=0.02)


def test_without_a_calibration_part_a_network_leans_as_a_baseline_does():
    people = noise(0)
    found = lean_of_networks(*dealt(people), {}, split="leave_site_out")
    assert found == lean_of_baselines(*dealt(people), split="leave_site_out")
    assert set(lean_of_networks(*dealt(people), {}, split="stratified").values()) == {0.0}


def test_the_calibration_part_is_that_of_the_fold():
    rows = [("a", 0, "calibration"), ("b", 0, "stopping"), ("b", 1, "calibration"), ("c", 1, "calibration")]
    inner = [InnerPrediction(subject_id=name, fold=fold, part=part, logit=0.0) for name, fold, part in rows]
    found = calibration_labels({"a": 1, "b": 0, "c": 1}, inner)
    assert {fold: labels.tolist() for fold, labels in found.items()} == {0: [1], 1: [0, 1]}
