"""Copies of reviewed scans in the folders of runs: gone when the run is over, however it ended."""

import shutil
from pathlib import Path

from sqlalchemy.orm import Session, sessionmaker

from service.db.job import TERMINAL
from service.db.rows import TrainingRunRow
from service.logs import get_logger
from training.cohort.store.index import SERIES_FOLDER
from training.runs import ADDED_FOLDER

# Where they are prepared. Hidden: a run's folder may hold it before the run is begun.
STAGING = ".reviewed"

log = get_logger(__name__)


def discard_staging(run_folder: Path) -> None:
    """Remove what was prepared on the way, once the run has its own copy or will not get one."""
    shutil.rmtree(run_folder / STAGING, ignore_errors=True)


def remove_copies(sessions: sessionmaker[Session], runs_dir: Path) -> int:
    """Remove the copies of reviewed scans from the folders of runs that are over, however they ended.

    What tells whom a run was trained on stays: digests, diagnoses, ages, sexes and sites, under numbers.

    Returns
    -------
    int
        From how many folders.
    """
    copies: dict[str, list[Path]] = {}
    for kept in (f"{ADDED_FOLDER}/{SERIES_FOLDER}", STAGING):
        for path in runs_dir.glob(f"*/{kept}"):
            run = path.relative_to(runs_dir).parts[0]
            copies.setdefault(run, []).append(path)
    removed = 0
    for run_id, paths in copies.items():
        with sessions() as session:
            row = session.get(TrainingRunRow, run_id)
            # Of a run that this database does not know, another one may.
            over = row is not None and row.state in TERMINAL
        if over:
            for path in paths:
                shutil.rmtree(path)
            removed += 1
    if removed:
        log.info("reviewed_copies_removed", runs=removed)
    return removed
