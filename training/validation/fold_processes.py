"""Folds in processes of their own, a few at a time.

A child is told a run's folder and a fold's number, and tells its progress back through a pipe. It ends with
its parent: when nobody reads the pipe any more, its next word fails. All of it can be stopped at any moment,
because a fold goes on from its last whole epoch.
"""

import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import ClassVar

from model.predictor import Device
from training.errors import CohortError
from training.fitting.progress import FitProgress
from training.fitting.threads import on_threads
from training.validation.fold import ReportFold, train_fold

_STOP_PATIENCE_S = 10.0


class FoldProcessDiedError(CohortError):
    """A fold's process that ended without a word, most often killed for its memory."""

    code: ClassVar[str] = "fold_process_died"

    def __init__(self, *, fold: int, exit_status: int | None) -> None:
        self.fold = fold
        self.exit_status = exit_status
        hint = ""
        if exit_status == -signal.SIGKILL:
            hint = ", as when memory runs out (fewer processes or a smaller micro_batch may help)"
        super().__init__(
            f"expected the process of fold {fold} to finish, found it dead without a word, "
            f"exit status {exit_status}{hint}; the same command goes on"
        )


@dataclass(frozen=True)
class _Refused:
    """An error in a child, taken apart: ours have constructors that pickle cannot call."""

    kind: type[Exception]
    arguments: tuple[object, ...]
    attributes: dict[str, object]

    @classmethod
    def of(cls, error: Exception) -> "_Refused":
        return cls(type(error), error.args, dict(vars(error)))

    def error(self) -> Exception:
        error = self.kind.__new__(self.kind, *self.arguments)
        vars(error).update(self.attributes)
        return error


@dataclass(frozen=True)
class _Child:
    fold: int
    process: BaseProcess
    pipe: Connection


def train_folds(
    run: Path,
    folds: Sequence[int],
    *,
    cohort: Path,
    device: Device,
    processes: int,
    threads: int,
    progress: ReportFold | None = None,
    finished: Callable[[int], None] | None = None,
) -> None:
    """Train folds of one run, at most ``processes`` at a time, each in a process of its own.

    Parameters
    ----------
    run : Path
        A run's folder, begun.
    folds : sequence of int
        In the order in which they are started.
    cohort : Path
    device : "auto", "cpu" or "cuda"
    processes, threads : int
        Threads are those of each process.
    progress : callable, optional
        As in `train_fold`; called here, in the parent.
    finished : callable, optional
        Called as ``finished(fold)`` when a fold has come to its outcome.

    Raises
    ------
    CohortError
        What a fold's process raised; the others are stopped, and can be gone on with.
    FoldProcessDiedError
        If a process died without a word.
    """
    waiting, running = list(folds), list[_Child]()
    try:
        while waiting or running:
            while waiting and len(running) < processes:
                running.append(_start(run, waiting.pop(0), cohort=cohort, device=device, threads=threads))
            ready = wait([child.pipe for child in running])
            for child in [child for child in running if child.pipe in ready]:
                if _hear(child, progress):
                    continue
                running.remove(child)
                if finished is not None:
                    finished(child.fold)
    finally:
        for child in running:
            child.process.terminate()
        for child in running:
            child.process.join(_STOP_PATIENCE_S)
            child.process.kill()


def _hear(child: _Child, progress: ReportFold | None) -> bool:
    """Take one word of a child; False when it was its last and all is well."""
    try:
        word = child.pipe.recv()
    except EOFError as error:
        child.process.join(_STOP_PATIENCE_S)
        raise FoldProcessDiedError(fold=child.fold, exit_status=child.process.exitcode) from error
    if isinstance(word, FitProgress):
        if progress is not None:
            progress(child.fold, word)
        return True
    child.process.join()
    if isinstance(word, _Refused):
        raise word.error()
    return False


def _start(run: Path, fold: int, *, cohort: Path, device: Device, threads: int) -> _Child:
    spawn = get_context("spawn")
    receiver, sender = spawn.Pipe(duplex=False)
    task = {"run": run, "fold": fold, "cohort": cohort, "device": device, "threads": threads}
    process = spawn.Process(target=_work, args=(sender,), kwargs=task, daemon=True)
    process.start()
    sender.close()  # the child's end must be the only one, or its death would go unheard
    return _Child(fold, process, receiver)


def _work(pipe: Connection, *, run: Path, fold: int, cohort: Path, device: Device, threads: int) -> None:
    """Be a fold's process."""
    # Ctrl-C is sent to the whole group; the parent decides what becomes of its children.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # An orderly end: what a log's threads hold of the system is given back.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with suppress(BrokenPipeError), on_threads(threads):
        try:
            train_fold(run, fold, cohort=cohort, device=device, progress=lambda _, word: pipe.send(word))
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001 - told to the parent, which raises it
            pipe.send(_Refused.of(error))
        else:
            pipe.send(None)
