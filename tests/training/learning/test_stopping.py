from dataclasses import replace

import pytest

from training.learning.stopping import chosen_epoch, is_over
from training.runs import EpochRecord


def history(losses, *, watched):
    other = {"training_loss": 1.0, "stopping_loss": 1.0 if watched == "training_loss" else None}
    return [
        EpochRecord(
            epoch=epoch, stopping_auc=None, learning_rate=1e-4, seconds=1.0, **(other | {watched: loss})
        )
        for epoch, loss in enumerate(losses, start=1)
    ]


def test_nested_stops_after_patience_without_a_lower_loss_and_keeps_the_lowest():
    losses = [0.9, 0.5, 0.7, 0.6, 0.5]
    records = history(losses, watched="stopping_loss")
    over = [is_over(records[:n], protocol="nested", patience=3) for n in range(6)]
    assert over == [False, False, False, False, False, True]
    assert chosen_epoch(records, protocol="nested", patience=3) == 2


def test_nested_keeps_the_lowest_where_the_limit_comes_first():
    records = history([0.9, 0.5, 0.7], watched="stopping_loss")
    assert chosen_epoch(records, protocol="nested", patience=5) == 2


def test_paper_goes_back_five_epochs_once_the_training_loss_has_not_fallen_for_five():
    losses = [0.7, 0.6, 0.5, 0.55, 0.54, 0.53, 0.52, 0.51]
    records = history(losses, watched="training_loss")
    assert not is_over(records[:7], protocol="paper", patience=5)
    assert is_over(records, protocol="paper", patience=5)
    assert chosen_epoch(records, protocol="paper", patience=5) == 8 - 5


def test_paper_has_nothing_to_go_back_from_where_the_limit_comes_first():
    records = history([0.7, 0.5, 0.6], watched="training_loss")
    assert chosen_epoch(records, protocol="paper", patience=5) == 3


@pytest.mark.parametrize(
    ("protocol", "watched", "other"),
    [("nested", "stopping_loss", "training_loss"), ("paper", "training_loss", "stopping_loss")],
)
def test_the_loss_that_is_not_watched_decides_nothing(protocol, watched, other):
    records = history([0.5, 0.4, 0.45, 0.46], watched=watched)
    changed = [replace(record, **{other: 9.0 - record.epoch}) for record in records]
    for part in (records, changed):
        assert [is_over(part[:n], protocol=protocol, patience=2) for n in range(5)] == [False] * 4 + [True]
        assert chosen_epoch(part, protocol=protocol, patience=2) == 2
