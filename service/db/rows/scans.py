"""The scans that were handed over."""

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    false,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.organisations import OrganisationOwned

# By their characters, as SQLite has it: in a locale's order a prefix is no range of the index.
Pseudonym = Annotated[str, mapped_column(String(255).with_variant(String(255, collation="C"), "postgresql"))]

KEPT = "deleted_at IS NULL"


FILES_TO_REMOVE = "deleted_at IS NOT NULL AND files_removed_at IS NULL"
PACKED = "packed"
LEFTOVER = "leftover_key IS NOT NULL"


class ScanRow(OrganisationOwned, Base):
    """An uploaded file, known by its own digest; a copy without free text lies under ``storage_key``.

    The copy lies there until ``files_removed_at``. ``emptied_fields`` names what it lacks. Scans from before
    there were such copies have no ``stored_sha256``: their own bytes are stored. ``slice_times_s`` says when
    each slice of a frame is taken, ``tr_s``, ``slice_order`` and ``run`` how the frames were taken and which
    of several runs is meant, ``sidecar`` what its BIDS sidecar says of these (the fields of
    :class:`imaging.native.sidecar.Sidecar`, nothing else of it), where whoever handed it over did.

    A zip has no ``header``; its file is the zip itself while the scan is ``packed``. A worker makes one run
    of it, whose file takes its place: then ``taken`` holds the facts that the zip knew of the run
    (:class:`service.jobs.TakenFile`). ``given_up_at`` is when no run was made of it, and none will be: there
    is no file then. ``leftover_key`` names a zip in storage that is not the scan's file any more and is to
    be removed (:mod:`service.retention.zips`).

    ``deleted_at`` marks a scan that nobody is shown any more (:mod:`service.retention`), ``deleted_because``
    says on whose wish: ``request`` or ``retention``. ``training_refused_at`` is when training was refused on
    another scan of the person that is deleted since, ``linked_as`` is shared by scans that only a deleted one
    showed to be one person's (:mod:`service.reviews.refusals`).
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
        # Zips are few, and of short life.
        Index("ix_scans_packed", "id", sqlite_where=text(PACKED), postgresql_where=text(PACKED)),
        Index("ix_scans_leftover", "id", sqlite_where=text(LEFTOVER), postgresql_where=text(LEFTOVER)),
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
    slice_times_s: Mapped[list[float] | None]
    tr_s: Mapped[float | None]
    slice_order: Mapped[str | None] = mapped_column(String(40))
    run: Mapped[str | None] = mapped_column(String(64))
    sidecar: Mapped[dict[str, Any] | None]
    packed: Mapped[bool] = mapped_column(default=False, server_default=false())
    taken: Mapped[dict[str, Any] | None]
    leftover_key: Mapped[str | None]
    given_up_at: Mapped[datetime | None]
    # Indexed for those who see their own uploads only, and may have few among many.
    uploaded_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"), index=True)
    created_at: Mapped[CreatedAt]
    deleted_at: Mapped[datetime | None]
    deleted_because: Mapped[str | None] = mapped_column(String(16))
    files_removed_at: Mapped[datetime | None]
    training_refused_at: Mapped[datetime | None]
    linked_as: Mapped[Id | None] = mapped_column(index=True)
