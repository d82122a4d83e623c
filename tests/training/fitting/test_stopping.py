from dataclasses import replace

import pytest

from training.fitting.settings import TrainingSettings
from training.fitting.stopping import chosen_epoch, is_over
from training.runs import EpochRecord


def settings(protocol, *, patience, **others):
    return TrainingSettings(protocol=protocol, patience=patience, **others)


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
    over = [is_over(records[:n], settings("nested", patience=3)) for n in range(6)]
    assert over == [False, False, False, False, False, True]
    assert chosen_epoch(records, settings("nested", patience=3)) == 2


def test_nested_keeps_the_lowest_where_the_limit_comes_first():
    records = history([0.9, 0.5, 0.7], watched="stopping_loss")
    assert chosen_epoch(records, settings("nested", patience=5)) == 2


def test_paper_goes_back_five_epochs_once_the_training_loss_has_not_fallen_for_five():
    losses = [0.7, 0.6, 0.5, 0.55, 0.54, 0.53, 0.52, 0.51]
    records = history(losses, watched="training_loss")
    assert not is_over(records[:7], settings("paper", patience=5))
    assert is_over(records, settings("paper", patience=5))
    assert chosen_epoch(records, settings("paper", patience=5)) == 8 - 5


def test_paper_has_nothing_to_go_back_from_where_the_limit_comes_first():
    records = history([0.7, 0.5, 0.6], watched="training_loss")
    assert chosen_epoch(records, settings("paper", patience=5)) == 3


@pytest.mark.parametrize(
    ("protocol", "watched", "other"),
    [("nested", "stopping_loss", "training_loss"), ("paper", "training_loss", "stopping_loss")],
)
def test_the_loss_that_is_not_watched_decides_nothing(protocol, watched, other):
    records = history([0.5, 0.4, 0.45, 0.46], watched=watched)
    changed = [replace(record, **{other: 9.0 - record.epoch}) for record in records]
    for part in (records, changed):
        assert [is_over(part[:n], settings(protocol, patience=2)) for n in range(5)] == [False] * 4 + [True]
        assert chosen_epoch(part, settings(protocol, patience=2)) == 2


def test_watching_the_auc_keeps_the_highest_whatever_the_loss_says():
    aucs, losses = [0.5, 0.7, 0.6, 0.7, 0.65], [0.5, 0.6, 0.7, 0.8, 0.9]
    records = [
        replace(record, stopping_auc=auc)
        for record, auc in zip(history(losses, watched="stopping_loss"), aucs, strict=True)
    ]
    by_auc = settings("nested", patience=3, watch="auc")
    assert [is_over(records[:n], by_auc) for n in range(6)] == [False] * 5 + [True]
    assert chosen_epoch(records, by_auc) == 2
    assert chosen_epoch(records, settings("nested", patience=3)) == 1


def test_where_nobody_is_watched_every_epoch_is_run_and_the_last_weights_are_kept():
    records = history([None] * 9, watched="stopping_loss")
    unwatched = settings("nested", patience=1, inner_stopping=0.0)
    assert not is_over(records, unwatched)
    assert chosen_epoch(records, unwatched) == 9


def test_the_published_protocol_watches_no_auc():
    with pytest.raises(ValueError, match="'loss' under the protocol 'paper'"):
        settings("paper", patience=5, watch="auc")
