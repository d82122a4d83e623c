"""Train while being killed again and again, and then in peace: run by test_fit.py.

The process imports torch once and forks every training, so that a kill costs a fraction of a second. The
forked processes compute on one thread and the parent never does, so no lock is held across a fork.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch._dynamo  # an optimiser loads it, for seconds: once here instead of in every fork

sys.path.insert(0, str(Path(__file__).parents[3]))

from model.networks import RestNetwork
from tests.training.fitting.toy_cohort import toy_subjects
from training.fitting import events, fit, state
from training.fitting.settings import TrainingSettings

NESTED = TrainingSettings(
    network="D",
    rnn="lstm",
    width=1,
    epochs=6,
    patience=3,
    batch_size=2,
    learning_rate=3e-3,
    feature_norm="batch",
    noise_sd=0.2,
    frame_dropout=0.2,
    schedule="cosine",
)
PAPER = NESTED.model_copy(update={"protocol": "paper", "epochs": 5, "micro_batch": 1})


def train(folder: Path, settings: TrainingSettings, progress: Callable[[fit.FitProgress], None]) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    stopping = toy_subjects(2, seed=1, turned=True) if settings.protocol == "nested" else []
    fit.fit(
        RestNetwork(settings),
        toy_subjects(4),
        stopping=stopping,
        settings=settings,
        folder=folder,
        seed=7,
        device=torch.device("cpu"),
        progress=progress,
    )


def say(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def kill_myself() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def amid_an_epoch(epoch: int, batch: int) -> Callable[[fit.FitProgress], None]:
    def progress(now: fit.FitProgress) -> None:
        if (now.epoch, now.batch) == (epoch, batch):
            kill_myself()

    return progress


def amid_saving(epoch: int) -> Callable[[fit.FitProgress], None]:
    """Leave half a file where the state is written."""
    whole = state.save_file

    def half(tensors: dict[str, torch.Tensor], path: Path, *, metadata: dict[str, str]) -> None:
        whole(tensors, path, metadata)
        if reached:
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
            kill_myself()

    reached: list[int] = []
    state.save_file = half
    return lambda now: reached.append(epoch) if now.epoch == epoch else None


def between_state_and_log(epoch: int) -> Callable[[fit.FitProgress], None]:
    whole = events.EpochLog.write

    def write(log: events.EpochLog, history: list) -> None:
        if len(history) == epoch:
            kill_myself()
        whole(log, history)

    events.EpochLog.write = write
    return lambda _now: None


def forked(work: Callable[[], None], *, killed_after_s: float | None = None) -> bool:
    """Run in a process of its own; says whether it came to its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            # Reached in peace or by an exception, which Python prints; never by a kill.
            sys.excepthook(*sys.exc_info()) if sys.exc_info()[0] else None
            os._exit(1 if sys.exc_info()[0] else 0)
    if killed_after_s is not None:
        time.sleep(killed_after_s)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status) != 0:
        sys.exit("a training failed instead of being killed")
    if os.WIFSIGNALED(status):
        say("killed")
    return os.WIFEXITED(status)


def finish(folder: Path, settings: TrainingSettings) -> tuple[dict[str, torch.Tensor], list]:
    while not forked(lambda: train(folder, settings, lambda _now: None)):
        pass
    identity = state.identify(
        settings,
        seed=7,
        training=toy_subjects(4),
        stopping=toy_subjects(2, seed=1, turned=True) if settings.protocol == "nested" else [],
    )
    saved = state.load_state(folder / state.STATE_FILE, identity=identity)
    assert saved is not None
    assert saved.finished
    return saved.network, [(r.epoch, r.training_loss, r.stopping_loss) for r in saved.records]


MOMENTS = {
    "nested": [
        lambda: amid_an_epoch(1, 1),
        lambda: amid_saving(1),
        lambda: amid_an_epoch(2, 2),
        lambda: between_state_and_log(2),
        lambda: amid_saving(4),
    ],
    "paper": [lambda: amid_saving(2), lambda: amid_an_epoch(3, 2), lambda: between_state_and_log(4)],
}


def at_awkward_moments(folder: Path, settings: TrainingSettings) -> None:
    for moment in MOMENTS[settings.protocol]:
        forked(lambda moment=moment: train(folder, settings, moment()))


def at_random_times(folder: Path, settings: TrainingSettings) -> None:
    """How many of these kills come before the end depends on the machine."""
    generator = np.random.default_rng(5)
    for after_s in generator.uniform(0.05, 0.5, size=4):
        forked(lambda: train(folder, settings, lambda _now: None), killed_after_s=float(after_s))


def main(out: Path) -> None:
    for settings in (NESTED, PAPER):
        expected, uninterrupted = finish(out / f"{settings.protocol}-in-peace", settings)
        for interrupt in (at_awkward_moments, at_random_times):
            cut = out / f"{settings.protocol}-{interrupt.__name__}"
            interrupt(cut, settings)
            weights, history = finish(cut, settings)
            assert history == uninterrupted, (history, uninterrupted)
            assert weights.keys() == expected.keys()
            assert all(torch.equal(weights[key], expected[key]) for key in expected)
            assert not list(cut.glob("*.partial"))
            assert len(list(cut.glob("events.out.tfevents.*"))) == 1
    say("the same")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
