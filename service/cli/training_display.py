"""How far a training is, for people: on stderr, and only where they look."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.learning.fit import FitProgress
    from training.learning.settings import TrainingSettings


class FoldDisplay:
    """A line on stderr for each fold that ends, and, on a terminal, a live one for each under way."""

    def __init__(self, run: Path, settings: "TrainingSettings", *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._run, self._shown = run, shown
        self._name = f"{settings.network}-{settings.rnn}"
        console = Console(stderr=True)
        self._live = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[standing]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._rows: dict[int, Any] = {}

    @contextmanager
    def live(self) -> Iterator["FoldDisplay"]:
        """Show it while folds are trained."""
        with self._live:
            yield self

    def update(self, fold: int, progress: "FitProgress") -> None:
        """Take one `FitProgress`."""
        if fold not in self._rows:
            self._rows[fold] = self._live.add_task(self._title(fold), total=progress.n_epochs, standing="")
        done = progress.epoch - 1 + progress.batch / progress.n_batches
        self._live.update(self._rows[fold], completed=done, standing=standing(progress))

    def finish(self, fold: int) -> None:
        """Tell that a fold is done, now or already before."""
        from training.runs import read_outcome

        if fold in self._rows:
            self._live.remove_task(self._rows.pop(fold))
        if self._shown:
            outcome = read_outcome(self._run, fold)
            epochs = f"{outcome.epochs_run} epochs, weights of epoch {outcome.best_epoch}"
            self._live.console.print(
                f"{self._title(fold)} finished: {epochs}", highlight=False, soft_wrap=True
            )

    def _title(self, fold: int) -> str:
        from training.runs import read_run

        record = read_run(self._run)
        place = f"{fold + 1} of {len(record.fold_names)}"
        if record.split == "leave_site_out":
            place = f"{record.fold_names[fold]}, {place}"
        return f"{self._name} fold {place}"


def standing(progress: "FitProgress") -> str:
    """Say in a few words where a fold's training stands.

    Parameters
    ----------
    progress : FitProgress

    Returns
    -------
    str
        Epoch, losses, and how long it takes at most.
    """
    watched = "" if progress.stopping_loss is None else f", watched {progress.stopping_loss:.3f}"
    minutes, seconds = divmod(round(progress.remaining_s), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"epoch {progress.epoch}/{progress.n_epochs}, loss {progress.training_loss:.3f}{watched}, "
        f"at most {hours}:{minutes:02}:{seconds:02} left"
    )
