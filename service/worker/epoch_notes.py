"""Each whole epoch of a fold, on its row and in the log of its run, for people who watch from elsewhere."""

from dataclasses import asdict
from pathlib import Path

from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.rows import TrainingFoldRow, TrainingRunRow
from service.errors import as_json
from service.jobs.change import change, lock
from service.jobs.lease import held_by
from service.logs import get_logger
from training.run_files import RunFolderError, read_rows
from training.runs import EPOCHS_FILE, EpochRecord

# The newest epochs that a row keeps: a chart needs no more, and a row is read by every look at its run.
KEPT_EPOCHS = 500

log = get_logger(__name__)


class EpochNotes:
    """Reads what a fold's folder says of its epochs, and writes what is new of it into the database.

    The folder is the truth: a fold that another worker began brings its history with it. A database that is
    away costs a line of the log, never the fold.

    Parameters
    ----------
    sessions : sessionmaker
    row : TrainingFoldRow
        As claimed.
    owner : str
        Of its lease.
    run : Path
        The run's folder.
    """

    def __init__(self, sessions: sessionmaker[Session], row: TrainingFoldRow, owner: str, run: Path) -> None:
        self._sessions, self._row, self._owner, self._run = sessions, row, owner, run
        self._noted = 0

    def begin(self) -> None:
        """Note that the fold begins, or goes on from its last whole epoch, and whether its worker was lost.

        The epochs that a lost worker has written and not told are told before that.
        """
        told = self._row.epochs or ()
        self._noted = int(told[-1]["epoch"]) if told else 0
        self.catch_up()
        epochs = self._read()
        # A worker that stops in good order gives its attempt back, and one that puts a fold off says why.
        lost = self._row.attempts > 1 and self._row.error_code is None
        event = f"fold_{'taken_over' if lost else 'resumed'}" if epochs else f"fold_begun{'_again' * lost}"
        self._write(event, epochs, {"epoch": len(epochs)} if epochs else {})

    def see(self, epoch: int) -> None:
        """Note the epochs before the one that is being trained, where that is not done yet."""
        if epoch - 1 > self._noted:
            self.catch_up()

    def catch_up(self) -> None:
        """Note every epoch that the folder has and the log has not."""
        epochs = self._read()
        for at in range(self._noted, len(epochs)):
            if not self._write("epoch", epochs[: at + 1], as_json(asdict(epochs[at]))):
                return
            self._noted = at + 1

    def _read(self) -> list[EpochRecord]:
        name = f"folds/{self._row.fold}/{EPOCHS_FILE}"
        try:
            return read_rows(self._run, name, EpochRecord) if (self._run / name).exists() else []
        except (RunFolderError, OSError) as error:
            log.warning("epochs_not_read", fold_id=self._row.id, reason=type(error).__name__)
            return []

    def _write(self, event: str, epochs: list[EpochRecord], details: dict[str, object]) -> bool:
        kept = [as_json(asdict(epoch)) for epoch in epochs[-KEPT_EPOCHS:]]
        held = held_by(TrainingFoldRow, self._owner)
        try:
            with self._sessions.begin() as session:
                lock(session, TrainingRunRow, self._row.run_id)
                # Whoever lost the lease says nothing more: the next worker tells the same epochs.
                if change(session, TrainingFoldRow, self._row.id, held, {"epochs": kept}) is not None:
                    run = session.get_one(TrainingRunRow, self._row.run_id)
                    jobs.note(session, run, event, fold=self._row.fold, details=details)
        except DBAPIError as error:
            log.warning("epoch_not_noted", fold_id=self._row.id, reason=type(error).__name__)
            return False
        return True
