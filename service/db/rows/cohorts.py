"""The cohorts that training may be asked for."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Enum, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Key, Sha256


class CohortState(StrEnum):
    """Whether a cohort is what was registered; equal to its plain string."""

    PRESENT = "present"
    CHANGED = "changed"
    MISSING = "missing"


class CohortRow(Base):
    """A cohort's store on disk, as it was when it was registered; of the installation, like the models.

    ``folder`` is absolute, on a file system that every training worker shares. What ``restnet cohort
    summary`` counts stands here too, so that a page needs neither the folder nor what reads it.
    """

    __tablename__ = "cohorts"

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    folder: Mapped[str] = mapped_column(Text, unique=True)
    # Of everybody in the store, as `CohortStore.fingerprint` has it.
    fingerprint: Mapped[Sha256]
    # Of cohort.json, which is written last: while it stays, nothing has to be read again.
    index_sha256: Mapped[Sha256]
    condition: Mapped[str]
    simulated: Mapped[bool]
    n_subjects: Mapped[int]
    # Of those with a label.
    n_cases: Mapped[int]
    n_controls: Mapped[int]
    n_scans: Mapped[int]
    # By site: how many cases and controls.
    sites: Mapped[dict[str, Any]]
    preprocessing: Mapped[dict[str, Any]]
    # Official releases, of those with a label; empty where nobody's is known, null where nobody has looked.
    releases: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True))
    state: Mapped[CohortState] = mapped_column(
        Enum(
            CohortState,
            name="state",
            native_enum=False,
            create_constraint=True,
            length=16,
            values_callable=lambda members: [member.value for member in members],
        ),
        default=CohortState.PRESENT,
    )
    # As the audit names whoever did it.
    registered_by: Mapped[str] = mapped_column(String(64))
    registered_at: Mapped[CreatedAt]
    checked_at: Mapped[datetime | None]
