"""People who are trained on and never measured: chosen so that nobody of the cohort is among them.

They stand in no fold, so no fold can report, watch or calibrate on one of them: every fold's fitting part has
them beside its own people. A run keeps them as a small cohort in its folder, with exactly those who were
chosen, so that a fold needs nothing but the run and the cohort, on whatever machine it is trained.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from training.added_people import AddedPeopleGoneError, added_index
from training.cohort.store.cohort_store import CohortStore, stored_files
from training.cohort.store.index import COHORT_FILE
from training.cohort.store.views import view_scan
from training.cohort.store.writing import write_index
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.fitting.prepared import TrainingSubject
from training.runs import ADDED_FOLDER, AddedRecord, RunRecord, Split
from training.validation.folds import institution_of


class AddedPeopleDifferError(CohortError):
    """People to be added who are not described or prepared as the cohort is."""

    code: ClassVar[str] = "added_people_differ"

    def __init__(self, *, name: str, field: str, expected: str, found: str) -> None:
        self.name = name
        self.field = field
        self.expected = expected
        self.found = found
        super().__init__(
            f"people to be added of {name!r}: expected {field} {expected} as in the cohort, found {found}"
        )


@dataclass(frozen=True)
class Addition:
    """Who is added to every fold's fitting part, and who is not.

    Attributes
    ----------
    store : CohortStore
        That they are of.
    people : tuple of Subject
        Labelled, each with every scan of theirs.
    left_out : mapping of str to tuple of str
        Ids by why they are not among them: ``without_label``, ``same_scan`` or ``same_id`` as somebody of
        the cohort, ``site_unknown`` where sites are left out.
    """

    store: CohortStore
    people: tuple[Subject, ...]
    left_out: Mapping[str, tuple[str, ...]]

    def record(self) -> AddedRecord | None:
        """Say who they are together, for the run's record; None where there is nobody."""
        if not self.people:
            return None
        return AddedRecord(
            name=self.store.name,
            fingerprint=self.store.fingerprint(self.people),
            n_subjects=len(self.people),
            n_cases=sum(subject.label == 1 for subject in self.people),
        )


def choose_added(cohort: CohortStore, added: CohortStore, *, split: Split = "stratified") -> Addition:
    """Choose who may be added to the training on a cohort: nobody who might be one of its people.

    Compared is the whole cohort, also whom a selection leaves out: they may be kept for a last look. An id
    that both have may be one person under two preparations, and a file or series that both have is.

    Parameters
    ----------
    cohort : CohortStore
        That the folds are of.
    added : CohortStore
    split : "stratified" or "leave_site_out"
        Where an institution is left out, whoever may be of it must not be trained on: see
        :func:`added_to_fold`.

    Raises
    ------
    AddedPeopleDifferError
        If they were prepared in another way, are cases of another condition, or only one of the two is
        simulated.
    """
    _require_alike(cohort, added)
    known = {subject.subject_id for subject in cohort.subjects}
    digests = {digest for scan in cohort.scans for digest in (scan.series_sha256, scan.source_sha256)}
    people: list[Subject] = []
    left_out: dict[str, list[str]] = {}
    for subject in added.subjects:
        scans = added.scans_of(subject.subject_id)
        reason = None
        if subject.label is None:
            reason = "without_label"
        elif any(not digests.isdisjoint((scan.series_sha256, scan.source_sha256)) for scan in scans):
            reason = "same_scan"
        elif subject.subject_id in known:
            reason = "same_id"
        elif split == "leave_site_out" and not subject.site.strip():
            reason = "site_unknown"
        if reason is None:
            people.append(subject)
        else:
            left_out.setdefault(reason, []).append(subject.subject_id)
    return Addition(added, tuple(people), {reason: tuple(ids) for reason, ids in left_out.items()})


def keep_added(run: Path, addition: Addition) -> None:
    """Copy those who are added into a run's folder; what lies there whole stays.

    Raises
    ------
    CohortError
        If a series is damaged.
    OSError
        If they cannot be written.
    """
    folder, source = run / ADDED_FOLDER, addition.store
    if (folder / COHORT_FILE).exists():
        return
    chosen = {subject.subject_id for subject in addition.people}
    scans = [scan for scan in source.scans if scan.subject_id in chosen]
    for scan in scans:
        source.require_size(scan)
        for name in stored_files(scan, grid_size=source.spec.grid_size):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.folder / name, folder / name)
    write_index(
        folder,
        subjects=addition.people,
        scans=scans,
        name=source.name,
        condition=source.condition,
        simulated=source.simulated,
        spec=source.spec,
        source=source.record.source,
        label_rule=source.record.label_rule,
        report={},
    )


def added_to_fold(run: Path, record: RunRecord, fold: int) -> list[TrainingSubject]:
    """Give those who are fitted beside a fold's training part.

    Where an institution is left out, its people are left out of the added ones too: the figures speak of a
    site that the model never saw. Names are compared without regard to case.

    Raises
    ------
    AddedPeopleGoneError
        If they are not there, or not with every series.
    """
    store = added_index(run, record)
    if store is None:
        return []
    left_out = record.fold_names[fold] if record.split == "leave_site_out" else None
    try:
        return [
            # No subject of the cohort has such an id.
            TrainingSubject(
                subject_id=f"{ADDED_FOLDER}/{subject.subject_id}",
                site=subject.site,
                label=int(subject.label or 0),
                series=tuple(map(store.series, store.scans_of(subject.subject_id))),
                spec=store.spec,
                views=tuple(view_scan(store, scan) for scan in store.scans_of(subject.subject_id)),
            )
            for subject in store.subjects
            if left_out is None or not _is_of(subject.site, left_out)
        ]
    except CohortError as error:
        raise AddedPeopleGoneError(name=run.name, found="not every series of theirs") from error


def n_frames_of(addition: Addition) -> int:
    """Count the stored frames of those who are added."""
    chosen = {subject.subject_id for subject in addition.people}
    return sum(scan.n_stored_frames for scan in addition.store.scans if scan.subject_id in chosen)


def _is_of(site: str, institution: str) -> bool:
    return institution_of(site.strip()).casefold() == institution.casefold()


def _require_alike(cohort: CohortStore, added: CohortStore) -> None:
    wanted, there = cohort.spec.to_json(), added.spec.to_json()
    compared = {name: (wanted.get(name), there.get(name)) for name in sorted(wanted.keys() | there.keys())}
    compared["condition"] = (cohort.condition, added.condition)
    compared["simulated"] = (cohort.simulated, added.simulated)
    for field, (expected, found) in compared.items():
        if expected != found:
            raise AddedPeopleDifferError(
                name=added.name, field=field, expected=repr(expected), found=repr(found)
            )
