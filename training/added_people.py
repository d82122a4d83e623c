"""People who were trained on beside a run's own: what its folder says of them, for whoever reads runs."""

from pathlib import Path
from typing import ClassVar

from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import read_index
from training.errors import CohortError
from training.runs import ADDED_FOLDER, RunRecord


class AddedPeopleGoneError(CohortError):
    """A run whose added people are not in its folder any more."""

    code: ClassVar[str] = "added_people_gone"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(
            f"run {name!r}: expected the added people that it was planned with in its folder, found {found}; "
            "begin a new run"
        )


def added_index(run: Path, record: RunRecord) -> CohortStore | None:
    """Read who was added to a run; their series may be gone by now. None where nobody was.

    Raises
    ------
    AddedPeopleGoneError
        If the folder does not hold those whom the record speaks of.
    """
    if record.added is None:
        return None
    folder = run / ADDED_FOLDER
    try:
        index, spec, subjects, scans = read_index(folder)
    except CohortError as error:
        raise AddedPeopleGoneError(name=run.name, found="none that can be read") from error
    store = CohortStore(folder=folder, record=index, spec=spec, subjects=subjects, scans=scans)
    if store.fingerprint(subjects) != record.added.fingerprint:
        raise AddedPeopleGoneError(name=run.name, found="others")
    return store
