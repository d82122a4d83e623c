import numpy as np
import pytest
from scipy.stats import ttest_ind

from training.classical.selection import strongest, two_sample_t


def test_t_is_scipys():
    generator = np.random.default_rng(0)
    features, labels = generator.normal(3, 2, size=(31, 50)), generator.integers(2, size=31)
    expected = ttest_ind(features[labels == 1], features[labels == 0]).statistic
    np.testing.assert_allclose(two_sample_t(features, labels), expected, rtol=1e-10)
    np.testing.assert_allclose(two_sample_t(features.astype(np.float32), labels), expected, atol=1e-4)


def test_what_nobody_differs_in_is_nothing_and_what_tells_for_certain_comes_first():
    labels = np.array([0, 1, 0, 1, 1])
    features = np.array([[0.1] * 5, labels, -labels, [1, 2, 3, 4, 5.5]], dtype=np.float64).T
    found = two_sample_t(features, labels)
    assert found[:3].tolist() == [0, np.inf, -np.inf]
    assert strongest(found, 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("n_kept", "expected"), [(1, [1]), (2, [1, 3]), (3, [0, 1, 3]), (None, [0, 1, 2, 3]), (9, [0, 1, 2, 3])]
)
def test_the_strongest_are_the_largest_by_size_and_the_first_of_equals(n_kept, expected):
    assert strongest(np.array([2.0, -5.0, 2.0, 4.0]), n_kept).tolist() == expected
