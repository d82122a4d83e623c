"""Whom a run's figures or a comparison of models report: a person that is reported must not be trained on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from service.cohorts import CohortNotUsableError
from service.db.rows import CohortRow, EvaluationSetRow, ScanRow, TrainingRunRow
from service.reviews import ConsentedPerson
from service.worker.runtime import Runtime
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan, read_index
from training.cohort.subjects import Subject, plain_id
from training.errors import CohortError


def without_reported(
    runtime: Runtime,
    row: TrainingRunRow,
    people: Sequence[ConsentedPerson],
    cohort: CohortStore,
    left_out: Counter[str],
) -> list[ConsentedPerson]:
    """Leave out whoever has a file or an id of the cohort, or of one that an evaluation set is taken from.

    On any scan of theirs that is kept here, and whether the cohort's person is selected, or in the set, or
    not.

    Parameters
    ----------
    runtime, row
        The run that is being planned.
    people : sequence of ConsentedPerson
    cohort : CohortStore
        The run's own.
    left_out : Counter of str
        Counts scans on: ``same_scan`` and ``same_id`` in the run's own cohort, ``compared_scan`` and
        ``compared_id`` in another that models are compared on.

    Raises
    ------
    CohortNotUsableError
        If it cannot be read now who is in a cohort of an evaluation set.
    """
    own = _Known.of([(cohort.subjects, cohort.scans)])
    compared = _Known.of(_compared_on(runtime))
    others = []
    for person in people:
        with runtime.sessions() as session:
            kept = select(ScanRow.sha256).where(
                ScanRow.organisation_id == row.organisation_id, ScanRow.subject_id.in_(person.pseudonyms)
            )
            files = {*session.scalars(kept), *(scan.sha256 for scan in person.scans)}
        ids = set(map(plain_id, person.pseudonyms))
        # In the order in which one is more certain than the next, the run's own cohort before others.
        found = {
            "same_scan": own.files & files,
            "compared_scan": compared.files & files,
            "same_id": own.ids & ids,
            "compared_id": compared.ids & ids,
        }
        why = next((name for name, shared in found.items() if shared), None)
        if why is None:
            others.append(person)
        else:
            left_out[why] += len(person.scans)
    return others


@dataclass(frozen=True)
class _Known:
    """Whom some cohorts hold: ids as `plain_id` writes them, and digests of the files of their scans."""

    ids: frozenset[str]
    files: frozenset[str]

    @classmethod
    def of(cls, cohorts: Sequence[tuple[Sequence[Subject], Sequence[StoredScan]]]) -> "_Known":
        return cls(
            ids=frozenset(plain_id(subject.subject_id) for subjects, _ in cohorts for subject in subjects),
            files=frozenset(scan.source_sha256 for _, scans in cohorts for scan in scans),
        )


def _compared_on(runtime: Runtime) -> list[tuple[tuple[Subject, ...], tuple[StoredScan, ...]]]:
    """Read who is in the cohorts of evaluation sets; their series may lie elsewhere."""
    of_sets = select(CohortRow.name, CohortRow.folder).join(
        EvaluationSetRow, EvaluationSetRow.cohort_id == CohortRow.id
    )
    with runtime.sessions() as session:
        cohorts = session.execute(of_sets.distinct()).all()
    found = []
    for name, folder in cohorts:
        try:
            _, _, subjects, scans = read_index(Path(folder))
        except CohortError as error:
            # Whom models are compared on cannot be told: to go on might be to train on them.
            raise CohortNotUsableError(name=name, found="out of reach") from error
        found.append((subjects, scans))
    return found
