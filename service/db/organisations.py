"""Whose a row is: organisations, and the column that every row of theirs carries."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key

# The one that the first migration with organisations made, and that everything older went to.
DEFAULT_ORGANISATION_ID = "00000000-0000-4000-8000-000000000000"
DEFAULT_ORGANISATION = "default"


class OrganisationRow(Base):
    """A hospital, a practice, a group: its people see its scans and nobody else's."""

    __tablename__ = "organisations"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[CreatedAt]


class OrganisationOwned:
    """A mixin: the row belongs to one organisation for good.

    :mod:`service.db.restricted` finds the rows to filter by this class, so a table without it is one of the
    installation, such as the model versions that all organisations share.
    """

    organisation_id: Mapped[Id] = mapped_column(ForeignKey("organisations.id"))
