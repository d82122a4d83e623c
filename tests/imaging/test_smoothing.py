"""Smoothing by products against scipy's filter, whose result it is."""

import numpy as np
import pytest
from scipy import ndimage

from imaging.smoothing import gaussian_smooth


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("mode", ["nearest", "constant"])
@pytest.mark.parametrize("shape", [(49, 58, 47), (1, 5, 300), (3, 129, 2)])
def test_it_is_scipys_gaussian_filter(shape, mode, dtype):
    values = np.random.default_rng(0).random(shape).astype(dtype)
    sigma = np.array([2.25, 0.7, 1.5])
    expected = ndimage.gaussian_filter(values, sigma, mode=mode)
    found = gaussian_smooth(values, sigma, mode=mode)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, atol=4 * np.finfo(dtype).eps)


def test_the_order_of_the_samples_in_memory_does_not_matter():
    values = np.random.default_rng(1).random((6, 7, 8))
    sigma = np.full(3, 1.0)
    turned = gaussian_smooth(np.asfortranarray(values), sigma, mode="nearest")
    np.testing.assert_allclose(turned, gaussian_smooth(values, sigma, mode="nearest"), atol=1e-15)
