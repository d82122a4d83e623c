"""Sessions that see and write the rows of one organisation only: the one place where this is decided.

Whoever serves a person or a program opens its sessions here; the worker and the operator's command line,
which serve the whole installation, use :func:`service.db.engine.session_factory`. A query cannot forget the
organisation, because it is not the query that names it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event, inspect
from sqlalchemy.orm import ORMExecuteState, Session, UOWTransaction, with_loader_criteria

from service.db.organisations import OrganisationOwned

# An execution option for what is about all organisations and names none: the place in the queue, the wait,
# what another model would have changed, whether a user name is taken, what was done to what all share.
COUNTS_EVERY_ORGANISATION = "counts_every_organisation"


class UnrestrictedStatementError(RuntimeError):
    """A statement that cannot be held to one organisation: a fault of the code, never of a request."""


class ForeignRowError(RuntimeError):
    """A row of another organisation in this one's session: a fault of the code, never of a request."""


class OrganisationSession(Session):
    """A session of one organisation.

    Every statement about rows gets the organisation as a condition, whatever else it asks, in joins,
    subqueries, updates, deletions and look-ups by key. New rows are stamped with the organisation.

    Raises
    ------
    UnrestrictedStatementError
        For SQL that is not about mapped rows, and for INSERT statements: neither could be filtered.
    ForeignRowError
        When a row of another organisation would be written.
    """

    def __init__(self, engine: Engine, *, organisation_id: str) -> None:
        super().__init__(engine, expire_on_commit=False)
        self.organisation_id = organisation_id


@dataclass(frozen=True)
class OrganisationSessions:
    """Opens the sessions of one organisation."""

    engine: Engine
    organisation_id: str

    def __call__(self) -> OrganisationSession:
        """Open a session, as a ``sessionmaker`` does."""
        return self.open()

    def open(self) -> OrganisationSession:
        """Open a session; what is not committed is rolled back."""
        return OrganisationSession(self.engine, organisation_id=self.organisation_id)

    @contextmanager
    def begin(self) -> Iterator[OrganisationSession]:
        """Open a session for one transaction, committed at the end."""
        with self.open() as session, session.begin():
            yield session


@event.listens_for(OrganisationSession, "do_orm_execute")
def _filter(asked: ORMExecuteState) -> None:
    if not asked.is_orm_statement or asked.is_insert:
        message = "expected a SELECT, UPDATE or DELETE of mapped rows, found another statement"
        raise UnrestrictedStatementError(message)
    if asked.execution_options.get(COUNTS_EVERY_ORGANISATION, False):
        return
    session: Any = asked.session
    organisation_id = session.organisation_id
    asked.statement = asked.statement.options(
        with_loader_criteria(
            OrganisationOwned, lambda row: row.organisation_id == organisation_id, include_aliases=True
        )
    )


@event.listens_for(OrganisationSession, "before_flush")
def _stamp(session: OrganisationSession, _context: UOWTransaction, _objects: object) -> None:
    for row in (*session.new, *session.dirty, *session.deleted):
        if not isinstance(row, OrganisationOwned):
            continue
        if not row.organisation_id:
            row.organisation_id = session.organisation_id
        before = inspect(row).attrs.organisation_id.history.deleted
        if {row.organisation_id, *before} != {session.organisation_id}:
            message = "expected a row of the session's own organisation, found another's"
            raise ForeignRowError(message)
