"""When to stop, and whose weights to keep: read off the history of losses, under either protocol.

nested
    The watched loss is that of an inner part, never trained on; the best epoch's weights are kept.
paper
    The watched loss is the training loss. After ``patience`` epochs without a lower one, training stops and
    takes the weights from that many epochs before, which are those of the lowest loss. Where the limit of
    epochs comes first there is nothing to go back from: the last weights are kept.
"""

from collections.abc import Sequence

from training.runs import EpochRecord, Protocol


def watched_losses(records: Sequence[EpochRecord], *, protocol: Protocol) -> list[float]:
    """Give the loss of each epoch that decides when to stop."""
    if protocol == "paper":
        return [record.training_loss for record in records]
    return [record.stopping_loss for record in records if record.stopping_loss is not None]


def lowest_epoch(records: Sequence[EpochRecord], *, protocol: Protocol) -> int:
    """Give the first epoch, from 1, with the lowest watched loss."""
    losses = watched_losses(records, protocol=protocol)
    return losses.index(min(losses)) + 1


def is_over(records: Sequence[EpochRecord], *, protocol: Protocol, patience: int) -> bool:
    """Say whether the watched loss has not fallen for ``patience`` epochs."""
    return bool(records) and len(records) - lowest_epoch(records, protocol=protocol) >= patience


def chosen_epoch(records: Sequence[EpochRecord], *, protocol: Protocol, patience: int) -> int:
    """Give the epoch, from 1, whose weights are kept once training has ended."""
    if protocol == "paper" and not is_over(records, protocol=protocol, patience=patience):
        return len(records)
    return lowest_epoch(records, protocol=protocol)
