"""The scans that were handed over."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.organisations import OrganisationOwned

# By their characters, as SQLite has it: in a locale's order a prefix is no range of the index.
Pseudonym = Annotated[str, mapped_column(String(255).with_variant(String(255, collation="C"), "postgresql"))]

KEPT = "deleted_at IS NULL"


FILES_TO_REMOVE = "deleted_at IS NOT NULL AND files_removed_at IS NULL"


class ScanRow(OrganisationOwned, Base):
    """An uploaded file, known by its own digest; a copy without free text lies under ``storage_key``.

    The copy lies there until ``files_removed_at``. ``emptied_fields`` names what it lacks. Scans from before
    there were such copies have no ``stored_sha256``: their own bytes are stored.

    ``deleted_at`` marks a scan that nobody is shown any more (:mod:`service.retention`), ``deleted_because``
    says on whose wish: ``request`` or ``retention``. ``training_refused_at`` is when training was refused on
    another scan of the person that is deleted since (:mod:`service.reviews.refusals`).
    """

    __tablename__ = "scans"
    __table_args__ = (
        Index(None, "organisation_id", "created_at", "id"),
        Index(None, "organisation_id", "subject_id", "created_at", "id"),
        # What may be due for retention: the rows of removed scans stay, and grow many.
        Index(
            "ix_scans_kept_created_at",
            "created_at",
            sqlite_where=text(KEPT),
            postgresql_where=text(KEPT),
        ),
        # What is marked and not yet removed: few rows, whatever the table holds.
        Index(
            "ix_scans_files_to_remove",
            "id",
            sqlite_where=text(FILES_TO_REMOVE),
            postgresql_where=text(FILES_TO_REMOVE),
        ),
    )

    id: Mapped[Key]
    sha256: Mapped[Sha256] = mapped_column(index=True)
    stored_sha256: Mapped[Sha256 | None]
    emptied_fields: Mapped[list[str] | None]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    display_name: Mapped[str]
    storage_key: Mapped[str]
    subject_id: Mapped[Pseudonym | None]
    age_years: Mapped[float | None]
    sex: Mapped[str | None] = mapped_column(String(16))
    site: Mapped[str | None]
    header: Mapped[dict[str, Any] | None]
    # Indexed for those who see their own uploads only, and may have few among many.
    uploaded_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]
    deleted_because: Mapped[str | None] = mapped_column(String(16))
    files_removed_at: Mapped[datetime | None]
    training_refused_at: Mapped[datetime | None]
