"""The plain training loop: shuffled subjects, random windows, binary cross-entropy, Adam.

A window is drawn anew every time its subject comes up, so an epoch is a pass over subjects, not over
frames. Everything random comes from the settings' seed.
"""

from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import ceil, inf

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional

from model.networks import RestNetwork
from training.prepared import PreparedScan, cut_windows

Progress = Callable[[str, float], None]
TRAINING = "training"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How a network is trained.

    Attributes
    ----------
    epochs : int
        At most; at least 1.
    windows_per_subject : int
        Windows that a subject gives in an epoch.
    batch_windows : int
    learning_rate : float
        Of Adam, at the start; falls to zero along a half cosine over all epochs.
    weight_decay : float
        Decoupled (AdamW); 0 is plain Adam.
    patience : int or None
        Stop after this many epochs without a lower validation loss, and keep the best weights; None trains
        to the end and keeps the last.
    seed : int
        Of the order of subjects, the windows and the dropout.
    """

    epochs: int
    windows_per_subject: int = 1
    batch_windows: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    patience: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class EpochRecord:
    """Mean losses a window of one epoch; ``validation_loss`` is NaN without validation scans."""

    training_loss: float
    validation_loss: float


def train_network(
    network: RestNetwork,
    scans: Sequence[PreparedScan],
    *,
    settings: TrainingSettings,
    validation: Sequence[PreparedScan] = (),
    progress: Progress | None = None,
) -> list[EpochRecord]:
    """Train a network in place.

    Parameters
    ----------
    network : RestNetwork
        Changed in place; left in evaluation mode.
    scans : sequence of PreparedScan
        At least two.
    settings : TrainingSettings
    validation : sequence of PreparedScan
        Subjects that are not trained on; watched, and used for early stopping where ``patience`` is set.
    progress : callable, optional
        Called as ``progress("training", fraction)`` after every batch; what it raises stops the work.

    Returns
    -------
    list of EpochRecord
        One an epoch that ran.

    Raises
    ------
    ValueError
        If there are too few scans, or early stopping has nothing to watch.
    """
    if len(scans) < 2:
        raise ValueError(f"expected at least 2 scans to train on, found {len(scans)}")
    if settings.patience is not None and not validation:
        raise ValueError("expected validation scans for early stopping, found none")
    generator = np.random.default_rng(settings.seed)
    torch.manual_seed(settings.seed)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    n_batches = ceil(len(scans) * settings.windows_per_subject / settings.batch_windows)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=settings.epochs * n_batches)

    records: list[EpochRecord] = []
    best_loss, best_weights, best_epoch = inf, deepcopy(network.state_dict()), 0
    for epoch in range(settings.epochs):
        network.train()
        losses = []
        for done, (windows, labels) in enumerate(_batches(scans, settings, generator), start=1):
            optimiser.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(network(windows), labels)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
            losses.append(float(loss.detach()))
            if progress is not None:
                progress(TRAINING, (epoch + done / n_batches) / settings.epochs)
        network.eval()
        validation_loss = mean_loss(network, validation) if validation else float("nan")
        records.append(EpochRecord(float(np.mean(losses)), validation_loss))
        if settings.patience is None:
            continue
        if validation_loss < best_loss:
            best_loss, best_weights, best_epoch = validation_loss, deepcopy(network.state_dict()), epoch
        elif epoch - best_epoch >= settings.patience:
            break
    if settings.patience is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return records


@torch.inference_mode()
def scan_logits(network: RestNetwork, scan: PreparedScan) -> Tensor:
    """Give a network's logit for each planned window of a scan, (W,) float32, in evaluation mode."""
    network.eval()
    starts = scan.planned_starts().tolist()
    return torch.cat([network(cut_windows([scan], [start])) for start in starts])


def mean_loss(network: RestNetwork, scans: Sequence[PreparedScan]) -> float:
    """Give the mean binary cross-entropy of the scans' mean logits, as prediction would use them."""
    logits = torch.stack([scan_logits(network, scan).mean() for scan in scans])
    labels = torch.tensor([float(scan.label) for scan in scans])
    return float(functional.binary_cross_entropy_with_logits(logits, labels))


def _batches(
    scans: Sequence[PreparedScan], settings: TrainingSettings, generator: Generator
) -> Iterator[tuple[Tensor, Tensor]]:
    order = np.concatenate([generator.permutation(len(scans)) for _ in range(settings.windows_per_subject)])
    for first in range(0, len(order), settings.batch_windows):
        chosen = [scans[i] for i in order[first : first + settings.batch_windows]]
        starts = [int(generator.integers(scan.n_starts)) for scan in chosen]
        labels = torch.tensor([float(scan.label) for scan in chosen])
        yield cut_windows(chosen, starts), labels
