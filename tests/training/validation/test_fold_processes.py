import os
import pickle
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest

from training.cohort.store.index import CohortNotFoundError
from training.fitting.progress import FitProgress
from training.fitting.steps import TrainingDivergedError
from training.run_files import RunFolderError
from training.validation.fold_processes import FoldProcessDiedError, _Child, _hear, _Refused, train_folds
from training.validation.run_folder import RunDiffersError

PROGRESS = FitProgress(
    epoch=1, n_epochs=2, batch=1, n_batches=3, training_loss=0.7, stopping_loss=None, remaining_s=9.0
)
ERRORS = [
    RunDiffersError(name="run", differences=[{"field": "seed", "expected": 1, "found": 2}]),
    TrainingDivergedError(epoch=3, loss="training", found=float("nan")),
    CohortNotFoundError(name="cohort", found="nothing"),
    ValueError("a fault of ours"),
]


@pytest.fixture
def child():
    """A child that says what the test says, and the end of the pipe to say it with."""
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    process = get_context("spawn").Process(target=os.getpid)
    process.start()
    yield _Child(7, process, receiver), sender
    process.join()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_of_a_child_is_raised_here_as_it_was_there(error, child):
    listened, sender = child
    sender.send(_Refused.of(error))
    with pytest.raises(type(error)) as raised:
        _hear(listened, None)
    assert str(raised.value) == str(error)
    assert vars(raised.value) == vars(error)


def test_every_error_can_cross_a_pipe():
    for error in ERRORS:
        crossed = pickle.loads(pickle.dumps(_Refused.of(error))).error()  # noqa: S301 - our own bytes
        assert (type(crossed), str(crossed)) == (type(error), str(error))


def test_progress_is_passed_on_with_its_fold_and_a_last_word_ends_it(child):
    listened, sender = child
    heard = []
    sender.send(PROGRESS)
    sender.send(None)
    assert _hear(listened, lambda fold, progress: heard.append((fold, progress)))
    assert not _hear(listened, None)
    assert heard == [(7, PROGRESS)]


@pytest.mark.parametrize(("killed", "told"), [(True, "memory"), (False, "exit status 3;")])
def test_a_child_that_dies_without_a_word_is_told(killed, told):
    receiver, sender = get_context("spawn").Pipe(duplex=False)
    target, argument = (signal.sigwait, [signal.SIGUSR1]) if killed else (os._exit, 3)
    process = get_context("spawn").Process(target=target, args=(argument,))
    process.start()
    if killed:
        process.kill()
    sender.close()
    with pytest.raises(FoldProcessDiedError, match=told) as died:
        _hear(_Child(2, process, receiver), None)
    assert died.value.fold == 2


@pytest.mark.slow
def test_a_refusal_in_a_process_of_its_own_ends_them_all(tmp_path):
    with pytest.raises(RunFolderError, match=r"run\.json"):
        train_folds(tmp_path, [0, 1], cohort=Path("nowhere"), device="cpu", processes=2, threads=1)
