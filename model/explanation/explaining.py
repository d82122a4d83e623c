"""One prepared scan in, one map of what drove the ensemble's logit out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imaging import NetworkInput, brain_cube, window_starts
from imaging.shapes import Cube
from model.errors import ExplanationNotAvailableError, PreprocessingMismatchError
from model.explanation.ensemble_logit import Logit, ensemble_logit
from model.explanation.grad_cam import mean_grad_cam
from model.explanation.integrated_gradients import integrated_gradients
from model.networks import RestNetwork
from model.predictor import Predictor
from model.shapes import Logits, WindowBatch

ExplanationMethod = Literal["integrated_gradients", "grad_cam"]

# Fixed, so that the cost of an explanation is known before it begins (docs/science.md has what they buy).
STEPS = 16
WINDOWS = 4
MEMBERS = 5

# Of the logit's change: a map whose sum misses it by more does not account for the answer.
TOLERATED_ERROR = 0.25


@dataclass(frozen=True, eq=False)
class Explanation:
    """What of a scan drove the ensemble's logit.

    Attributes
    ----------
    method : "integrated_gradients" or "grad_cam"
    map : (G, G, G) float32
        On the network's cube, RAS+, exactly 0 outside the brain; positive speaks for ADHD. Integrated
        gradients: logits, the sum over a window's frames and the mean over windows and members. Grad-CAM: no
        unit, the mean over frames, windows and members.
    logit : float
        Uncalibrated, the mean over the windows and members below: not over all that a prediction reads.
    baseline_logit : float
        Of a scan that is 0 everywhere.
    completeness_error : float or None
        Integrated gradients: the map's sum less ``logit - baseline_logit``. The steps are its cause: more
        steps, smaller error. None for Grad-CAM, which promises no sum.
    start_frames : tuple of int
        Of the windows that were read, in the order of time.
    members : int
        How many of the ensemble were asked, from its first on.
    steps : int
        Gradients a window and member.
    """

    method: ExplanationMethod
    map: Cube
    logit: float
    baseline_logit: float
    completeness_error: float | None
    start_frames: tuple[int, ...]
    members: int
    steps: int

    @property
    def accounts(self) -> bool | None:
        """Whether the map's sum is the logit's change up to a fourth of it; None for Grad-CAM."""
        if self.completeness_error is None:
            return None
        return abs(self.completeness_error) <= TOLERATED_ERROR * abs(self.logit - self.baseline_logit)

    @property
    def gradients(self) -> int:
        """The cost: gradients of one member's logit for one window, all together."""
        return self.steps * len(self.start_frames) * self.members


def explain(
    predictor: Predictor,
    network_input: NetworkInput,
    *,
    method: ExplanationMethod = "integrated_gradients",
    steps: int = STEPS,
    windows: int = WINDOWS,
    members: int = MEMBERS,
    progress: Callable[[float], None] | None = None,
) -> Explanation:
    """Attribute the ensemble's logit to the voxels of the cube.

    ``"integrated_gradients"`` has the resolution of the network's input. ``"grad_cam"`` looks at the last
    residual stage, which has 17, 9, 5 or 3 positions a side for networks A to D: for the published best, C, a
    position is 8 voxels of the cube wide, and what lies between is interpolation.

    On a CPU the same scan, model and number of threads give the same bits. The predictor is left as it was:
    in evaluation mode, without a gradient stored.

    Parameters
    ----------
    predictor : Predictor
    network_input : NetworkInput
        Prepared with the predictor's spec.
    method : "integrated_gradients" or "grad_cam"
    steps : int
        Of integrated gradients; Grad-CAM needs one gradient.
    windows : int
        At most so many of those that a prediction reads, evenly from the first to the last.
    members : int
        At most so many of the ensemble.
    progress : callable, optional
        Called with 0 to 1 before each pass over all windows and members; it may raise to stop the work.

    Returns
    -------
    Explanation

    Raises
    ------
    ExplanationNotAvailableError
        If the model is no network: there is no gradient to follow to voxels.
    PreprocessingMismatchError
        If the scan was prepared in another way than the model was trained with.
    ValueError
        If a number is below 1.
    """
    for name, number in (("steps", steps), ("windows", windows), ("members", members)):
        if number < 1:
            raise ValueError(f"expected {name} of at least 1, found {number}")
    require_explainable(predictor)
    if network_input.spec != predictor.spec:
        raise PreprocessingMismatchError(
            expected=predictor.spec.to_json(), found=network_input.spec.to_json()
        )
    asked = predictor.members[:members]
    starts = _evenly(window_starts(network_input.n_frames, spec=predictor.spec), windows)
    frames = network_input.frames[starts[:, None] + np.arange(predictor.spec.window_frames)]
    with _differentiable():
        batch = torch.from_numpy(frames).to(predictor.device)
        logit = _counted(ensemble_logit(asked), steps + 2, progress or _silent)
        after, before = _mean_logit(logit, batch), _mean_logit(logit, torch.zeros_like(batch[:1]))
        if method == "integrated_gradients":
            shares = integrated_gradients(logit, batch, steps=steps).sum(dim=1).mean(dim=0)
        else:
            shares = _mean_over_members(asked, batch)
    found = shares.cpu().numpy()
    inside = np.where(brain_cube(predictor.spec.grid_size).mask, found, 0).astype(np.float32)
    complete = method == "integrated_gradients"
    return Explanation(
        method=method,
        map=inside,
        logit=after,
        baseline_logit=before,
        completeness_error=float(inside.sum(dtype=np.float64)) - (after - before) if complete else None,
        start_frames=tuple(int(start) for start in starts),
        members=len(asked),
        steps=steps if complete else 1,
    )


def require_explainable(predictor: Predictor) -> None:
    """Refuse a model that no map can be made of, before any work is done.

    Raises
    ------
    ExplanationNotAvailableError
        If it is no ensemble of networks.
    """
    if not predictor.members:
        raise ExplanationNotAvailableError(method=predictor.card.method)


@contextmanager
def _differentiable() -> Iterator[None]:
    # cuDNN has no backward pass of a recurrent layer in evaluation mode; a caller may be in inference mode.
    with (
        torch.inference_mode(mode=False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=False),
    ):
        yield


def _evenly(starts: np.ndarray, count: int) -> np.ndarray:
    if count == 1:
        return starts[[len(starts) // 2]]
    return starts[np.unique(np.rint(np.linspace(0, len(starts) - 1, count)).astype(np.int64))]


def _counted(logit: Logit, calls: int, progress: Callable[[float], None]) -> Logit:
    done = 0

    def counting(windows: WindowBatch) -> Logits:
        nonlocal done
        # At the beginning of a call the gradient of the one before has been taken.
        progress(min(done / calls, 1.0))
        done += 1
        return logit(windows)

    return counting


def _silent(_fraction: float) -> None:
    """Nobody is watching."""


@torch.no_grad()
def _mean_logit(logit: Logit, windows: WindowBatch) -> float:
    return float(logit(windows).double().mean())


def _mean_over_members(members: Sequence[RestNetwork], windows: WindowBatch) -> Tensor:
    cams = [mean_grad_cam(member, member.encoder.stages[-1], windows) for member in members]
    return torch.stack(cams).mean(dim=0)
