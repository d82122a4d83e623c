import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from training.classical.inner import TooFewToSplitError
from training.classical.linear import FittedWeights, fit_linear_svm, fit_logistic, fit_ridge_features
from training.evidence.ridge import ridge_probabilities

FITS = [fit_ridge_features, fit_logistic, fit_linear_svm]
SCALINGS = ["centre", "standardise"]


def people(n=120, n_features=300, *, seed=0, effect=0.35):
    generator = np.random.default_rng(seed)
    labels = generator.integers(2, size=n)
    features = generator.normal(2, 1, size=(n, n_features)) * generator.uniform(0.5, 2, size=n_features)
    features[:, :30] += effect * (2 * labels - 1)[:, None]
    return features.astype(np.float32), labels


def test_ridge_is_that_of_the_report():
    features, labels = people()
    folds = np.arange(len(labels)) % 3
    expected = ridge_probabilities(features, labels, folds)
    model = fit_ridge_features(features[folds != 0], labels[folds != 0])
    np.testing.assert_allclose(model.probabilities(features[folds == 0]), expected[folds == 0], atol=1e-7)


def test_ridge_on_standardised_features_is_scikit_learns():
    features, labels = people()
    model = fit_ridge_features(features, labels, scaling="standardise")
    scaler = StandardScaler().fit(features)
    ridge = Ridge(alpha=model.penalty * features.shape[1]).fit(scaler.transform(features), 2 * labels - 1)
    asked, _ = people(10, seed=1)
    np.testing.assert_allclose(model.scores(asked), ridge.predict(scaler.transform(asked)), atol=1e-4)


def scaled(features, scaling):
    """As the model's own cost counts: the mean square length of the people is 1."""
    scaler = StandardScaler(with_std=scaling == "standardise").fit(features.astype(np.float64))
    unit = np.sqrt((scaler.transform(features.astype(np.float64)) ** 2).sum(axis=1).mean())
    return lambda of: scaler.transform(of.astype(np.float64)) / unit


@pytest.mark.parametrize("scaling", SCALINGS)
def test_logistic_regression_is_scikit_learns_on_all_features(scaling):
    features, labels = people(60, 150)
    model = fit_logistic(features, labels, scaling=scaling)
    scale = scaled(features, scaling)
    reference = LogisticRegression(C=model.penalty, tol=1e-10, max_iter=10_000).fit(scale(features), labels)
    asked, _ = people(10, 150, seed=1)
    np.testing.assert_allclose(
        model.scores(asked), reference.decision_function(scale(asked)), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("scaling", SCALINGS)
def test_the_svm_is_scikit_learns_on_all_features(scaling):
    features, labels = people(60, 150)
    model = fit_linear_svm(features, labels, scaling=scaling)
    scale = scaled(features, scaling)
    reference = SVC(kernel="linear", C=model.penalty, tol=1e-8).fit(scale(features), labels)
    asked, _ = people(10, 150, seed=1)
    spread = reference.decision_function(scale(asked)).std()
    np.testing.assert_allclose(
        model.scores(asked), reference.decision_function(scale(asked)), atol=2e-3 * spread
    )


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("fit", FITS)
def test_what_is_planted_is_found_in_others_and_is_a_probability(fit, scaling):
    features, labels = people(300, seed=2)
    model = fit(features[:200], labels[:200], scaling=scaling)
    said = model.probabilities(features[200:])
    assert roc_auc_score(labels[200:], said) > 0.9
    assert ((said > 0.5) == (labels[200:] == 1)).mean() > 0.8
    again = expit(model.slope * (features[200:] @ model.weights + model.intercept) + model.lean)
    np.testing.assert_allclose(said, again, atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
def test_where_nothing_is_planted_probabilities_stay_near_the_share_of_cases(fit):
    """The calibration is on people who were left out: it knows that the scores mean nothing."""
    features, labels = people(200, 2000, seed=3, effect=0.0)
    said = fit(features, labels).probabilities(people(100, 2000, seed=4, effect=0.0)[0])
    assert said == pytest.approx(labels.mean(), abs=0.25)


@pytest.mark.parametrize("fit", FITS)
def test_the_same_seed_gives_the_same_and_another_splits_otherwise(fit):
    features, labels = people(80, effect=0.2)
    first, again, other = fit(features, labels), fit(features, labels, seed=0), fit(features, labels, seed=9)
    assert np.array_equal(first.weights, again.weights)
    assert (first.slope, first.lean) == (again.slope, again.lean)
    assert (first.slope, first.lean) != (other.slope, other.lean)


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("fit", FITS)
def test_a_feature_that_nobody_differs_in_weighs_nothing(fit, scaling):
    features, labels = people(60, 40)
    features[:, 7] = 0.1
    model = fit(features, labels, scaling=scaling)
    assert model.weights[7] == pytest.approx(0, abs=1e-9)
    assert np.isfinite(model.weights).all()


@pytest.mark.parametrize("fit", FITS)
def test_people_who_do_not_differ_at_all_are_given_the_share_of_cases(fit):
    labels = np.array([0, 1, 1, 1] * 10)
    model = fit(np.ones((40, 5)), labels)
    assert isinstance(model, FittedWeights)
    assert model.probabilities(np.ones((2, 5))) == pytest.approx(0.75, abs=0.05)


@pytest.mark.parametrize("fit", FITS)
def test_one_person_of_a_class_cannot_be_left_out(fit):
    with pytest.raises(TooFewToSplitError, match="found 1 and 9"):
        fit(np.random.default_rng(0).normal(size=(10, 4)), np.array([1] + [0] * 9))
