"""One fold's model, whatever its method: what cross-validation asks of it, and how it comes about."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from imaging import PreprocessingSpec
from imaging.regions import Regions
from model.methods.building import build_method, count_voxels
from model.methods.catalogue import METHODS, Method
from model.methods.module_model import ModuleModel
from model.methods.recipes import recipe_of
from model.methods.scan_model import ScanModel
from model.networks import RestNetwork
from training.evidence.calibration import Scaling
from training.fitting.fit import fit
from training.fitting.logits import subject_logits
from training.fitting.peak_memory import forget_peak, peak_memory_bytes
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitProgress, FitResult, Progress
from training.fitting.settings import TrainingSettings
from training.methods.learning_regions import hold_region_series, learn_regions
from training.methods.logits import people_logits
from training.methods.solving import solve
from training.methods.stepping import fit_module


class FoldModel(Protocol):
    """A model that was fitted to a fold's training people."""

    def logits(self, subjects: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        """Give each subject's logit: the mean over the windows of all their scans."""
        ...

    def build_in(self, scaling: Scaling) -> None:
        """Let it give calibrated logits, so that the folds' models share a zero and a scale."""
        ...

    def weights(self) -> dict[str, Tensor]:
        """Give what a checkpoint holds of it."""
        ...


def fit_model(
    settings: TrainingSettings,
    training: Sequence[TrainingSubject],
    *,
    stopping: Sequence[TrainingSubject],
    regions: Regions | None,
    folder: Path,
    first_weights_seed: int,
    seed: int,
    device: torch.device,
    progress: Progress | None = None,
) -> tuple[FoldModel, FitResult]:
    """Fit a fold's model, or go on with what the folder holds of it.

    Parameters
    ----------
    settings : TrainingSettings
        Its ``method`` says what is fitted.
    training, stopping : sequence of TrainingSubject
        As for `training.fitting.fit.fit`; nobody else's scan is read.
    regions : Regions or None
        Of a method that reads regions.
    folder : Path
    first_weights_seed, seed : int
        Of the first weights, and of everything else that is drawn.
    device : torch.device
    progress : callable, optional

    Raises
    ------
    CohortError
        As `fit` and `solve` do.
    """
    if settings.method == "network":
        network = _fresh_network(settings, seed=first_weights_seed)
        result = fit(
            network,
            training,
            stopping=stopping,
            settings=settings,
            folder=folder,
            seed=seed,
            device=device,
            progress=progress,
        )
        return _NetworkModel(network, device), result
    method = METHODS[settings.method]
    if not method.n_learned_regions:
        return _fit_other(
            settings,
            training,
            stopping=stopping,
            regions=regions,
            folder=folder,
            first_weights_seed=first_weights_seed,
            seed=seed,
            device=device,
            progress=progress,
        )
    began = perf_counter()
    forget_peak(device)
    learned = _learn_regions(method, training, n_epochs=settings.epochs, progress=progress)
    took_s, peak = perf_counter() - began, peak_memory_bytes(device)
    model, result = _fit_other(
        settings,
        hold_region_series(training),
        stopping=hold_region_series(stopping),
        regions=learned,
        folder=folder,
        first_weights_seed=first_weights_seed,
        seed=seed,
        device=device,
        progress=progress,
    )
    # What it cost to find the regions is part of what the training cost.
    return model, replace(
        result,
        seconds_per_epoch=result.seconds_per_epoch + took_s / result.epochs_run,
        peak_memory_bytes=max(result.peak_memory_bytes, peak),
    )


def _fit_other(
    settings: TrainingSettings,
    training: Sequence[TrainingSubject],
    *,
    stopping: Sequence[TrainingSubject],
    regions: Regions | None,
    folder: Path,
    first_weights_seed: int,
    seed: int,
    device: torch.device,
    progress: Progress | None,
) -> tuple["_OtherModel", FitResult]:
    """Fit what is none of the eight networks, on regions that are known by now."""
    method = METHODS[settings.method]
    if method.is_linear:
        solved, result = solve(method, training, regions=regions, folder=folder, seed=seed, progress=progress)
        return _OtherModel(solved, method), result
    model = _fresh_model(settings, regions, spec=training[0].spec, seed=first_weights_seed)
    result = fit_module(
        model,
        training,
        stopping=stopping,
        recipe=recipe_of(settings.method),
        settings=settings,
        folder=folder,
        seed=seed,
        device=device,
        progress=progress,
    )
    return _OtherModel(model, method), result


def _learn_regions(
    method: Method, training: Sequence[TrainingSubject], *, n_epochs: int, progress: Progress | None
) -> Regions:
    """Let the training people's scans show the regions of this fold."""

    def tell(done: int) -> None:
        if progress is not None:
            progress(FitProgress.reading(done, n_scans=len(training), n_epochs=n_epochs))

    return learn_regions(training, n_regions=method.n_learned_regions, progress=tell)


class _NetworkModel:
    """A network of the eight."""

    def __init__(self, network: RestNetwork, device: torch.device) -> None:
        self._network, self._device = network, device

    def logits(self, subjects: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        return subject_logits(self._network, subjects, device=self._device)

    @torch.no_grad()
    def build_in(self, scaling: Scaling) -> None:
        self._network.head.bias.sub_(scaling.offset).div_(scaling.temperature)
        self._network.head.weight.div_(scaling.temperature)

    def weights(self) -> dict[str, Tensor]:
        return _weights(self._network)


class _OtherModel:
    """A model that reads one scan after the other."""

    def __init__(self, model: ScanModel, method: Method) -> None:
        self._model, self._method = model.eval(), method

    def logits(self, subjects: Sequence[TrainingSubject]) -> Float64[np.ndarray, " S"]:
        own = bool(self._method.n_learned_regions)
        return people_logits(self._model, hold_region_series(subjects) if own else subjects)

    @torch.no_grad()
    def build_in(self, scaling: Scaling) -> None:
        self._model.build_in(offset=scaling.offset, temperature=scaling.temperature)

    def weights(self) -> dict[str, Tensor]:
        return _weights(self._model)


def _weights(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: tensor.cpu().contiguous() for name, tensor in module.state_dict().items()}


def _fresh_network(settings: TrainingSettings, *, seed: int) -> RestNetwork:
    """Draw a network's first weights, and leave torch's generator as it was."""
    # They are drawn on the CPU: torch.manual_seed would seed every GPU's generator as well.
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        return RestNetwork(settings)


def _fresh_model(
    settings: TrainingSettings, regions: Regions | None, *, spec: PreprocessingSpec, seed: int
) -> ModuleModel:
    """Draw a module's first weights, and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        model = build_method(
            settings.method, grid_size=spec.grid_size, n_regions=0 if regions is None else len(regions)
        )
    if not isinstance(model, ModuleModel):
        raise TypeError(f"expected a method that learns in epochs, found {settings.method!r}")
    if regions is not None:
        model.carry(regions, n_voxels=count_voxels(spec.grid_size))
    return model
