"""Evaluation sets, and challengers set beside a champion on one of them, which is a job."""

from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.job import JobRow, state_type
from service.db.rows.cohorts import CohortRow
from service.db.rows.models import ModelVersionRow


class EvaluationState(StrEnum):
    """Where an evaluation stands; equal to its plain string."""

    QUEUED = "queued"
    EVALUATING = "evaluating"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class EvaluationSetRow(Base):
    """People kept from every training, on whom models are compared; of the installation, like the models.

    Who they are follows from the cohort as it was when the set was added, which ``cohort_fingerprint`` names.
    A worker that opens the cohort for the first time writes down the people's own ``fingerprint`` and counts:
    from then on the set is those people, whatever else the cohort gains.
    """

    __tablename__ = "evaluation_sets"
    __table_args__ = (
        # At most one: the database keeps the promise, not the code.
        Index(
            "uq_evaluation_sets_in_use",
            "in_use",
            unique=True,
            sqlite_where=text("in_use"),
            postgresql_where=text("in_use"),
        ),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(unique=True)
    cohort_id: Mapped[Id] = mapped_column(ForeignKey("cohorts.id"))
    cohort_fingerprint: Mapped[Sha256]
    simulated: Mapped[bool]
    selection: Mapped[str] = mapped_column(String(16))
    where: Mapped[list[str]]
    # These four are null until a worker has looked.
    fingerprint: Mapped[Sha256 | None]
    n_cases: Mapped[int | None]
    n_controls: Mapped[int | None]
    # How many people by site.
    sites: Mapped[dict[str, Any] | None]
    in_use: Mapped[bool] = mapped_column(default=False, server_default=false())
    # As the audit names whoever did it.
    added_by: Mapped[str] = mapped_column(String(64))
    added_at: Mapped[CreatedAt]

    cohort: Mapped[CohortRow] = relationship(lazy="raise")


class EvaluationRow(JobRow, Base):
    """A challenger beside a champion on a set: one row for the three, however often it is asked for.

    ``outcome`` is a `Challenge` as JSON; ``passed`` its verdict. One that is asked for again keeps its
    outcome until it has another: what was found stands against the challenger meanwhile.
    """

    __tablename__ = "evaluations"
    __table_args__ = (
        UniqueConstraint("challenger_id", "champion_id", "evaluation_set_id"),
        Index(None, "state", "queued_at", "id"),
        Index(None, "finished_at"),
        Index(None, "created_at", "id"),
    )
    RUNNING = (EvaluationState.EVALUATING,)
    UNSTARTED: ClassVar[dict[str, Any]] = {"progress": 0.0, "passed": None}

    state: Mapped[EvaluationState] = mapped_column(
        state_type(EvaluationState), default=EvaluationState.QUEUED
    )
    champion_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    challenger_id: Mapped[Id] = mapped_column(ForeignKey("model_versions.id"))
    evaluation_set_id: Mapped[Id] = mapped_column(ForeignKey("evaluation_sets.id"))
    outcome: Mapped[dict[str, Any] | None]
    passed: Mapped[bool | None]
    # As the audit names whoever asked last.
    requested_by: Mapped[str] = mapped_column(String(64))

    champion: Mapped[ModelVersionRow] = relationship(lazy="raise", foreign_keys=[champion_id])
    challenger: Mapped[ModelVersionRow] = relationship(lazy="raise", foreign_keys=[challenger_id])
    evaluation_set: Mapped[EvaluationSetRow] = relationship(lazy="raise")
