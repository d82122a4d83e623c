"""Fit one network: epochs until what is watched gets no better, saved after each, so that a kill costs one.

Called again on the same folder with the same subjects and settings, it goes on where it stopped, and on a CPU
it ends with bitwise the weights that an uninterrupted training ends with.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64

from imaging import PreprocessingSpec
from model.networks import RestNetwork
from training.fitting.batches import PackedBatch, packed_batches
from training.fitting.frozen import encode_subjects, remove_features, settle_normalisation
from training.fitting.logits import encoded_logits, subject_logits
from training.fitting.peak_memory import forget_peak
from training.fitting.precision import Used, is_bfloat16_right
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitProgress, FitResult, Progress
from training.fitting.session import learn, require_people
from training.fitting.settings import TrainingSettings
from training.fitting.state import STATE_FILE, TrainingState, TrainingStateError, identify, load_state
from training.fitting.steps import Stepper


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
    require_people(training, stopping, settings)
    folder.mkdir(parents=True, exist_ok=True)
    forget_peak(device)
    network.to(device)
    identity = identify(settings, seed=seed, training=training, stopping=stopping)
    state = load_state(folder / STATE_FILE, identity=identity)
    learner = _NetworkLearner(
        network,
        settings=settings,
        spec=training[0].spec,
        seed=seed,
        device=device,
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
    result = learn(
        learner,
        training,
        stopping=stopping,
        settings=settings,
        folder=folder,
        seed=seed,
        device=device,
        identity=identity,
        state=state,
        progress=progress,
    )
    remove_features(folder)
    return result


class _NetworkLearner:
    """A network of the eight under training."""

    def __init__(
        self,
        network: RestNetwork,
        *,
        settings: TrainingSettings,
        spec: PreprocessingSpec,
        seed: int,
        device: torch.device,
        begun_in: Used | None,
    ) -> None:
        self.module = network
        self._stepper = Stepper(network, settings=settings, spec=spec, device=device, begun_in=begun_in)
        self._settings, self._seed, self._device = settings, seed, device

    @property
    def optimiser(self) -> torch.optim.Optimizer:
        return self._stepper.optimiser

    @property
    def precision(self) -> Used:
        return self._stepper.precision

    @property
    def learning_rate(self) -> float:
        return self._stepper.learning_rate

    def batches(self, people: Sequence[TrainingSubject], *, epoch: int) -> Iterator[PackedBatch]:
        pin = self._device.type == "cuda"
        return packed_batches(people, settings=self._settings, seed=self._seed, epoch=epoch, pin=pin)

    def step(self, batch: PackedBatch, *, epoch: int, share_done: float) -> float:
        return self._stepper.step(batch, epoch=epoch, share_done=share_done)

    def logits(self, people: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        score = encoded_logits if self._settings.encoder == "frozen" else subject_logits
        return score(self.module, people, device=self._device)


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
