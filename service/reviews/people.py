"""Whose scans are one person's: those with one pseudonym, or the same bytes, and so on from scan to scan."""

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
    new = list(scans)
    while new:
        found |= {scan.id: scan for scan in new}
        new_files = {scan.sha256 for scan in new} - files
        new_pseudonyms = {scan.subject_id for scan in new if scan.subject_id} - pseudonyms
        files |= new_files
        pseudonyms |= new_pseudonyms
        met = {scan.id: scan for scan in _with(session, new_files, new_pseudonyms, organisation_id)}
        new = [scan for scan in met.values() if scan.id not in found]
    return _together(found.values())


def _with(
    session: Session, files: Iterable[str], pseudonyms: Iterable[str], organisation_id: str
) -> Iterator[ScanRow]:
    kept = (
        select(ScanRow)
        .where(ScanRow.organisation_id == organisation_id, ScanRow.deleted_at.is_(None))
        .options(defer(ScanRow.header))
        .execution_options(populate_existing=True)
    )
    for column, values in ((ScanRow.sha256, files), (ScanRow.subject_id, pseudonyms)):
        for some in parts(values):
            yield from session.scalars(kept.where(column.in_(some)))


def parts(values: Iterable[str]) -> Iterator[list[str]]:
    """Give values in lists that one statement has room for."""
    rest = iter(values)
    while some := list(islice(rest, _AT_ONCE)):
        yield some


def _together(scans: Iterable[ScanRow]) -> list[list[ScanRow]]:
    group_of: dict[tuple[str, str], list[ScanRow]] = {}
    for scan in scans:
        marks = [("file", scan.sha256)] + ([("person", scan.subject_id)] if scan.subject_id else [])
        met = {id(group_of[mark]): group_of[mark] for mark in marks if mark in group_of}
        joined = [scan, *(one for group in met.values() for one in group)]
        for one in joined:
            group_of["file", one.sha256] = joined
            if one.subject_id:
                group_of["person", one.subject_id] = joined
    groups = {id(group): group for group in group_of.values()}
    return [sorted(group, key=lambda scan: (scan.created_at, scan.id)) for group in groups.values()]
