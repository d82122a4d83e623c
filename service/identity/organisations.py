"""Organisations: whose people and scans there are. An operator adds them, from the command line.

Functions take a database session and never commit, as those of ``service.identity.accounts`` do.
"""

import re
from typing import ClassVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.db.organisations import OrganisationRow
from service.errors import ServiceError

ORGANISATION_NAME = re.compile(
    r"[^\s\x00-\x1f\x7f-\x9f](?:[^\x00-\x1f\x7f-\x9f]{0,98}[^\s\x00-\x1f\x7f-\x9f])?"
)


class OrganisationNameError(ServiceError):
    """A name that an organisation cannot be listed under."""

    code: ClassVar[str] = "organisation_name_not_valid"

    def __init__(self) -> None:
        super().__init__(
            "expected 1 to 100 characters, none of control and no blanks around them, found another name"
        )


class OrganisationNameTakenError(ServiceError):
    """An organisation with this name exists already."""

    code: ClassVar[str] = "organisation_name_taken"

    def __init__(self) -> None:
        super().__init__("expected a name that is still free, found one that an organisation has already")


class OrganisationNotFoundError(ServiceError):
    """No organisation has this name."""

    code: ClassVar[str] = "organisation_not_found"

    def __init__(self) -> None:
        super().__init__("expected the name of an organisation as it was added, found none that has it")


def create_organisation(session: Session, *, name: str) -> OrganisationRow:
    """Add an organisation; the row is flushed, not committed.

    Raises
    ------
    OrganisationNameError, OrganisationNameTakenError
        If the name cannot be accepted.
    """
    if not ORGANISATION_NAME.fullmatch(name):
        raise OrganisationNameError
    organisation = OrganisationRow(name=name)
    session.add(organisation)
    try:
        session.flush()
    except IntegrityError as error:
        raise OrganisationNameTakenError from error
    return organisation


def require_organisation(session: Session, *, name: str) -> OrganisationRow:
    """Look an organisation up by its exact name.

    Raises
    ------
    OrganisationNotFoundError
        If there is none.
    """
    found = session.scalars(select(OrganisationRow).where(OrganisationRow.name == name)).one_or_none()
    if found is None:
        raise OrganisationNotFoundError
    return found
