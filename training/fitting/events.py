"""A fold's history by epoch, for people and tools: a CSV file, and events that TensorBoard draws."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter

from training.run_files import write_rows
from training.runs import EPOCHS_FILE, EpochRecord

_EVENT_FILES = "events.out.tfevents.*"
_SCALARS = {
    "training_loss": "loss/training",
    "stopping_loss": "loss/stopping",
    "stopping_auc": "auc/stopping",
    "learning_rate": "learning_rate",
    "seconds": "seconds_per_epoch",
}


class EpochLog:
    """Writes each epoch where it can be watched while training goes on.

    What an earlier, killed process left is replaced by one event file that begins with the saved history, so
    an epoch never shows twice.

    Parameters
    ----------
    folder : Path
        Exists; holds nothing else's event files.
    history : sequence of EpochRecord
        The epochs so far.
    """

    def __init__(self, folder: Path, *, history: Sequence[EpochRecord]) -> None:
        self._folder = folder
        for stale in folder.glob(_EVENT_FILES):
            stale.unlink()
        self._events = SummaryWriter(str(folder))
        self._show(history)
        self._tabulate(history)

    def __enter__(self) -> "EpochLog":
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the event file."""
        self._events.close()

    def write(self, history: Sequence[EpochRecord]) -> None:
        """Add the last epoch of a history that has grown by one.

        Raises
        ------
        OSError
            If the disk is full.
        """
        self._show(history[-1:])
        self._tabulate(history)

    def _tabulate(self, history: Sequence[EpochRecord]) -> None:
        write_rows(self._folder / EPOCHS_FILE, history, row_class=EpochRecord)

    def _show(self, records: Sequence[EpochRecord]) -> None:
        for record in records:
            values = asdict(record)
            for name, tag in _SCALARS.items():
                if values[name] is not None:
                    self._events.add_scalar(tag, values[name], record.epoch)
        self._events.flush()
