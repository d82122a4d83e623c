"""When to stop, and whose weights to keep: read off the history of epochs, under either protocol.

nested
    An inner part, never trained on, is watched: its loss, or its AUC. The best epoch's weights are kept.
    Where nobody is kept apart for it, every epoch is run and the last weights are kept.
paper
    The training loss is watched. After ``patience`` epochs without a lower one, training stops and takes the
    weights from that many epochs before, which are those of the lowest loss. Where the limit of epochs comes
    first there is nothing to go back from: the last weights are kept.
"""

from collections.abc import Sequence

from training.fitting.settings import TrainingSettings
from training.runs import EpochRecord


def watched_values(records: Sequence[EpochRecord], settings: TrainingSettings) -> list[float]:
    """Give for each epoch what decides when to stop, the lower the better; nothing where nothing does."""
    if settings.protocol == "paper":
        return [record.training_loss for record in records]
    if settings.watch == "auc":
        return [-record.stopping_auc for record in records if record.stopping_auc is not None]
    return [record.stopping_loss for record in records if record.stopping_loss is not None]


def best_epoch(records: Sequence[EpochRecord], settings: TrainingSettings) -> int:
    """Give the first epoch, from 1, with the best watched value; the last where nothing is watched."""
    values = watched_values(records, settings)
    return values.index(min(values)) + 1 if values else len(records)


def is_over(records: Sequence[EpochRecord], settings: TrainingSettings) -> bool:
    """Say whether what is watched has not become better for ``patience`` epochs."""
    return len(records) - best_epoch(records, settings) >= settings.patience


def chosen_epoch(records: Sequence[EpochRecord], settings: TrainingSettings) -> int:
    """Give the epoch, from 1, whose weights are kept once training has ended."""
    if settings.protocol == "paper" and not is_over(records, settings):
        return len(records)
    return best_epoch(records, settings)
