"""What a scan that goes leaves to the person's others: what was refused, and that they are one person's.

What a person refused outlives the scan that it was said of as long as an older consent of theirs does. And
where two pseudonyms were known to be one person's by that scan alone, a refusal that is said of the one later
still holds for the other.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from service.db.base import new_id
from service.db.rows import PredictionRow, ReviewRow, ScanRow
from service.reviews.people import parts, scans_by_person, together


def hand_over(session: Session, scan: ScanRow, *, locked: Collection[str]) -> int:
    """Write to the other scans of a person, before one goes, what that one alone says.

    Parameters
    ----------
    session : Session
        Not committed.
    scan : ScanRow
        Marked, and still with its pseudonym and its reviews.
    locked : collection of str
        Ids of the person's scans, by :func:`service.reviews.people.lock_person`: only these are written to.

    Returns
    -------
    int
        To how many scans a refusal was written.
    """
    [person] = scans_by_person(session, [scan], organisation_id=scan.organisation_id)
    # What was uploaded since then is not locked. It can only have later consents, and what is deleted now was
    # never seen beside it.
    others = [one for one in person if one.id != scan.id and one.id in locked]
    _keep_link(session, others)
    return _keep_refusal(session, scan, others)


def _keep_link(session: Session, others: list[ScanRow]) -> None:
    """Link scans that would fall apart into several people."""
    if len(together(others)) < 2:
        return
    link = new_id()
    for ids in parts(one.id for one in others):
        session.execute(
            update(ScanRow).where(ScanRow.id.in_(ids), ScanRow.deleted_at.is_(None)).values(linked_as=link),
            execution_options={"synchronize_session": False},
        )


def _keep_refusal(session: Session, scan: ScanRow, others: list[ScanRow]) -> int:
    """Write the newest refusal of a person to their scans with a consent.

    The scan may be the one that the refusal was said of, or the only one that shows two pseudonyms to be
    theirs. The moment alone is written, and it goes with the last of those scans: what is uploaded later can
    only have later consents, so nothing needs to be kept of somebody without scans.
    """
    of_clinic = ReviewRow.organisation_id == scan.organisation_id
    consents = select(ReviewRow.id).where(of_clinic, ReviewRow.training_consent.is_(True))
    if session.scalar(consents.limit(1)) is None:
        return 0
    refused_at = _refused_at(session, [scan, *others])
    if refused_at is None:
        return 0
    written = 0
    for ids in parts(one.id for one in others):
        consented = (
            select(PredictionRow.scan_id)
            .join(ReviewRow, ReviewRow.prediction_id == PredictionRow.id)
            .where(PredictionRow.scan_id.in_(ids), ReviewRow.training_consent.is_(True))
        )
        written += len(
            session.scalars(
                update(ScanRow)
                .where(
                    ScanRow.id.in_(consented),
                    ScanRow.deleted_at.is_(None),
                    or_(ScanRow.training_refused_at.is_(None), ScanRow.training_refused_at < refused_at),
                )
                .values(training_refused_at=refused_at)
                .returning(ScanRow.id),
                execution_options={"synchronize_session": False},
            ).all()
        )
    return written


def _refused_at(session: Session, person: list[ScanRow]) -> datetime | None:
    refusals = (
        select(func.max(ReviewRow.created_at))
        .join(PredictionRow, PredictionRow.id == ReviewRow.prediction_id)
        .where(ReviewRow.training_consent.is_(False))
    )
    moments = [scan.training_refused_at for scan in person]
    moments += [
        session.scalar(refusals.where(PredictionRow.scan_id.in_(ids)))
        for ids in parts(scan.id for scan in person)
    ]
    return max((moment for moment in moments if moment is not None), default=None)
