"""About how long a training run still takes, from what its folds took so far."""

from collections.abc import Sequence
from statistics import fmean

from service.db.rows import FoldState, TrainingFoldRow


def remaining_s(folds: Sequence[TrainingFoldRow], *, n_epochs: int | None, workers: int) -> float | None:
    """Estimate the seconds until the last fold is trained, if none stops early and nobody else trains.

    Parameters
    ----------
    folds : sequence of TrainingFoldRow
        All of a run.
    n_epochs : int or None
        The limit of epochs of each.
    workers : int
        That train folds now; none counts as one.

    Returns
    -------
    float or None
        None before the first epoch of any fold has told its pace; 0 when all are over.
    """
    whole_s = _whole_fold_s(folds, n_epochs=n_epochs)
    running_s = [left for fold in folds if (left := _left_s(fold, whole_s)) is not None]
    n_training = sum(fold.state == FoldState.TRAINING for fold in folds)
    n_queued = sum(fold.state == FoldState.QUEUED for fold in folds)
    if (n_queued and whole_s is None) or len(running_s) < n_training:
        return None
    total_s = sum(running_s) + n_queued * (whole_s or 0.0)
    # The folds are not divided among workers: whatever the sum, the longest of them takes its time.
    longest_s = max([*running_s, *([whole_s or 0.0] if n_queued else [])], default=0.0)
    return max(total_s / max(workers, 1), longest_s)


def _left_s(fold: TrainingFoldRow, whole_s: float | None) -> float | None:
    if fold.state != FoldState.TRAINING:
        return None
    left = (fold.figures or {}).get("remaining_s")
    return float(left) if left is not None else whole_s


def _whole_fold_s(folds: Sequence[TrainingFoldRow], *, n_epochs: int | None) -> float | None:
    """Give the time of a fold with all its epochs, by those whose pace is known."""
    known = []
    for fold in folds:
        if fold.outcome is not None and n_epochs is not None:
            known.append(float(fold.outcome["seconds_per_epoch"]) * n_epochs)
        left = (fold.figures or {}).get("remaining_s") if fold.state == FoldState.TRAINING else None
        if left is not None and fold.progress < 1.0:
            known.append(float(left) / (1.0 - fold.progress))
    return fmean(known) if known else None
