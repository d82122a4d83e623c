"""Whose scans are one person's: those with one pseudonym, or the same bytes, and so on from scan to scan.

What only a deleted scan showed is kept as a link between those that it held together
(:mod:`service.reviews.refusals`).
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from service.db.rows import ScanRow

# A statement has room for so many values on every database.
_AT_ONCE = 500


def scans_by_person(
    session: Session, scans: Iterable[ScanRow], *, organisation_id: str
) -> list[list[ScanRow]]:
    """Put the scans of each person together with every other one of theirs, whoever spoke of it or not.

    An upload that nobody reviewed may be all that shows two pseudonyms to be one person's.

    Parameters
    ----------
    session : Session
    scans : iterable of ScanRow
        Of this organisation.
    organisation_id : str
        Nobody else's scans are looked at.

    Returns
    -------
    list of list of ScanRow
        One list a person, the oldest scan first; none is deleted but those that were given.
    """
    found: dict[str, ScanRow] = {}
    files: set[str] = set()
    pseudonyms: set[str] = set()
    links: set[str] = set()
    new = list(scans)
    while new:
        found |= {scan.id: scan for scan in new}
        new_files = {scan.sha256 for scan in new} - files
        new_pseudonyms = {scan.subject_id for scan in new if scan.subject_id} - pseudonyms
        new_links = {scan.linked_as for scan in new if scan.linked_as} - links
        files |= new_files
        pseudonyms |= new_pseudonyms
        links |= new_links
        met = {
            scan.id: scan for scan in _with(session, new_files, new_pseudonyms, new_links, organisation_id)
        }
        new = [scan for scan in met.values() if scan.id not in found]
    return together(found.values())


def lock_person(session: Session, scan_id: str) -> frozenset[str]:
    """Keep others from changing any scan of a person until the transaction ends.

    In the order of their ids, so that no two who do so wait for each other. SQLite has one writer at a time,
    and there this keeps nobody away.

    Parameters
    ----------
    session : Session
        Nothing is written in it yet.
    scan_id : str

    Returns
    -------
    frozenset of str
        Their ids; what the person's scans are now is to be asked again, because somebody may have been at
        them before. Empty where there is no such scan.
    """
    scan = session.get(ScanRow, scan_id, populate_existing=True)
    if scan is None or scan.deleted_at is not None:
        return frozenset()
    [person] = scans_by_person(session, [scan], organisation_id=scan.organisation_id)
    for ids in parts(sorted(one.id for one in person)):
        session.execute(select(ScanRow.id).where(ScanRow.id.in_(ids)).order_by(ScanRow.id).with_for_update())
    return frozenset(one.id for one in person)


def _with(
    session: Session,
    files: Iterable[str],
    pseudonyms: Iterable[str],
    links: Iterable[str],
    organisation_id: str,
) -> Iterator[ScanRow]:
    kept = (
        select(ScanRow)
        .where(ScanRow.organisation_id == organisation_id, ScanRow.deleted_at.is_(None))
        .options(defer(ScanRow.header))
        .execution_options(populate_existing=True)
    )
    for values, have in (
        (files, ScanRow.sha256.in_),
        (pseudonyms, ScanRow.subject_id.in_),
        (links, ScanRow.linked_as.in_),
    ):
        for some in parts(values):
            yield from session.scalars(kept.where(have(some)))


def parts(values: Iterable[str]) -> Iterator[list[str]]:
    """Give values in lists that one statement has room for."""
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def together(scans: Iterable[ScanRow]) -> list[list[ScanRow]]:
    """Put scans together that are one person's, as far as these scans show it; the oldest of each first."""
    group_of: dict[tuple[str, str], list[ScanRow]] = {}
    for scan in scans:
        met = {id(group_of[mark]): group_of[mark] for mark in _marks(scan) if mark in group_of}
        joined = [scan, *(one for group in met.values() for one in group)]
        for one in joined:
            group_of |= dict.fromkeys(_marks(one), joined)
    groups = {id(group): group for group in group_of.values()}
    return [sorted(group, key=lambda scan: (scan.created_at, scan.id)) for group in groups.values()]


def _marks(scan: ScanRow) -> list[tuple[str, str]]:
    """Give what a scan may have in common with others of the person."""
    marks = (("file", scan.sha256), ("pseudonym", scan.subject_id), ("link", scan.linked_as))
    return [(kind, value) for kind, value in marks if value]
