"""Epochs until what is watched gets no better, saved after each, so that a kill costs one; of any learner."""

from collections.abc import Iterator, Sequence, Sized
from copy import deepcopy
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float64

from model.full_float32 import full_float32
from training.evidence import bootstrap
from training.fitting.batches import torch_seed
from training.fitting.events import EpochLog
from training.fitting.machine import Machine
from training.fitting.peak_memory import peak_memory_bytes
from training.fitting.precision import Used
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitProgress, FitResult, Progress
from training.fitting.settings import TrainingSettings
from training.fitting.state import (
    STATE_FILE,
    TrainingState,
    Weights,
    optimiser_moments,
    restore_moments,
    save_state,
)
from training.fitting.steps import require_finite
from training.fitting.stopping import best_epoch, chosen_epoch, is_over
from training.runs import EpochRecord


class Batch(Protocol):
    """What one step of the optimiser is taken on."""

    @property
    def labels(self) -> Sized:
        """One a window."""
        ...


_Batch = TypeVar("_Batch", bound=Batch)


class Learner(Protocol[_Batch]):
    """A module with what moves its weights.

    Everything drawn follows from a seed of its own and the epoch, so that a resumed training draws alike.
    """

    @property
    def module(self) -> torch.nn.Module:
        """Whose weights are learnt, on the device."""
        ...

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        """What moves them."""
        ...

    @property
    def precision(self) -> Used:
        """That a step is computed in."""
        ...

    @property
    def learning_rate(self) -> float:
        """Of the last step."""
        ...

    def batches(self, people: Sequence[TrainingSubject], *, epoch: int) -> Iterator[_Batch]:
        """Draw an epoch, from 1."""
        ...

    def step(self, batch: _Batch, *, epoch: int, share_done: float) -> float:
        """Take one step, and give the sum of the windows' losses before it."""
        ...

    def logits(self, people: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        """Give each subject's logit, in evaluation mode."""
        ...


def learn(
    learner: Learner[Any],
    training: Sequence[TrainingSubject],
    *,
    stopping: Sequence[TrainingSubject],
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    device: torch.device,
    identity: str,
    state: TrainingState | None,
    progress: Progress | None = None,
) -> FitResult:
    """Run epochs until they are over, and put the chosen weights into the module.

    Parameters
    ----------
    learner : Learner
        Fresh, and alike each time.
    training, stopping : sequence of TrainingSubject
    settings : TrainingSettings
        Its ``epochs``, ``patience``, ``protocol``, ``watch`` and what sizes an epoch.
    folder : Path
        There already; one training's own.
    seed : int
    device : torch.device
    identity : str
        Of this training; see `training.fitting.state.identify`.
    state : TrainingState or None
        To go on from.
    progress : callable, optional
        Called after every batch; what it raises stops the work.

    Raises
    ------
    TrainingDivergedError
        If a loss is not finite.
    TrainingStateNotSavedError
        If a state cannot be saved.
    """
    session = _Session(learner, settings=settings, seed=seed, device=device, identity=identity)
    if state is not None:
        session.resume(state)
        if state.finished:
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
    return result


class _Session:
    """A training under way."""

    def __init__(
        self,
        learner: Learner[Any],
        *,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
        identity: str,
    ) -> None:
        self.records: list[EpochRecord] = []
        self._learner, self._settings, self._seed, self._device = learner, settings, seed, device
        self._identity = identity
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
        self._learner.module.load_state_dict(state.network)
        restore_moments(self._learner.module, self._learner.optimiser, state.moments)
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
            precision=self._learner.precision,
            machine=self._machine,
            network=self._learner.module.state_dict(),
            best=self._best,
            moments={}
            if self._finished
            else optimiser_moments(self._learner.module, self._learner.optimiser),
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
            self._best = deepcopy(self._learner.module.state_dict())
        torch.manual_seed(torch_seed(seed=self._seed, epoch=epoch))
        self._learner.module.train()
        n_windows = len(training) * settings.windows_per_subject
        n_batches = -(-n_windows // settings.batch_size)
        total, seen = 0.0, 0
        for number, batch in enumerate(self._learner.batches(training, epoch=epoch), start=1):
            share_done = (epoch - 1 + (number - 1) / n_batches) / settings.epochs
            total += self._learner.step(batch, epoch=epoch, share_done=share_done)
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
            learning_rate=self._learner.learning_rate,
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
            self._learner.module.load_state_dict(self._best)
        self._best, self._finished = None, True
        self._learner.module.eval()
        return FitResult(
            best_epoch=best,
            epochs_run=len(self.records),
            seconds_per_epoch=float(np.mean([record.seconds for record in self.records])),
            peak_memory_bytes=self._peak_bytes,
            records=tuple(self.records),
            precision=self._learner.precision,
            machine=self._machine,
        )

    def _watch(self, stopping: Sequence[TrainingSubject], *, epoch: int) -> tuple[float | None, float | None]:
        if not stopping:
            return None, None
        logits = self._learner.logits(stopping)
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


def require_people(
    training: Sequence[TrainingSubject], stopping: Sequence[TrainingSubject], settings: TrainingSettings
) -> None:
    """Refuse too few people to train on, and a part to watch that the protocol does not have.

    Raises
    ------
    ValueError
    """
    if len(training) < 2:
        raise ValueError(f"expected at least 2 subjects to train on, found {len(training)}")
    found = len({subject.label for subject in stopping})
    expected = 2 if settings.protocol == "nested" and settings.inner_stopping else 0
    if found != expected:
        raise ValueError(
            f"expected subjects of {expected} classes to watch under {settings.protocol!r}, found {found}"
        )
