"""Fit one network: epochs until what is watched gets no better, saved after each, so that a kill costs one.

Called again on the same folder with the same subjects and settings, it goes on where it stopped, and on a CPU
it ends with bitwise the weights that an uninterrupted training ends with.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from imaging import PreprocessingSpec
from model.full_float32 import full_float32
from model.networks import RestNetwork
from training.evidence import bootstrap
from training.fitting.batches import packed_batches, torch_seed
from training.fitting.events import EpochLog
from training.fitting.frozen import encode_subjects, remove_features, settle_normalisation
from training.fitting.logits import encoded_logits, subject_logits
from training.fitting.machine import Machine
from training.fitting.peak_memory import forget_peak, peak_memory_bytes
from training.fitting.precision import Used, is_bfloat16_right
from training.fitting.prepared import TrainingSubject
from training.fitting.settings import TrainingSettings
from training.fitting.state import (
    STATE_FILE,
    TrainingState,
    TrainingStateError,
    Weights,
    adam_moments,
    identify,
    load_state,
    restore_moments,
    save_state,
)
from training.fitting.steps import Stepper, require_finite
from training.fitting.stopping import best_epoch, chosen_epoch, is_over
from training.runs import EpochRecord


@dataclass(frozen=True, kw_only=True)
class FitProgress:
    """Where a training stands after a batch, or, before the first epoch, after a scan was encoded.

    Attributes
    ----------
    epoch, n_epochs, batch, n_batches : int
        From 1; ``n_epochs`` is the limit, an early stop comes sooner. While the frames of a frozen residual
        network are encoded, ``epoch`` is 0 and the batches are scans.
    training_loss : float or None
        Mean over this epoch's windows so far; None while frames are encoded.
    stopping_loss : float or None
        Of the epoch before, where an inner part is watched.
    remaining_s : float or None
        Until the limit of epochs, at the pace so far; None while frames are encoded.
    """

    epoch: int
    n_epochs: int
    batch: int
    n_batches: int
    training_loss: float | None
    stopping_loss: float | None
    remaining_s: float | None

    @property
    def share_done(self) -> float:
        """Of the limit of epochs, 0 to 1; 0 while frames are encoded."""
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


def fit(
    network: RestNetwork,
    training: Sequence[TrainingSubject],
    *,
    stopping: Sequence[TrainingSubject],
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> FitResult:
    """Train a network in place, or go on with, or give again, what the folder holds.

    Parameters
    ----------
    network : RestNetwork
        Fresh, as the settings describe it and from the same seed each time; holds the chosen weights
        afterwards, in evaluation mode, on the device.
    training : sequence of TrainingSubject
        At least two.
    stopping : sequence of TrainingSubject
        Watched under the protocol "nested", both classes; empty under "paper" and where nobody is watched.
    settings : TrainingSettings
    folder : Path
        Made if it is not there; one training's own.
    seed : int
        Of everything drawn in training.
    device : torch.device
    progress : callable, optional
        Called after every batch and every encoded scan; what it raises stops the work.

    Raises
    ------
    TrainingDivergedError
        If a loss is not finite.
    TrainingStateError, TrainingStateNotSavedError
        If the folder holds another training's state, or one that was begun in bfloat16 where this device
        computes it wrongly, or a state cannot be saved.
    FeaturesNotStoredError
        If the residual network is frozen and there is no room for what it makes of the frames.
    ValueError
        If the subjects do not fit the protocol.
    """
    _require(training, stopping, settings)
    folder.mkdir(parents=True, exist_ok=True)
    forget_peak(device)
    network.to(device)
    identity = identify(settings, seed=seed, training=training, stopping=stopping)
    state = load_state(folder / STATE_FILE, identity=identity)
    session = _Session(
        network,
        settings=settings,
        seed=seed,
        device=device,
        identity=identity,
        spec=training[0].spec,
        begun_in=_precision_of(state, settings=settings, device=device),
    )
    if settings.encoder == "frozen" and not (state is not None and state.finished):
        settle_normalisation(network, training, seed=seed, device=device)
        people = encode_subjects(
            network,
            [*training, *stopping],
            folder=folder,
            identity=identity,
            device=device,
            encoded=None if progress is None else partial(_report_encoded, progress, settings.epochs),
        )
        training, stopping = people[: len(training)], people[len(training) :]
    if state is not None:
        session.resume(state)
        if state.finished:
            remove_features(folder)
            return session.finish()
    cuda = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(cuda),
        # In one order too, or what a GPU adds up would part a resumed training from a whole one.
        full_float32(),
        EpochLog(folder, history=session.records) as log,
    ):
        while not session.is_over:
            record = session.run_epoch(training, stopping, progress=progress)
            session.append(record)
            save_state(folder / STATE_FILE, session.state())
            log.write(session.records)
        result = session.finish()
    # Once more, without what only further epochs would need.
    save_state(folder / STATE_FILE, session.state())
    remove_features(folder)
    return result


class _Session:
    """A training under way."""

    def __init__(
        self,
        network: RestNetwork,
        *,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        identity: str,
        spec: PreprocessingSpec,
        begun_in: Used | None,
    ) -> None:
        self.records: list[EpochRecord] = []
        self._network, self._settings, self._seed, self._device = network, settings, seed, device
        self._identity = identity
        self._stepper = Stepper(network, settings=settings, spec=spec, device=device, begun_in=begun_in)
        self._machine: Machine | None = None
        self._best: Weights | None = None
        self._peak_bytes = 0
        self._finished = False

    @property
    def is_over(self) -> bool:
        """Whether no further epoch is to be run."""
        settings = self._settings
        return self._finished or len(self.records) >= settings.epochs or is_over(self.records, settings)

    def resume(self, state: TrainingState) -> None:
        """Stand where the state was saved."""
        self.records = list(state.records)
        self._network.load_state_dict(state.network)
        restore_moments(self._network, self._stepper.optimiser, state.moments)
        self._best = state.best
        self._peak_bytes = state.peak_memory_bytes
        self._machine = state.machine
        self._finished = state.finished

    def state(self) -> TrainingState:
        """Give what :meth:`resume` needs."""
        return TrainingState(
            identity=self._identity,
            records=self.records,
            finished=self._finished,
            peak_memory_bytes=self._peak_bytes,
            precision=self._stepper.precision,
            machine=self._machine,
            network=self._network.state_dict(),
            best=self._best,
            moments={} if self._finished else adam_moments(self._network, self._stepper.optimiser),
        )

    def run_epoch(
        self,
        training: Sequence[TrainingSubject],
        stopping: Sequence[TrainingSubject],
        *,
        progress: Progress | None,
    ) -> EpochRecord:
        """Train one epoch, then watch the inner part."""
        began, epoch, settings = perf_counter(), len(self.records) + 1, self._settings
        # The weights that the last epoch ended with are about to change.
        if self._best is None and self.records:
            self._best = deepcopy(self._network.state_dict())
        torch.manual_seed(torch_seed(seed=self._seed, epoch=epoch))
        self._network.train()
        n_windows = len(training) * settings.windows_per_subject
        n_batches = -(-n_windows // settings.batch_size)
        total, seen = 0.0, 0
        batches = packed_batches(
            training, settings=settings, seed=self._seed, epoch=epoch, pin=self._device.type == "cuda"
        )
        for number, batch in enumerate(batches, start=1):
            share_done = (epoch - 1 + (number - 1) / n_batches) / settings.epochs
            total += self._stepper.step(batch, epoch=epoch, share_done=share_done)
            seen += len(batch.labels)
            if progress is not None:
                progress(self._progress(epoch, number, n_batches, total / seen, perf_counter() - began))
        stopping_loss, stopping_auc = self._watch(stopping, epoch=epoch)
        self._peak_bytes = max(self._peak_bytes, peak_memory_bytes(self._device))
        self._machine = Machine.here(self._device)
        return EpochRecord(
            epoch=epoch,
            training_loss=total / seen,
            stopping_loss=stopping_loss,
            stopping_auc=stopping_auc,
            learning_rate=self._stepper.learning_rate,
            seconds=perf_counter() - began,
        )

    def append(self, record: EpochRecord) -> None:
        """Add an epoch to the history; where it is the best so far, its weights are."""
        self.records.append(record)
        if best_epoch(self.records, self._settings) == len(self.records):
            self._best = None

    def finish(self) -> FitResult:
        """Put the chosen weights into the network."""
        best = chosen_epoch(self.records, self._settings)
        if best != len(self.records) and self._best is not None:
            self._network.load_state_dict(self._best)
        self._best, self._finished = None, True
        self._network.eval()
        return FitResult(
            best_epoch=best,
            epochs_run=len(self.records),
            seconds_per_epoch=float(np.mean([record.seconds for record in self.records])),
            peak_memory_bytes=self._peak_bytes,
            records=tuple(self.records),
            precision=self._stepper.precision,
            machine=self._machine,
        )

    def _watch(self, stopping: Sequence[TrainingSubject], *, epoch: int) -> tuple[float | None, float | None]:
        if not stopping:
            return None, None
        score = encoded_logits if self._settings.encoder == "frozen" else subject_logits
        logits = score(self._network, stopping, device=self._device)
        labels = np.array([subject.label for subject in stopping])
        # log(1 + exp(x)) without overflow: the cross-entropy of a logit.
        loss = float(np.mean(np.logaddexp(0, logits) - labels * logits))
        require_finite(loss, loss="stopping", epoch=epoch)
        area = bootstrap.area_under_roc(bootstrap.once_each(len(labels)), labels, logits)
        return loss, float(area[0])

    def _progress(
        self, epoch: int, batch: int, n_batches: int, training_loss: float, seconds: float
    ) -> FitProgress:
        pace = self.records[-1].seconds if self.records else seconds * n_batches / batch
        epochs_left = self._settings.epochs - epoch + 1 - batch / n_batches
        return FitProgress(
            epoch=epoch,
            n_epochs=self._settings.epochs,
            batch=batch,
            n_batches=n_batches,
            training_loss=training_loss,
            stopping_loss=self.records[-1].stopping_loss if self.records else None,
            remaining_s=pace * epochs_left,
        )


def _report_encoded(progress: Progress, n_epochs: int, scan: int, n_scans: int) -> None:
    progress(
        FitProgress(
            epoch=0,
            n_epochs=n_epochs,
            batch=scan,
            n_batches=n_scans,
            training_loss=None,
            stopping_loss=None,
            remaining_s=None,
        )
    )


def _precision_of(
    state: TrainingState | None, *, settings: TrainingSettings, device: torch.device
) -> Used | None:
    """Give what a training was begun in: a device that would choose another has to emulate it."""
    if state is None:
        return None
    emulated = settings.precision == "auto" and state.precision == "bfloat16" and not state.finished
    if emulated and not is_bfloat16_right(device):
        raise TrainingStateError(
            name=STATE_FILE,
            expected="a device that computes bfloat16 right, in which this training was begun",
            found="one that does not",
        )
    return state.precision


def _require(
    training: Sequence[TrainingSubject], stopping: Sequence[TrainingSubject], settings: TrainingSettings
) -> None:
    if len(training) < 2:
        raise ValueError(f"expected at least 2 subjects to train on, found {len(training)}")
    found = len({subject.label for subject in stopping})
    expected = 2 if settings.protocol == "nested" and settings.inner_stopping else 0
    if found != expected:
        raise ValueError(
            f"expected subjects of {expected} classes to watch under {settings.protocol!r}, found {found}"
        )
