"""A first, quick stage of training: the reader alone, on features of the still untrained residual network.

Random convolutions that keep every position already tell how strongly each place of the brain fluctuates.
Their features can be computed once for a whole ensemble, so the reader gets a dozen passes over the cohort
for the price of one, and end-to-end training (`training.loop`) starts from a reader that knows where to
look.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from model.joint_encoder import JointEncoder
from model.networks import RestNetwork
from training.prepared import PreparedScan, cut_windows

Progress = Callable[[str, float], None]

ENCODING = "encoding"
READING = "reading"
_FRAMES_PER_CHUNK = 4
_FRAMES_PER_STATISTIC = 48
_HARDLY_VARIES = 0.02


@dataclass(frozen=True, kw_only=True)
class ReaderSettings:
    """How the reader is trained on frozen features.

    Attributes
    ----------
    epochs : int
    batch_subjects : int
        Every subject gives all its encoded windows; the loss is that of their mean logit, as prediction
        uses it.
    learning_rate : float
        Of AdamW, falling to zero along a half cosine.
    weight_decay : float
    seed : int
    """

    epochs: int
    batch_subjects: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    seed: int = 0


def settle_normalisation(
    networks: Sequence[RestNetwork], scans: Sequence[PreparedScan], *, seed: int
) -> None:
    """Set untrained networks' BatchNorm statistics from a random window a scan, one frame in five.

    Parameters
    ----------
    networks : sequence of RestNetwork
        Changed in place; left in evaluation mode.
    scans : sequence of PreparedScan
    seed : int
        Of the windows.
    """
    generator = np.random.default_rng(seed)
    windows = cut_windows(scans, [int(generator.integers(scan.n_starts)) for scan in scans])
    frames = windows[:, ::5].reshape(-1, 1, *windows.shape[2:])
    for network in networks:
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm3d)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over the chunks
        network.train()
        with torch.no_grad():
            for chunk in torch.split(frames, _FRAMES_PER_STATISTIC):
                network.encode(chunk)
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        network.eval()


@torch.inference_mode()
def encode_scans(
    networks: Sequence[RestNetwork],
    scans: Sequence[PreparedScan],
    *,
    n_windows: int,
    progress: Progress | None = None,
) -> Float[Tensor, "M S W F D"]:
    """Encode evenly spread windows of every scan by every network, in evaluation mode.

    Parameters
    ----------
    networks : sequence of RestNetwork
    scans : sequence of PreparedScan
    n_windows : int
        Windows a scan.
    progress : callable, optional
        Called as ``progress("encoding", fraction)`` after every scan.

    Returns
    -------
    (M, S, W, F, D) float16
    """
    encode = JointEncoder([network.eval().encoder for network in networks])
    encoded = []
    for done, scan in enumerate(scans, start=1):
        starts = np.linspace(0, scan.n_starts - 1, n_windows).astype(int).tolist()
        frames = cut_windows([scan] * n_windows, starts).flatten(0, 1).unsqueeze(1)
        features = torch.cat([encode(chunk) for chunk in torch.split(frames, _FRAMES_PER_CHUNK)], dim=1)
        encoded.append(features.reshape(len(networks), n_windows, -1, features.shape[2]).half())
        if progress is not None:
            progress(ENCODING, done / len(scans))
    return torch.stack(encoded, dim=1)


def train_reader(
    network: RestNetwork,
    features: Float[Tensor, "S W F D"],
    labels: Float[Tensor, " S"],
    *,
    settings: ReaderSettings,
    progress: Progress | None = None,
) -> list[float]:
    """Train the recurrent layer and the head in place; the residual network is left as it is.

    Parameters
    ----------
    network : RestNetwork
        Left in evaluation mode.
    features : (S, W, F, D) float16 or float32
        Of this network's own encoder. Trained on standardised, because thousands of features that are all
        positive pull every gradient in one direction; the standardisation is then folded into the layer's
        input weights.
    labels : (S,) float32
        0 control, 1 ADHD.
    settings : ReaderSettings
    progress : callable, optional
        Called as ``progress("reading", fraction)`` after every epoch.

    Returns
    -------
    list of float
        Mean training loss of each epoch.
    """
    torch.manual_seed(settings.seed)
    n_subjects, n_windows = features.shape[:2]
    mean, scale = _standardisation(features)
    trained = [*network.rnn.parameters(), *network.head.parameters()]
    optimiser = torch.optim.AdamW(trained, lr=settings.learning_rate, weight_decay=settings.weight_decay)
    n_batches = -(-n_subjects // settings.batch_subjects)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=settings.epochs * n_batches)
    network.train()
    losses = []
    for epoch in range(settings.epochs):
        total = 0.0
        for batch in torch.split(torch.randperm(n_subjects), settings.batch_subjects):
            optimiser.zero_grad()
            windows = (features[batch].flatten(0, 1).float() - mean) * scale
            logits = network.read(windows).reshape(-1, n_windows).mean(dim=1)
            loss = functional.binary_cross_entropy_with_logits(logits, labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            total += float(loss.detach()) * len(batch)
        losses.append(total / n_subjects)
        if progress is not None:
            progress(READING, (epoch + 1) / settings.epochs)
    _fold_into(network.rnn, mean=mean, scale=scale)
    network.eval()
    return losses


def _standardisation(features: Float[Tensor, "S W F D"]) -> tuple[Tensor, Tensor]:
    """Give each feature's mean and one over its standard deviation; 0 for features that hardly ever vary."""
    flat = features.flatten(0, 2)
    # A slice of features at a time: the whole cohort in single precision would be several gigabytes.
    parts = [(part.float().mean(dim=0), part.float().std(dim=0)) for part in torch.split(flat, 256, dim=1)]
    mean, deviation = (torch.cat(list(values)) for values in zip(*parts, strict=True))
    return mean, torch.where(deviation > _HARDLY_VARIES, 1 / deviation, 0.0)


@torch.no_grad()
def _fold_into(rnn: nn.LSTM | nn.GRU, *, mean: Tensor, scale: Tensor) -> None:
    """Let a layer that was trained on standardised features read plain ones, to the same effect."""
    for direction in ("", "_reverse"):
        weight = rnn.get_parameter(f"weight_ih_l0{direction}")
        weight.mul_(scale)
        bias = rnn.get_parameter(f"bias_ih_l0{direction}")
        bias.sub_(weight @ mean)
