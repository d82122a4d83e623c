"""Where a fit stands, and what it came to."""

from collections.abc import Callable
from dataclasses import dataclass

from training.fitting.machine import Machine
from training.fitting.precision import Used
from training.runs import EpochRecord


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """Where a training stands after a batch, or, before the first epoch, after a scan was read.

    Attributes
    ----------
    epoch, n_epochs, batch, n_batches : int
        From 1; ``n_epochs`` is the limit, an early stop comes sooner. While scans are read before the first
        epoch, to encode frames or to find regions, ``epoch`` is 0 and the batches are scans.
    training_loss : float or None
        Mean over this epoch's windows so far; None while scans are read.
    stopping_loss : float or None
        Of the epoch before, where an inner part is watched.
    remaining_s : float or None
        Until the limit of epochs, at the pace so far; None while scans are read.
    """

    epoch: int
    n_epochs: int
    batch: int
    n_batches: int
    training_loss: float | None
    stopping_loss: float | None
    remaining_s: float | None

    @classmethod
    def reading(cls, done: int, *, n_scans: int, n_epochs: int) -> "FitProgress":
        """Say how many scans were read, before the first epoch."""
        return cls(
            epoch=0,
            n_epochs=n_epochs,
            batch=done,
            n_batches=n_scans,
            training_loss=None,
            stopping_loss=None,
            remaining_s=None,
        )

    @property
    def share_done(self) -> float:
        """Of the limit of epochs, 0 to 1; 0 while scans are read."""
        return (self.epoch - 1 + self.batch / self.n_batches) / self.n_epochs if self.epoch else 0.0


Progress = Callable[[FitProgress], None]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """What a training came to.

    Attributes
    ----------
    best_epoch : int
        From 1; the network holds the weights after it.
    epochs_run : int
    seconds_per_epoch : float
    peak_memory_bytes : int
        As `peak_memory_bytes`, since this training began.
    records : tuple of EpochRecord
    precision : "float32", "bfloat16" or None
        Of the residual network; None where there is none.
    machine : Machine or None
        That the last epoch was computed on; None where that was not kept yet.
    """

    best_epoch: int
    epochs_run: int
    seconds_per_epoch: float
    peak_memory_bytes: int
    records: tuple[EpochRecord, ...]
    precision: Used | None
    machine: Machine | None
