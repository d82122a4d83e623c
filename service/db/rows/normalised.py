"""Scans of the scanner's space, brought into template space: what is kept of each."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Sha256
from service.db.organisations import OrganisationOwned


class NormalisedScanRow(OrganisationOwned, Base):
    """A scan in template space, or what is known of it while it is brought there.

    Until ``finished_at`` there is no file, and ``known`` holds what the work goes on from when its worker is
    lost; it stays where a T1-weighted image was tried, which is not kept itself. ``sha256`` and
    ``size_bytes`` are those of the file under ``storage_key``, ``version`` that of the pipeline that made it.
    ``summary`` are the figures that people are shown, ``provenance`` is all that was done.
    """

    __tablename__ = "normalised_scans"

    scan_id: Mapped[Id] = mapped_column(ForeignKey("scans.id", ondelete="CASCADE"), primary_key=True)
    version: Mapped[int]
    known: Mapped[dict[str, Any] | None]
    storage_key: Mapped[str | None]
    sha256: Mapped[Sha256 | None]
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    summary: Mapped[dict[str, Any] | None]
    provenance: Mapped[dict[str, Any] | None]
    took_ms: Mapped[float | None]
    created_at: Mapped[CreatedAt]
    finished_at: Mapped[datetime | None]
