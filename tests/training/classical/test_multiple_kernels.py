import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import ttest_ind
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.classical.inner import TooFewToSplitError
from training.classical.multiple_kernels import ModalitiesDifferError, fit_multiple_kernels


def people(n=120, *, seed=0, effects=(0.5, 0.0), n_features=(200, 150)):
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    modalities = []
    for effect, size in zip(effects, n_features, strict=True):
        features = generator.normal(5, 1, size=(n, size)) * np.geomspace(0.1, 10, size)
        features[:, :20] += effect * (2 * labels - 1)[:, None] * np.geomspace(0.1, 10, size)[:20]
        modalities.append(features.astype(np.float32))
    return modalities, labels


def test_what_is_planted_is_found_in_others_and_in_its_modality():
    modalities, labels = people(260)
    training = np.arange(260) < 160
    model = fit_multiple_kernels([one[training] for one in modalities], labels[training])
    said = model.probabilities([one[~training] for one in modalities])
    assert roc_auc_score(labels[~training], said) > 0.9
    assert ((said > 0.5) == (labels[~training] == 1)).mean() > 0.8
    assert model.modalities[0].share > 0.8


def test_one_modality_with_all_features_is_a_plain_svm_on_standardised_features():
    (features, _), labels = people(80)
    model = fit_multiple_kernels([features], labels, costs=(0.5,), numbers_kept=(None,))
    scaler = StandardScaler().fit(features.astype(np.float64))
    unit = np.sqrt(features.shape[1])
    machine = SVC(kernel="linear", C=0.5, tol=1e-8).fit(scaler.transform(features) / unit, labels)
    asked = people(20, seed=1)[0][0]
    expected = machine.decision_function(scaler.transform(asked.astype(np.float64)) / unit)
    np.testing.assert_allclose(model.decisions([asked]), expected, atol=1e-3)
    assert model.modalities[0].share == 1.0


def test_a_decision_is_the_weights_of_the_features_that_were_kept():
    modalities, labels = people(80)
    model = fit_multiple_kernels(modalities, labels, costs=(0.3,), numbers_kept=(25,))
    expected = np.full(80, model.intercept)
    for one, features in zip(model.modalities, modalities, strict=True):
        t = np.abs(
            ttest_ind(features[labels == 1].astype(float), features[labels == 0].astype(float)).statistic
        )
        assert set(one.selected.tolist()) == set(np.argsort(-t)[:25].tolist())
        assert len(one.weights) == 25
        expected += features[:, one.selected] @ one.weights
    np.testing.assert_allclose(model.decisions(modalities), expected, atol=1e-6)
    said = model.probabilities(modalities)
    np.testing.assert_allclose(said, expit(model.slope * expected + model.lean), atol=1e-6)


def test_features_are_chosen_inside_the_parts_so_that_chance_stays_chance():
    """Chosen on all people first, 20 of 3,000 columns of noise would tell them apart nearly without fault."""
    modalities, labels = people(100, seed=2, effects=(0.0,), n_features=(3000,))
    model = fit_multiple_kernels(modalities, labels, costs=(1.0,), numbers_kept=(20,))
    fitted = model.decisions(modalities)
    assert roc_auc_score(labels, fitted) > 0.95, "on the very people, it is"
    spread = fitted.std()
    assert abs(model.slope) * spread < 1.0, "and the calibration knows that it means nothing"


def test_the_number_of_features_is_chosen_by_what_it_is_good_for():
    few, labels = people(160, seed=3, effects=(0.6,), n_features=(3000,))
    model = fit_multiple_kernels(few, labels, costs=(0.1, 1.0), numbers_kept=(None, 40))
    assert model.n_kept == 40
    # Spread thin over all features, what differs is lost with most of them.
    generator = np.random.default_rng(4)
    many = generator.normal(size=(160, 1000)) + 0.1 * (2 * labels - 1)[:, None]
    assert fit_multiple_kernels([many], labels, costs=(0.1, 1.0), numbers_kept=(5, None)).n_kept is None


def test_the_same_seed_gives_the_same_and_another_splits_otherwise():
    modalities, labels = people(60)
    first, again, other = (fit_multiple_kernels(modalities, labels, seed=seed) for seed in (0, 0, 5))
    assert np.array_equal(first.decisions(modalities), again.decisions(modalities))
    assert (first.slope, first.lean) == (again.slope, again.lean)
    assert (first.slope, first.lean) != (other.slope, other.lean)


def test_features_and_modalities_that_nobody_differs_in_weigh_nothing():
    modalities, labels = people(60)
    modalities[0][:, 3] = 0.1
    modalities[1][:] = 7
    model = fit_multiple_kernels(modalities, labels, numbers_kept=(None,))
    assert model.modalities[0].weights[3] == 0
    assert not model.modalities[1].weights.any()
    changed = [one.copy() for one in modalities]
    changed[1][:] = 50
    assert np.array_equal(model.decisions(changed), model.decisions(modalities))


def test_other_arrays_than_belong_together_are_refused():
    modalities, labels = people(40)
    with pytest.raises(ModalitiesDifferError, match=r"\[40, 39\]"):
        fit_multiple_kernels([modalities[0], modalities[1][:39]], labels)
    with pytest.raises(ModalitiesDifferError, match="at least one"):
        fit_multiple_kernels([], labels)
    with pytest.raises(TooFewToSplitError, match="found 1 and 3"):
        fit_multiple_kernels([modalities[0][:4]], np.array([1, 0, 0, 0]))
    model = fit_multiple_kernels(modalities, labels, costs=(1.0,), numbers_kept=(10,))
    with pytest.raises(ModalitiesDifferError, match="200, 150"):
        model.decisions(modalities[::-1])


def test_two_people_of_a_class_are_enough():
    modalities, labels = people(4, effects=(5.0, 0.0))
    model = fit_multiple_kernels(modalities, labels)
    assert np.isfinite(model.probabilities(modalities)).all()
