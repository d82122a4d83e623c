"""Grad-CAM: the last residual stage's maps, each weighed by how the logit depends on its mean."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from model.shapes import WindowBatch


def grad_cam(network: nn.Module, layer: nn.Module, windows: WindowBatch) -> Float[Tensor, "N 1 G G G"]:
    """Weigh a layer's maps by the logit's mean gradient, frame by frame, and spread them over the cube.

    Selvaraju et al. 2017, "Grad-CAM" (arXiv:1610.02391), without its final ReLU: here one logit speaks for
    both classes. A mean gradient a channel forgets that the networks weigh every position by itself.

    Parameters
    ----------
    network : module
        ``(W, F, G, G, G) -> (W,)``.
    layer : module
        A part of it, which gives (W * F, C, x, x, x).
    windows : (W, F, G, G, G) float

    Returns
    -------
    (W * F, 1, G, G, G) float
        No unit: comparable within a scan and a model, not between them.
    """
    # Half a second to import, for those only who explain.
    from captum.attr import LayerGradCam  # noqa: PLC0415

    coarse: Tensor = LayerGradCam(network, layer).attribute(windows).detach()
    # A stage's first and last positions look at the cube's first and last voxels, so corners are aligned; the
    # true centres lie within half a voxel of where this puts them.
    return functional.interpolate(coarse, size=windows.shape[2:], mode="trilinear", align_corners=True)


def mean_grad_cam(network: nn.Module, layer: nn.Module, windows: WindowBatch) -> Float[Tensor, "G G G"]:
    """Average :func:`grad_cam` over frames and windows, one window at a time to bound the memory."""
    each = [grad_cam(network, layer, windows[i : i + 1]).mean(dim=(0, 1)) for i in range(len(windows))]
    return torch.stack(each).mean(dim=0)
