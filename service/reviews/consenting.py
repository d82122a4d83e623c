"""Which scans may be trained on: those whose people have said so, and whose diagnosis is confirmed.

Words are said of a scan and hold for a person (:mod:`service.reviews.people`). A consent stands until
somebody withdraws it on any scan of that person, also where that scan is deleted since
(:mod:`service.reviews.refusals`); what is said of one scan later lets that one in again.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, defer

from service.db.rows import PredictionRow, PredictionState, ReviewRow, ScanRow
from service.reviews.people import scans_by_person
from service.reviews.words import Diagnosis

LABELS: Mapping[str, int] = {Diagnosis.CONTROL.value: 0, Diagnosis.ADHD.value: 1}
"""What a confirmed diagnosis is to a training; any other is none."""

_SAYS_SOMETHING = or_(ReviewRow.training_consent.is_not(None), ReviewRow.diagnosis.is_not(None))


@dataclass(frozen=True)
class ConsentedPerson:
    """Somebody whose scans may be trained on.

    Attributes
    ----------
    pseudonyms : tuple of str
        At least one; several where the same file has come under each.
    label : int
        0 control, 1 ADHD.
    scans : tuple of ScanRow
        Each file once, the oldest first.
    """

    pseudonyms: tuple[str, ...] = field(repr=False)
    label: int
    scans: tuple[ScanRow, ...] = field(repr=False)


@dataclass(frozen=True)
class Consented:
    """Who may be trained on, and which scans with a consent may not.

    Attributes
    ----------
    people : tuple of ConsentedPerson
        In no order that says anything of them.
    left_out : mapping of str to int
        Scans by why: ``withdrawn``, ``without_pseudonym``, ``conflicting_diagnoses``, ``no_diagnosis``,
        ``same_file``.
    """

    people: tuple[ConsentedPerson, ...]
    left_out: Mapping[str, int]

    @property
    def n_scans(self) -> int:
        """How many files that are."""
        return sum(len(person.scans) for person in self.people)

    @property
    def n_cases(self) -> int:
        """How many of the people have ADHD."""
        return sum(person.label for person in self.people)


@dataclass
class _Said:
    """What the reviews of one scan come to; ``agreed_at`` is of the newest word, where that is a consent."""

    agreed_at: datetime | None = None
    ever_agreed: bool = False
    refused_at: datetime | None = None
    diagnosis: str | None = None
    succeeded: bool = False


def consented_people(session: Session, *, organisation_id: str) -> Consented:
    """Find whom of one organisation a training may take, by the newest words of its clinicians.

    A person without a pseudonym is left out: a withdrawal or another diagnosis on a second scan of theirs
    could not be seen to be theirs.

    Parameters
    ----------
    session : Session
    organisation_id : str
        A consent was given to the clinic that asked for it, so nobody else's scans are looked at.
    """
    said = _what_was_said(session, organisation_id)
    if not any(words.ever_agreed for words in said.values()):
        return Consented((), {})
    agreed = session.scalars(
        select(ScanRow)
        .where(
            ScanRow.organisation_id == organisation_id,
            ScanRow.deleted_at.is_(None),
            ScanRow.id.in_(
                select(PredictionRow.scan_id)
                .join(ReviewRow, ReviewRow.prediction_id == PredictionRow.id)
                .where(ReviewRow.organisation_id == organisation_id, ReviewRow.training_consent.is_(True))
            ),
        )
        .options(defer(ScanRow.header))
    )
    people, left_out = [], Counter[str]()
    # A word that is written meanwhile is for the next time: those of one moment belong together.
    known = [scan for scan in agreed if scan.id in said]
    for group in scans_by_person(session, known, organisation_id=organisation_id):
        person = _person(group, said, left_out)
        if person is not None:
            people.append(person)
    people.sort(key=lambda person: person.scans[0].sha256)
    return Consented(tuple(people), dict(+left_out))


def _what_was_said(session: Session, organisation_id: str) -> dict[str, _Said]:
    statement = (
        select(
            PredictionRow.scan_id,
            PredictionRow.state,
            ReviewRow.created_at,
            ReviewRow.training_consent,
            ReviewRow.diagnosis,
        )
        .join(ReviewRow, ReviewRow.prediction_id == PredictionRow.id)
        .join(ScanRow, ScanRow.id == PredictionRow.scan_id)
        .where(
            ReviewRow.organisation_id == organisation_id,
            ScanRow.deleted_at.is_(None),
            _SAYS_SOMETHING,
        )
        .order_by(ReviewRow.created_at, ReviewRow.id)
    )
    found: dict[str, _Said] = defaultdict(_Said)
    for scan_id, state, said_at, consent, diagnosis in session.execute(statement):
        words = found[scan_id]
        words.succeeded |= state == PredictionState.SUCCEEDED
        if consent is not None:
            words.agreed_at = said_at if consent else None
            words.ever_agreed |= consent
            words.refused_at = words.refused_at if consent else said_at
        words.diagnosis = diagnosis or words.diagnosis
    return found


def _person(
    scans: Sequence[ScanRow], said: Mapping[str, _Said], left_out: Counter[str]
) -> ConsentedPerson | None:
    # Of many scans of theirs nothing was said.
    words = [said.get(scan.id, _Said()) for scan in scans]
    agreed = [scan for scan, one in zip(scans, words, strict=True) if one.ever_agreed]
    refused = [one.refused_at for one in words] + [scan.training_refused_at for scan in scans]
    refused_at = max((moment for moment in refused if moment is not None), default=None)
    standing = []
    for scan in agreed:
        agreed_at = said[scan.id].agreed_at
        if agreed_at is not None and (refused_at is None or agreed_at > refused_at):
            standing.append(scan)
    left_out["withdrawn"] += len(agreed) - len(standing)
    pseudonyms = tuple(sorted({scan.subject_id for scan in scans if scan.subject_id}))
    diagnoses = {one.diagnosis for one in words if one.diagnosis}
    if not pseudonyms:
        left_out["without_pseudonym"] += len(standing)
        return None
    if len(diagnoses) > 1:
        left_out["conflicting_diagnoses"] += len(standing)
        return None
    usable: dict[str, ScanRow] = {}
    for scan in standing:
        if said[scan.id].diagnosis not in LABELS or not said[scan.id].succeeded:
            left_out["no_diagnosis"] += 1
        elif scan.sha256 in usable:
            left_out["same_file"] += 1
        else:
            usable[scan.sha256] = scan
    if not usable:
        return None
    return ConsentedPerson(pseudonyms, LABELS[diagnoses.pop()], tuple(usable.values()))
