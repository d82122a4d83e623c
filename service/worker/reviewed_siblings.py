"""Reviewed scans that another run of the same request has prepared: copied, and not prepared once more."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from model.files import replace_file
from service.db.rows import TrainingRunRow
from service.worker.runtime import Runtime
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.errors import CohortError
from training.runs import ADDED_FOLDER


@dataclass(frozen=True)
class Prepared:
    """A series in the folder of another run, and what stands in its index of the scan."""

    path: Path
    scan: StoredScan

    def copy_to(self, path: Path) -> bool:
        """Copy the series; False where it is gone since, as copies go when their run is over, or damaged."""
        try:
            content = self.path.read_bytes()
        except OSError:
            return False
        if hashlib.sha256(content).hexdigest() != self.scan.series_sha256:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, content)
        return True


def prepared_by_siblings(runtime: Runtime, row: TrainingRunRow, cohort: CohortStore) -> dict[str, Prepared]:
    """Find what the other runs of a request hold, by the digest of the file that was uploaded.

    Whose scans these are does not matter here: whoever is asked for by it has agreed by now.

    Parameters
    ----------
    runtime, row
        The run that is being planned.
    cohort : CohortStore
        What was prepared as it was is found.
    """
    others = select(TrainingRunRow.run_folder).where(
        TrainingRunRow.grid_id == row.grid_id,
        TrainingRunRow.id != row.id,
        TrainingRunRow.organisation_id == row.organisation_id,
    )
    with runtime.sessions() as session:
        folders = session.scalars(others.order_by(TrainingRunRow.created_at, TrainingRunRow.id)).all()
    found: dict[str, Prepared] = {}
    for folder in folders:
        try:
            store = CohortStore.open(Path(folder) / ADDED_FOLDER)
        except CohortError:
            continue  # not planned yet, or without anybody
        if store.spec == cohort.spec and store.simulated == cohort.simulated:
            for scan in store.scans:
                found.setdefault(scan.source_sha256, Prepared(store.folder / scan.series_file, scan))
    return found
