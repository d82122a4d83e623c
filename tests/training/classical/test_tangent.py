import numpy as np
import pytest
from nilearn.connectome import ConnectivityMeasure
from scipy.linalg import logm, sqrtm

from model.methods.tangent import TangentSpace, shrunk_covariance
from training.classical.tangent import fit_tangent_space

N_REGIONS = 12


def people(n, *, seed, n_frames=80):
    """Series that share a mixing of their own, each with something personal."""
    generator = np.random.default_rng(seed)
    shared = generator.normal(size=(N_REGIONS, N_REGIONS))
    return [
        generator.normal(size=(n_frames, N_REGIONS)) @ (shared + 0.5 * generator.normal(size=shared.shape))
        for _ in range(n)
    ]


def standardised(series):
    return (series - series.mean(axis=0)) / series.std(axis=0)


def covariances_of(series):
    return np.array([shrunk_covariance(one) for one in series])


def test_features_are_those_of_nilearn():
    training, others = people(15, seed=0), people(4, seed=0, n_frames=50)
    measure = ConnectivityMeasure(kind="tangent", vectorize=True)
    expected = measure.fit_transform([standardised(one) for one in training])
    space = fit_tangent_space(covariances_of(training))
    np.testing.assert_allclose(space.whitening, measure.whitening_, atol=1e-6)
    np.testing.assert_allclose(space.project(covariances_of(training)), expected, atol=1e-6)
    expected = measure.transform([standardised(one) for one in others])
    np.testing.assert_allclose(space.project(covariances_of(others)), expected, atol=1e-6)


def test_the_mean_of_matrices_that_commute_is_that_of_their_numbers():
    numbers = np.random.default_rng(1).uniform(0.1, 10, size=(6, 4))
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(4, 4)))
    space = fit_tangent_space(np.array([turn * one @ turn.T for one in numbers]))
    reference = np.exp(np.log(numbers).mean(axis=0))
    np.testing.assert_allclose(space.whitening, turn / np.sqrt(reference) @ turn.T, atol=1e-7)


def test_inner_products_are_half_those_of_the_matrices():
    first, second = covariances_of(people(2, seed=3))
    space = fit_tangent_space(covariances_of(people(5, seed=3)))
    features = space.project(np.array([first, second]))
    assert features.shape == (2, space.n_features) == (2, N_REGIONS * (N_REGIONS + 1) // 2)
    white = np.linalg.inv(sqrtm(np.linalg.inv(space.whitening @ space.whitening)))
    logs = [logm(white @ one @ white) for one in (first, second)]
    assert features[0] @ features[1] == pytest.approx(np.trace(logs[0] @ logs[1]) / 2, rel=1e-6)


def test_a_stored_whitening_gives_the_same_features():
    training = covariances_of(people(6, seed=4))
    space = fit_tangent_space(training)
    again = TangentSpace(whitening=np.frombuffer(space.whitening.tobytes()).reshape(N_REGIONS, N_REGIONS))
    assert np.array_equal(again.project(training), space.project(training))


@pytest.mark.parametrize("silence", [3.0, 0.0, np.nan])
def test_a_region_without_signal_varies_with_nothing(silence):
    series = people(1, seed=5)[0]
    without = series.copy()
    without[:, 4] = silence
    found = shrunk_covariance(without)
    others = np.delete(np.arange(N_REGIONS), 4)
    assert found[4, 4] == 1
    assert not found[4, others].any()
    expected = shrunk_covariance(series[:, others])
    np.testing.assert_allclose(found[np.ix_(others, others)], expected, atol=1e-12)


def test_regions_that_nobody_or_somebody_has_no_signal_of_leave_features_that_are_finite():
    series = people(8, seed=6)
    for one in series:
        one[:, 0] = 7
    for one in series[:3]:
        one[:, 1] = 0
    covariances = covariances_of(series)
    features = fit_tangent_space(covariances).project(covariances)
    assert np.isfinite(features).all()
    of_first = np.isin(np.tril_indices(N_REGIONS), 0).any(axis=0)
    np.testing.assert_allclose(features[:, of_first], 0, atol=1e-7)
    assert np.array_equal(shrunk_covariance(np.zeros((20, 3))), np.eye(3))


def test_copies_of_a_region_and_few_frames_break_nothing():
    series = people(6, seed=7, n_frames=20)
    for one in series:
        one[:, 1] = one[:, 0]
    covariances = covariances_of(series)
    assert np.linalg.eigvalsh(covariances).min() > 0
    assert np.isfinite(fit_tangent_space(covariances).project(covariances)).all()
