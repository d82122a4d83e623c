"""SimpleMKL: the shares of several kernels in their sum, learned with the SVM that uses it.

Rakotomamonjy A, Bach F, Canu S, Grandvalet Y, "SimpleMKL", J Mach Learn Res 2008;9:2491-2521. With the shares
fixed, the problem is an SVM's; its optimum J is a convex, smooth function of the shares (section 3.1). A
reduced gradient goes down on it, over shares that are not negative and sum to 1 (section 3.2).
"""

from dataclasses import dataclass

import numpy as np
from sklearn.svm import SVC

from training.classical.shapes import Kernels, Labels, Scores, Shares

_GAP = 1e-2  # of the duality gap, beside the part of J that depends on the shares
_MOST_STEPS = 100
_MOST_TRIES = 30
_FLAT = 0.1  # beside the slope at the start of a line: low enough to turn
_NOTHING = 1e-9  # of a share


@dataclass(frozen=True, eq=False)
class KernelMachine:
    """An SVM on a weighted sum of kernels.

    Attributes
    ----------
    shares : (M,) float64
    dual : (S,) float64
        Of each person trained on, signed by the label; 0 but for support vectors.
    intercept : float
    objective : float
        J: half the squared norm of the weights, and ``cost`` times the hinge losses.
    """

    shares: Shares
    dual: Scores
    intercept: float
    objective: float


def fit_kernel_machine(
    kernels: Kernels, labels: Labels, *, cost: float, gap: float = _GAP, start: Shares | None = None
) -> KernelMachine:
    """Find the shares and the SVM together.

    Parameters
    ----------
    kernels : (M, S, S) float64
        Positive semidefinite, of the people trained on; of comparable size, or the largest has an advantage.
    labels : (S,) int
        Both 0 and 1.
    cost : float
        C of the SVM.
    gap : float
        Where to stop: how far J may be above its lower bound, as a part of half the squared norm. Beside J
        itself, which is nearly the cost times the people where the cost is small, any shares would do.
    start : (M,) float64, optional
        Shares to start from; equal ones by default.
    """
    shares = np.full(len(kernels), 1 / len(kernels)) if start is None else start
    here = _Point.at(kernels, labels, shares, cost)
    for _ in range(_MOST_STEPS):
        if here.gap <= gap * here.half_norm:
            break
        further = _down(here, kernels, labels, cost)
        if further.objective >= here.objective:
            break
        here = further
    return KernelMachine(
        shares=here.shares, dual=here.dual, intercept=here.intercept, objective=here.objective
    )


@dataclass(frozen=True, eq=False)
class _Point:
    """Shares, and the SVM solved with them."""

    shares: Shares
    dual: Scores
    intercept: float
    objective: float
    gradient: Shares

    @classmethod
    def at(cls, kernels: Kernels, labels: Labels, shares: Shares, cost: float) -> "_Point":
        machine = SVC(kernel="precomputed", C=cost, tol=1e-5)
        machine.fit(np.tensordot(shares, kernels, axes=1), labels)
        dual = np.zeros(len(labels))
        dual[machine.support_] = machine.dual_coef_[0]
        gradient = -0.5 * np.array([dual @ kernel @ dual for kernel in kernels])
        objective = float(np.abs(dual).sum() + shares @ gradient)
        return cls(shares, dual, float(machine.intercept_[0]), objective, gradient)

    @property
    def gap(self) -> float:
        """How far J can be above the least at most (section 3.3)."""
        return float(self.shares @ self.gradient - self.gradient.min())

    @property
    def half_norm(self) -> float:
        """Half the squared norm of the weights, of all kernels together."""
        return float(-self.shares @ self.gradient)

    def direction(self) -> Shares:
        """Go down the gradient, what one share loses going to the largest (equation 12)."""
        largest = int(self.shares.argmax())
        towards = self.gradient[largest] - self.gradient
        towards[(self.shares <= _NOTHING) & (towards < 0)] = 0.0
        towards[largest] = 0.0
        towards[largest] = -towards.sum()
        return np.asarray(towards)


def _down(here: _Point, kernels: Kernels, labels: Labels, cost: float) -> _Point:
    """Go along the reduced gradient to where J is about least, at most to where a share is used up.

    J is convex along a line, and each SVM gives its slope: the place where it changes sign is enclosed, and
    guessed by the chord.
    """
    towards = here.direction()
    losing = towards < 0
    if not losing.any():
        return here
    longest = float((here.shares[losing] / -towards[losing]).min())

    def at(length: float) -> tuple[_Point, float]:
        shares = np.maximum(here.shares + length * towards, 0.0)
        shares[shares <= _NOTHING] = 0.0
        found = _Point.at(kernels, labels, shares / shares.sum(), cost)
        return found, float(found.gradient @ towards)

    first = float(here.gradient @ towards)
    low, slope_low, high = 0.0, first, longest
    best, slope_high = at(longest)
    if slope_high <= 0:
        return best
    for _ in range(_MOST_TRIES):
        # Away from the ends, where a chord of a very bent curve would stay for ever.
        share = np.clip(slope_low / (slope_low - slope_high), 0.1, 0.9)
        length = low + float(share) * (high - low)
        found, slope = at(length)
        if found.objective < best.objective:
            best = found
        if abs(slope) <= _FLAT * abs(first) and found.objective < here.objective:
            break
        if slope < 0:
            low, slope_low = length, slope
        else:
            high, slope_high = length, slope
    return best
