import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.svm import SVC

from training.classical.simple_mkl import fit_kernel_machine


def problem(n_kernels, *, n=60, seed=0, effects=(0.5, 0.3, 0.0)):
    """Kernels of a mean diagonal of 1, each of features that tell the groups apart more or less."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    kernels = []
    for effect in effects[:n_kernels]:
        features = generator.normal(size=(n, 20))
        features[:, :6] += effect * (2 * labels - 1)[:, None]
        features -= features.mean(axis=0)
        kernel = features @ features.T
        kernels.append(kernel * n / np.trace(kernel))
    return np.array(kernels), labels


def dual_of(kernel, labels, cost):
    machine = SVC(kernel="precomputed", C=cost, tol=1e-8).fit(kernel, labels)
    dual = machine.dual_coef_[0]
    inside = kernel[np.ix_(machine.support_, machine.support_)]
    return np.abs(dual).sum() - 0.5 * dual @ inside @ dual


@pytest.mark.parametrize("cost", [0.05, 1.0, 20.0])
def test_of_two_kernels_it_finds_what_a_fine_grid_finds(cost):
    kernels, labels = problem(2)
    found = fit_kernel_machine(kernels, labels, cost=cost, gap=1e-6)
    grid = np.linspace(0, 1, 401)
    values = [dual_of(share * kernels[0] + (1 - share) * kernels[1], labels, cost) for share in grid]
    assert found.objective == pytest.approx(min(values), rel=1e-4)
    assert found.objective <= min(values) * (1 + 1e-5)
    assert found.shares[0] == pytest.approx(grid[int(np.argmin(values))], abs=0.02)


@pytest.mark.parametrize("cost", [0.3, 5.0])
def test_of_three_kernels_it_finds_what_a_grid_finds(cost):
    kernels, labels = problem(3, seed=1)
    found = fit_kernel_machine(kernels, labels, cost=cost, gap=1e-6)
    steps = 25
    values = {
        (a / steps, b / steps): dual_of(
            np.tensordot([a / steps, b / steps, 1 - (a + b) / steps], kernels, axes=1), labels, cost
        )
        for a in range(steps + 1)
        for b in range(steps + 1 - a)
    }
    assert found.objective <= min(values.values()) * (1 + 1e-5)
    assert found.objective == pytest.approx(min(values.values()), rel=5e-3)
    assert found.shares.sum() == pytest.approx(1)
    assert found.shares.min() >= 0


def test_its_objective_is_that_of_the_primal_problem():
    """Half of the sum of the kernels' squared norms over their shares, and the hinge losses (equation 7)."""
    kernels, labels = problem(3, seed=2)
    found = fit_kernel_machine(kernels, labels, cost=0.7, gap=1e-7)
    scores = np.tensordot(found.shares, kernels, axes=1) @ found.dual + found.intercept
    hinge = np.maximum(0, 1 - (2 * labels - 1) * scores).sum()
    norms = [
        share * found.dual @ kernel @ found.dual for share, kernel in zip(found.shares, kernels, strict=True)
    ]
    assert found.objective == pytest.approx(0.5 * sum(norms) + 0.7 * hinge, rel=1e-4)


def test_it_finds_what_a_general_optimiser_finds_of_five_kernels():
    kernels, labels = problem(5, seed=3, effects=(0.4, 0.4, 0.3, 0.2, 0.0))
    found = fit_kernel_machine(kernels, labels, cost=2.0, gap=1e-6)
    reference = minimize(
        lambda shares: dual_of(np.tensordot(np.maximum(shares, 0), kernels, axes=1), labels, 2.0),
        np.full(5, 0.2),
        method="SLSQP",
        bounds=[(0, 1)] * 5,
        constraints={"type": "eq", "fun": lambda shares: shares.sum() - 1},
        options={"maxiter": 200, "ftol": 1e-10},
    )
    assert found.objective == pytest.approx(reference.fun, rel=1e-4)
    assert found.shares == pytest.approx(reference.x, abs=0.03)


def test_one_kernel_is_a_plain_svm():
    kernels, labels = problem(1)
    found = fit_kernel_machine(kernels, labels, cost=1.5)
    machine = SVC(kernel="precomputed", C=1.5, tol=1e-8).fit(kernels[0], labels)
    assert found.shares.tolist() == [1.0]
    scores = kernels[0] @ found.dual + found.intercept
    np.testing.assert_allclose(scores, machine.decision_function(kernels[0]), atol=1e-3)


def test_where_it_starts_makes_no_difference():
    kernels, labels = problem(3, seed=4)
    first = fit_kernel_machine(kernels, labels, cost=3.0, gap=1e-6)
    other = fit_kernel_machine(kernels, labels, cost=3.0, gap=1e-6, start=np.array([0.0, 0.05, 0.95]))
    assert other.objective == pytest.approx(first.objective, rel=1e-4)
    np.testing.assert_allclose(other.shares, first.shares, atol=0.02)


def test_at_a_small_cost_too_the_better_kernel_is_taken():
    """All are support vectors then, J falls along a line, and the largest difference of means takes all."""
    kernels, labels = problem(3)
    signs = np.where(labels == 1, 1.0, -1.0)
    largest = int(np.argmax([signs @ kernel @ signs for kernel in kernels]))
    found = fit_kernel_machine(kernels, labels, cost=1e-4)
    assert found.shares[largest] == pytest.approx(1, abs=1e-6)
