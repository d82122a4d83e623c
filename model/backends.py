"""Which of the ways to compute the residual networks answers here: the fastest that gives the right numbers.

A fast backend is a claim about the machine that it runs on: a library may choose an instruction that another
processor gets wrong. So each is held against the networks themselves, eager in float32, when a model is
loaded, and one that differs is not used.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from model.encoder import FrameEncoder
from model.errors import BackendParityError, BackendUnavailableError
from model.joint_encoder import JointEncoder
from model.networks import GRID_SIZE
from model.shapes import Frames

Backend = Literal["auto", "openvino", "torch"]
BackendName = Literal["openvino", "torch", "numpy"]
"""What an answer was computed by; numpy computes the methods that are one weighted sum."""

Encode = Callable[[Frames], Float[Tensor, "M N D"]]

# Of the largest feature. In float32 another order of adding up changes the last digits only (measured: 1e-6).
PARITY = 1e-4
_PROBE_FRAMES = 2


def choose_backend(
    encoders: Sequence[FrameEncoder], *, backend: Backend = "auto"
) -> tuple[Literal["openvino", "torch"], Encode]:
    """Make the ensemble's encoder for the device that its members are on.

    Parameters
    ----------
    encoders : sequence of FrameEncoder
        In evaluation mode, of one architecture, on one device.
    backend : "auto", "openvino" or "torch"
        "auto" takes OpenVINO on a processor where it passes, and torch everywhere else.

    Returns
    -------
    str
        The backend's name.
    callable
        ``(N, 1, 34, 34, 34) -> (M, N, D)``: the members' ``encode``, stacked.

    Raises
    ------
    BackendUnavailableError
        If OpenVINO was asked for and does not run here.
    BackendParityError
        If the backend that was asked for, or every one, gives other numbers than the networks themselves.
    """
    on_processor = next(encoders[0].parameters()).device.type == "cpu"
    if backend == "openvino" or (backend == "auto" and on_processor):
        try:
            return "openvino", _verified(_openvino(encoders), encoders, name="openvino")
        except (BackendUnavailableError, BackendParityError):
            if backend == "openvino":
                raise
    return "torch", _verified(JointEncoder(encoders), encoders, name="torch")


def _openvino(encoders: Sequence[FrameEncoder]) -> Encode:
    try:
        # A quarter of a second to import, for those only who run it.
        from model.openvino_encoder import OpenVinoEncoder  # noqa: PLC0415

        return OpenVinoEncoder(encoders)
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailableError(backend="openvino") from error


@torch.inference_mode()
def _verified(encode: Encode, encoders: Sequence[FrameEncoder], *, name: str) -> Encode:
    device = next(encoders[0].parameters()).device
    noise = torch.Generator().manual_seed(0)
    frames = torch.randn(_PROBE_FRAMES, 1, GRID_SIZE, GRID_SIZE, GRID_SIZE, generator=noise).to(device)
    expected = torch.stack([encoder(frames) for encoder in encoders])
    largest = float(expected.abs().max())
    difference = float((encode(frames) - expected).abs().max())
    # Written so that what is not a number does not pass.
    if not difference <= PARITY * largest:
        raise BackendParityError(backend=name, expected=PARITY, difference=difference / (largest or 1.0))
    return encode
