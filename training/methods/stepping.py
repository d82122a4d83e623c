"""Methods that learn in epochs and are no network of the eight: a module, its input, and an optimiser."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, cos, pi
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional

from model.methods.module_model import ModuleModel
from model.published.training_recipes import TrainingRecipe
from model.shapes import Logits
from training.fitting.batches import PlannedWindow, plan_epoch
from training.fitting.kept_memory import kept_memory
from training.fitting.peak_memory import forget_peak
from training.fitting.precision import Used
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitResult, Progress
from training.fitting.session import learn, require_people
from training.fitting.settings import TrainingSettings
from training.fitting.state import STATE_FILE, identify, load_state
from training.fitting.steps import require_finite
from training.methods.logits import people_logits


@dataclass(frozen=True)
class InputBatch:
    """What the module is called with, with the labels of those whose it is."""

    inputs: tuple[Float[Tensor, "W ..."], ...]
    labels: Float[Tensor, " W"]


@kept_memory()
def fit_module(
    model: ModuleModel,
    training: Sequence[TrainingSubject],
    *,
    stopping: Sequence[TrainingSubject],
    recipe: TrainingRecipe,
    settings: TrainingSettings,
    folder: Path,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> FitResult:
    """Train a method's module in place, or go on with, or give again, what the folder holds.

    Parameters
    ----------
    model : ModuleModel
        Fresh, from the same seed each time.
    training, stopping : sequence of TrainingSubject
    recipe : TrainingRecipe
        Optimiser, momentum, halving and second loss; the rest is in the settings.
    settings : TrainingSettings
    folder : Path
    seed : int
    device : torch.device
    progress : callable, optional

    Raises
    ------
    TrainingDivergedError, TrainingStateError, TrainingStateNotSavedError, ValueError
        As `training.fitting.fit.fit`.
    """
    require_people(training, stopping, settings)
    folder.mkdir(parents=True, exist_ok=True)
    forget_peak(device)
    model.to(device)
    identity = identify(settings, seed=seed, training=training, stopping=stopping)
    return learn(
        _ModuleLearner(model, recipe=recipe, settings=settings, seed=seed, device=device),
        training,
        stopping=stopping,
        settings=settings,
        folder=folder,
        seed=seed,
        device=device,
        identity=identity,
        state=load_state(folder / STATE_FILE, identity=identity),
        progress=progress,
    )


class _ModuleLearner:
    """A method's module under training."""

    precision: Used = "float32"

    def __init__(
        self,
        model: ModuleModel,
        *,
        recipe: TrainingRecipe,
        settings: TrainingSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        self.module = model
        self._recipe, self._settings, self._seed, self._device = recipe, settings, seed, device
        self.optimiser = _optimiser(model, recipe=recipe, settings=settings)

    @property
    def learning_rate(self) -> float:
        return float(self.optimiser.param_groups[0]["lr"])

    def batches(self, people: Sequence[TrainingSubject], *, epoch: int) -> Iterator[InputBatch]:
        length = self._piece_length(people)
        plan = plan_epoch(people, settings=self._settings, seed=self._seed, epoch=epoch)
        for windows in _without_small_rest(plan, least=self._recipe.least_batch):
            generator = np.random.default_rng([self._seed, epoch, *(window.subject for window in windows)])
            inputs = [self._cut(people, window, length, generator) for window in windows]
            labels = torch.tensor([float(people[window.subject].label) for window in windows])
            # Of each kind of input one array, of all windows.
            stacked = tuple(torch.from_numpy(np.stack(kind)) for kind in zip(*inputs, strict=True))
            yield InputBatch(stacked, labels)

    def step(self, batch: InputBatch, *, epoch: int, share_done: float) -> float:
        self._set_learning_rate(epoch, share_done)
        self.optimiser.zero_grad(set_to_none=True)
        n_windows, total, minimised = len(batch.labels), 0.0, 0.0
        for part in np.array_split(np.arange(n_windows), self._n_parts(n_windows)):
            of_part = slice(part[0], part[-1] + 1)
            labels = batch.labels[of_part].to(self._device)
            logits, disagreement = self._answers([one[of_part].to(self._device) for one in batch.inputs])
            loss = functional.binary_cross_entropy_with_logits(logits, labels, reduction="sum")
            total += float(loss.detach())
            loss = loss + self._recipe.disagreement * len(labels) * disagreement
            minimised += float(loss.detach())
            (loss / n_windows).backward()  # type: ignore[no-untyped-call]
        require_finite(minimised, loss="training", epoch=epoch)
        self.optimiser.step()
        return total

    def _n_parts(self, n_windows: int) -> int:
        if self._settings.micro_batch is None:
            return 1
        # A part has as few as a step can be taken on, even where fewer are asked for.
        most = max(n_windows // self._recipe.least_batch, 1)
        return min(ceil(n_windows / self._settings.micro_batch), most)

    def _answers(self, inputs: list[Tensor]) -> tuple[Logits, Tensor | float]:
        if self._recipe.disagreement:
            return self.module.module.logits_and_disagreement(*inputs)  # type: ignore[operator,no-any-return]
        return self.module.module(*inputs), 0.0

    def logits(self, people: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        return people_logits(self.module.eval(), people)

    def _cut(
        self,
        people: Sequence[TrainingSubject],
        window: PlannedWindow,
        length: int,
        generator: np.random.Generator,
    ) -> tuple[np.ndarray, ...]:
        scan = people[window.subject].scans[window.scan]
        start = window.start
        if self.module.reads == "regions":
            start = int(generator.integers(len(scan.series) - length + 1))
        return self.module.inputs_of(scan, start=start, length=length)

    def _piece_length(self, people: Sequence[TrainingSubject]) -> int:
        """Say how many frames an input has: a window, or of series as many as every training scan has."""
        if self.module.reads != "regions":
            return people[0].spec.window_frames
        shortest = min(len(series) for person in people for series in person.series)
        return min(shortest, self._recipe.piece_frames or shortest)

    def _set_learning_rate(self, epoch: int, share_done: float) -> None:
        rate = self._settings.learning_rate
        if self._settings.schedule == "cosine":
            rate *= (1 + cos(pi * share_done)) / 2
        if self._recipe.halve_every:
            rate /= 2 ** ((epoch - 1) // self._recipe.halve_every)
        if self._recipe.cycle is not None:
            multiple, momentum = self._recipe.cycle.at(share_done)
            rate *= multiple
            for group in self.optimiser.param_groups:
                group["betas"] = (momentum, group["betas"][1])
        for group in self.optimiser.param_groups:
            group["lr"] = rate


def _without_small_rest(plan: list[list[PlannedWindow]], *, least: int) -> list[list[PlannedWindow]]:
    """Let the batch before have what is too few for a step of its own."""
    if len(plan) > 1 and len(plan[-1]) < least:
        return [*plan[:-2], [*plan[-2], *plan[-1]]]
    return plan


def _optimiser(
    model: ModuleModel, *, recipe: TrainingRecipe, settings: TrainingSettings
) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(model.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay)
    return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
