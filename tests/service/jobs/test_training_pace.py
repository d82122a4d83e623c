from typing import Any

from service.db.rows import FoldState, TrainingFoldRow
from service.jobs.training_pace import remaining_s

DONE = {"seconds_per_epoch": 2.0}


def fold(state: FoldState, *, progress: float = 0.0, **values: Any) -> TrainingFoldRow:
    return TrainingFoldRow(state=state, progress=progress, **values)


def running(left_s: float, progress: float) -> TrainingFoldRow:
    return fold(FoldState.TRAINING, progress=progress, figures={"remaining_s": left_s})


QUEUED = fold(FoldState.QUEUED)
ENCODING = fold(FoldState.TRAINING, figures={"remaining_s": None})


def test_nothing_is_known_before_the_first_pace() -> None:
    assert remaining_s([QUEUED, QUEUED], n_epochs=10, workers=2) is None
    assert remaining_s([ENCODING, QUEUED], n_epochs=10, workers=2) is None


def test_what_waits_takes_what_others_took_over_the_workers_that_are_there() -> None:
    done = fold(FoldState.SUCCEEDED, progress=1.0, outcome=DONE)
    assert remaining_s([done, QUEUED, QUEUED], n_epochs=10, workers=1) == 40.0
    assert remaining_s([done, QUEUED, QUEUED], n_epochs=10, workers=2) == 20.0
    assert remaining_s([done, QUEUED], n_epochs=10, workers=0) == 20.0


def test_a_running_fold_tells_its_own_pace_and_is_not_divided() -> None:
    # Half of it took 30 s, so a whole one takes 60.
    assert remaining_s([running(30.0, 0.5)], n_epochs=10, workers=4) == 30.0
    assert remaining_s([running(30.0, 0.5), QUEUED], n_epochs=10, workers=1) == 90.0
    assert remaining_s([running(30.0, 0.5), QUEUED], n_epochs=10, workers=4) == 60.0


def test_nothing_is_left_of_a_run_that_is_over() -> None:
    over = fold(FoldState.SUCCEEDED, progress=1.0, outcome=DONE)
    assert remaining_s([over, over], n_epochs=10, workers=1) == 0.0
