"""Integrated gradients: the logit's change along a straight line from silence to the scan, voxel by voxel."""

import torch

from model.explanation.ensemble_logit import Logit
from model.shapes import WindowBatch


def integrated_gradients(logit: Logit, windows: WindowBatch, *, steps: int) -> WindowBatch:
    """Share out ``logit(windows) - logit(zero)`` among the voxels of every frame.

    Sundararajan, Taly and Yan 2017, "Axiomatic attribution for deep networks" (arXiv:1703.01365), with
    captum's Gauss-Legendre quadrature.

    Parameters
    ----------
    logit : callable
        ``(W, F, G, G, G) -> (W,)``; windows must not influence each other.
    windows : (W, F, G, G, G) float
    steps : int
        Gradients a window: the integral is their weighted sum.

    Returns
    -------
    (W, F, G, G, G) float
        In logits; positive speaks for ADHD. Exactly 0 where a window is 0.
    """
    # Half a second to import, for those only who explain.
    from captum.attr import IntegratedGradients  # noqa: PLC0415

    method = IntegratedGradients(logit)
    # One step of all windows at a time: the memory does not grow with the steps.
    shares: torch.Tensor = method.attribute(windows, n_steps=steps, internal_batch_size=len(windows))
    return shares.detach()
