"""How far a training is, for people: on stderr, and only where they look."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imaging.words import counted, printable

if TYPE_CHECKING:
    from training.fitting.fit import FitProgress
    from training.runs import FoldOutcome


class FoldDisplay:
    """A line on stderr for each fold that ends, and, on a terminal, a live one for each under way."""

    def __init__(self, *, shown: bool) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        self._shown = shown
        console = Console(stderr=True)
        self._live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[standing]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not (shown and console.is_terminal),
        )
        self._rows: dict[tuple[Path, int], Any] = {}

    @contextmanager
    def live(self) -> Iterator["FoldDisplay"]:
        """Show it while folds are trained."""
        with self._live:
            yield self

    def update(self, run: Path, fold: int, progress: "FitProgress") -> None:
        """Take one `FitProgress`."""
        row = self._rows.get((run, fold))
        if row is None:
            row = self._live.add_task(printable(title(run, fold)), total=progress.n_epochs, standing="")
            self._rows[run, fold] = row
        done = progress.share_done * progress.n_epochs
        self._live.update(row, completed=done, standing=standing(progress))

    def drop(self, run: Path, fold: int) -> None:
        """Take a fold's live line away: nobody is at it now."""
        row = self._rows.pop((run, fold), None)
        if row is not None:
            self._live.remove_task(row)

    def finish(self, run: Path, fold: int, outcome: "FoldOutcome") -> None:
        """Tell that a fold is done, now or already before."""
        self.drop(run, fold)
        epochs = counted(outcome.epochs_run, "epoch")
        self.note(f"{title(run, fold)} finished: {epochs}, weights of epoch {outcome.best_epoch}")

    def note(self, line: str) -> None:
        """Write a line above the live ones, where progress is shown."""
        if self._shown:
            self.say(line)

    def say(self, line: str, *, style: str | None = None) -> None:
        """Write a line that must be read, also where progress is not shown."""
        self._live.console.print(printable(line), style=style, highlight=False, markup=False, soft_wrap=True)


def title(run: Path, fold: int) -> str:
    """Name a fold as people count it, with what it is a fold of and, where one is left out, its site."""
    from training.runs import read_run

    record = read_run(run)
    place = f"{fold + 1} of {len(record.fold_names)}"
    if record.split == "leave_site_out":
        place = f"{record.fold_names[fold]}, {place}"
    return printable(f"{record.system} fold {place}")


def standing(progress: "FitProgress") -> str:
    """Say in a few words where a fold's training stands.

    Parameters
    ----------
    progress : FitProgress

    Returns
    -------
    str
        Epoch, losses, and how long it takes at most; before the first epoch, how many scans are encoded.
    """
    if progress.training_loss is None or progress.remaining_s is None:
        return f"encoding frames, scan {progress.batch}/{progress.n_batches}"
    watched = "" if progress.stopping_loss is None else f", watched {progress.stopping_loss:.3f}"
    minutes, seconds = divmod(round(progress.remaining_s), 60)
    hours, minutes = divmod(minutes, 60)
    return (
        f"epoch {progress.epoch}/{progress.n_epochs}, loss {progress.training_loss:.3f}{watched}, "
        f"at most {hours}:{minutes:02}:{seconds:02} left"
    )
