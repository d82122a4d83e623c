"""What the rows of every kind of job share: the columns that the lease, the queue and the people need."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import ColumnElement, Enum, String, Text, false, true
from sqlalchemy.orm import Mapped, mapped_column

from service.correlation import (
    REQUEST_ID_LENGTH,
    TRACEPARENT_LENGTH,
    current_request_id,
    current_traceparent,
)
from service.db.base import CreatedAt, Key, utc_now


class JobState(StrEnum):
    """Where every job can stand; each kind has its own stages between queued and the end."""

    QUEUED = "queued"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


# As text: a kind's own states are equal to these, but of another type.
TERMINAL: tuple[str, ...] = (JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED)


def state_type(states: type[StrEnum]) -> Enum:
    """Return the column type of a kind's states: their text, and a constraint that allows no other."""
    return Enum(
        states,
        name="state",
        native_enum=False,
        create_constraint=True,
        length=16,
        values_callable=lambda members: [member.value for member in members],
    )


class JobRow:
    """A mixin: one row, one job. ``service.jobs`` moves it and takes the concrete class for the kind.

    Attributes
    ----------
    RUNNING : tuple of StrEnum
        The kind's stages under a lease; a claim puts a job in the first.
    UNSTARTED : mapping
        What the columns that tell of an attempt's progress hold while nobody works on the job.
    """

    RUNNING: ClassVar[tuple[StrEnum, ...]]
    UNSTARTED: ClassVar[Mapping[str, Any]] = {"progress": 0.0}

    id: Mapped[Key]
    if TYPE_CHECKING:
        # Each kind maps its own states.
        state: Mapped[Any]
    progress: Mapped[float] = mapped_column(default=0.0)
    attempts: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    lease_owner: Mapped[str | None] = mapped_column(String(128))
    lease_expires_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    error_code: Mapped[str | None] = mapped_column(String(64))
    error_message: Mapped[str | None] = mapped_column(Text)
    error_details: Mapped[dict[str, Any] | None]
    error_reference: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[CreatedAt]
    queued_at: Mapped[CreatedAt]
    not_before: Mapped[datetime | None]
    published_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    # Indexed in each table: what has ended lately is asked for at every look of the monitoring.
    finished_at: Mapped[datetime | None]
    # Of the request that queued it: what the worker writes in its log names it too.
    request_id: Mapped[str | None] = mapped_column(String(REQUEST_ID_LENGTH), default=current_request_id)
    traceparent: Mapped[str | None] = mapped_column(String(TRACEPARENT_LENGTH), default=current_traceparent)

    @classmethod
    def in_lane(cls, lane: str | None) -> ColumnElement[bool]:  # noqa: ARG003  (for kinds that have lanes)
        """Return the condition that a job waits in one of the queues of its kind; in any without one."""
        return true()

    @classmethod
    def still_wanted(cls) -> ColumnElement[bool]:
        """Return the condition, beside its own state, under which a job may start, start again or succeed."""
        return true()

    @classmethod
    def started_when_claimed(cls) -> ColumnElement[datetime]:
        """Return when a job has started that is claimed now: the last attempt counts."""
        return utc_now()
