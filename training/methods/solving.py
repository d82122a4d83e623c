"""Methods that are solved at once: features of every training scan, then one linear fit."""

from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float32, Float64

from imaging.regions import Regions
from model.methods.building import build_linear, count_voxels
from model.methods.catalogue import Method
from model.methods.linear import LinearModel
from model.methods.tangent import shrunk_covariance
from training.classical.linear import FittedWeights, fit_linear_svm, fit_logistic, fit_ridge_features
from training.classical.multiple_kernels import fit_multiple_kernels
from training.classical.shapes import Labels
from training.classical.tangent import fit_tangent_space
from training.fitting.machine import Machine
from training.fitting.peak_memory import forget_peak, peak_memory_bytes
from training.fitting.prepared import TrainingSubject
from training.fitting.progress import FitProgress, FitResult, Progress
from training.run_files import write_rows
from training.runs import EPOCHS_FILE, EpochRecord

PeopleFeatures = Float32[np.ndarray, "S F"]
Weights = tuple[Float64[np.ndarray, " F"], float]
"""One a feature, and the intercept: the logit of a case is their sum."""


def solve(
    method: Method,
    training: Sequence[TrainingSubject],
    *,
    regions: Regions | None,
    folder: Path,
    seed: int,
    progress: Progress | None = None,
) -> tuple[LinearModel, FitResult]:
    """Fit a linear method to people.

    Parameters
    ----------
    method : Method
        One with features.
    training : sequence of TrainingSubject
        Of both classes; nobody else's scan is read.
    regions : Regions or None
        Of a method that reads regions, or has learnt them.
    folder : Path
        Gets the table of epochs, which has one.
    seed : int
        Of the inner parts that penalties are chosen on.
    progress : callable, optional
        Called after every subject that was read.
    """
    began, device = perf_counter(), torch.device("cpu")
    forget_peak(device)
    grid_size = training[0].spec.grid_size
    model = build_linear(method, grid_size=grid_size, n_regions=0 if regions is None else len(regions))
    if regions is not None:
        model.carry(regions, n_voxels=count_voxels(grid_size))
    labels = np.array([subject.label for subject in training])
    if model.whitening is not None:
        model.whitening = _whitening(model.regions(), training)
    features = _read(model, training, progress=progress)
    weight, intercept = _SOLVERS[method.name](features, labels, seed, model.widths)
    model.weight = torch.from_numpy(weight.astype(np.float32))
    model.intercept = torch.tensor([intercept], dtype=torch.float32)
    logits = features @ weight + intercept
    record = EpochRecord(
        epoch=1,
        training_loss=float(np.mean(np.logaddexp(0, logits) - labels * logits)),
        stopping_loss=None,
        stopping_auc=None,
        learning_rate=0.0,
        seconds=perf_counter() - began,
    )
    folder.mkdir(parents=True, exist_ok=True)
    write_rows(folder / EPOCHS_FILE, [record], row_class=EpochRecord)
    return model, FitResult(
        best_epoch=1,
        epochs_run=1,
        seconds_per_epoch=record.seconds,
        peak_memory_bytes=peak_memory_bytes(device),
        records=(record,),
        precision=None,
        machine=Machine.here(device),
    )


def _read(
    model: LinearModel, subjects: Sequence[TrainingSubject], *, progress: Progress | None
) -> PeopleFeatures:
    """Give each subject's features, averaged over their scans."""
    rows = []
    for done, subject in enumerate(subjects, start=1):
        rows.append(np.mean([model.features_of(scan) for scan in subject.scans], axis=0))
        if progress is not None:
            progress(FitProgress.reading(done, n_scans=len(subjects), n_epochs=1))
    return np.array(rows, dtype=np.float32)


def _whitening(regions: Regions, subjects: Sequence[TrainingSubject]) -> torch.Tensor:
    """Find the midst of people, each the mean over their scans."""
    covariances = np.array(
        [
            np.mean([shrunk_covariance(scan.region_series(regions)) for scan in subject.scans], axis=0)
            for subject in subjects
        ]
    )
    return torch.from_numpy(fit_tangent_space(covariances).whitening.astype(np.float32))


def _weights_of(fitted: FittedWeights) -> Weights:
    return fitted.slope * fitted.weights, fitted.slope * fitted.intercept + fitted.lean


def _ridge(features: PeopleFeatures, labels: Labels, seed: int, _widths: Sequence[int]) -> Weights:
    return _weights_of(fit_ridge_features(features, labels, seed=seed))


def _logistic(features: PeopleFeatures, labels: Labels, seed: int, _widths: Sequence[int]) -> Weights:
    return _weights_of(fit_logistic(features, labels, seed=seed))


def _svm(features: PeopleFeatures, labels: Labels, seed: int, _widths: Sequence[int]) -> Weights:
    return _weights_of(fit_linear_svm(features, labels, seed=seed))


def _multiple_kernels(features: PeopleFeatures, labels: Labels, seed: int, widths: Sequence[int]) -> Weights:
    """Fit a kernel a feature; a weight that was not selected is 0."""
    edges = np.cumsum([0, *widths])
    fitted = fit_multiple_kernels(np.split(features, edges[1:-1], axis=1), labels, seed=seed)
    weight = np.zeros(features.shape[1])
    for begin, modality in zip(edges, fitted.modalities, strict=False):
        weight[begin + modality.selected] = modality.weights
    return fitted.slope * weight, fitted.slope * fitted.intercept + fitted.lean


_SOLVERS: dict[str, Callable[[PeopleFeatures, Labels, int, Sequence[int]], Weights]] = {
    "ridge-connectivity": _ridge,
    "logistic-connectivity": _logistic,
    "tangent-logistic": _logistic,
    "svm-reho": _svm,
    "svm-falff": _svm,
    "mkl": _multiple_kernels,
    "mkl-t1w": _multiple_kernels,
    "learned-regions": _ridge,
}
