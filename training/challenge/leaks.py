"""Whether somebody of an evaluation set took part in a training, under whatever name."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from training.challenge.people import EvaluationSet
from training.cohort.store.cohort_store import CohortStore


@dataclass(frozen=True)
class Overlap:
    """People of an evaluation set who were trained on.

    Attributes
    ----------
    by_scan : int
        People with a scan whose file, or whose stored series, is also among the training's.
    by_name : int
        People whose id is among the training's, where both are of one cohort: in different cohorts the same
        id need not be the same person, nor the same person have one id.
    people : int
        Either way, each counted once.
    of : int
        People of the evaluation set.
    told_by : "set" or "cohort", optional
        What the fingerprint in the model's card names, where that and no record tells: the set itself, or the
        whole cohort that it is taken from.
    """

    by_scan: int
    by_name: int
    people: int
    of: int
    told_by: Literal["set", "cohort"] | None = None


def find_overlap(
    evaluation: EvaluationSet,
    *,
    trained_on: Iterable[str],
    training_store: CohortStore,
    added: CohortStore | None = None,
) -> Overlap:
    """Compare the people of an evaluation set with those of a training run.

    Parameters
    ----------
    evaluation : EvaluationSet
    trained_on : iterable of str
        Ids of the run's subjects.
    training_store : CohortStore
        The cohort that they are of.
    added : CohortStore, optional
        Exactly those who were trained on beside them; their series need not be there any more.

    Returns
    -------
    Overlap
    """
    return overlap_of(
        evaluation.store,
        [person.subject_id for person in evaluation.people],
        trained_on=trained_on,
        training_store=training_store,
        added=added,
    )


def overlap_of(
    store: CohortStore,
    subject_ids: Iterable[str],
    *,
    trained_on: Iterable[str],
    training_store: CohortStore,
    added: CohortStore | None = None,
) -> Overlap:
    """Compare some people of any store with those of a training run, as :func:`find_overlap` does."""
    trained = set(trained_on)
    digests = {
        digest
        for scan in training_store.scans
        if scan.subject_id in trained
        for digest in (scan.series_sha256, scan.source_sha256)
    }
    if added is not None:
        digests.update(digest for scan in added.scans for digest in (scan.series_sha256, scan.source_sha256))
    here = set(subject_ids)
    by_scan = {
        scan.subject_id
        for scan in store.scans
        if scan.subject_id in here and not digests.isdisjoint((scan.series_sha256, scan.source_sha256))
    }
    by_name = here & trained if store.name == training_store.name else set()
    if added is not None and store.name == added.name:
        by_name |= here & {subject.subject_id for subject in added.subjects}
    return Overlap(by_scan=len(by_scan), by_name=len(by_name), people=len(by_scan | by_name), of=len(here))


def overlap_by_fingerprint(
    store: CohortStore, subject_ids: Iterable[str], *, trained_on: str
) -> Overlap | None:
    """Say that some people of a store were all trained on, where a fingerprint alone is certain of it.

    Parameters
    ----------
    store : CohortStore
    subject_ids : iterable of str
        Of this store.
    trained_on : str
        The fingerprint in the model's card: over ids, diagnoses and stored series.

    Returns
    -------
    Overlap or None
        None where it names other people: of those nobody can tell who they are.
    """
    here = set(subject_ids)
    # A training takes everybody, or everybody with a diagnosis.
    labelled = [subject for subject in store.subjects if subject.label is not None]
    told_by: Literal["set", "cohort"]
    if trained_on == store.fingerprint_of(here):
        told_by = "set"
    elif trained_on in {store.fingerprint(store.subjects), store.fingerprint(labelled)}:
        told_by = "cohort"
    else:
        return None
    return Overlap(by_scan=len(here), by_name=len(here), people=len(here), of=len(here), told_by=told_by)
