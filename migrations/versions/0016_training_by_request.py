"""Cohorts that the service knows, training runs that are jobs of their own, and their logs.

A run from before was planned and is finished by ``restnet train``: it is over, or still in training.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

RUNS = "training_runs"
STATES = ("queued", "planning", "training", "finishing", "succeeded", "failed", "cancelled")
INDEXES = (["state", "queued_at", "id"], ["finished_at"], ["grid_id"])


def state(*names: str) -> sa.Enum:
    return sa.Enum(*names, name="state", native_enum=False, create_constraint=True, length=16)


def json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "cohorts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("index_sha256", sa.String(length=64), nullable=False),
        sa.Column("condition", sa.String(length=255), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("n_subjects", sa.Integer(), nullable=False),
        sa.Column("n_cases", sa.Integer(), nullable=False),
        sa.Column("n_controls", sa.Integer(), nullable=False),
        sa.Column("n_scans", sa.Integer(), nullable=False),
        sa.Column("sites", json(), nullable=False),
        sa.Column("preprocessing", json(), nullable=False),
        sa.Column("state", state("present", "changed", "missing"), nullable=False),
        sa.Column("registered_by", sa.String(length=64), nullable=False),
        sa.Column("registered_at", moment(), nullable=False),
        sa.Column("checked_at", moment(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cohorts")),
        sa.UniqueConstraint("name", name=op.f("uq_cohorts_name")),
        sa.UniqueConstraint("folder", name=op.f("uq_cohorts_folder")),
    )
    _make_runs_jobs()
    op.add_column("training_folds", sa.Column("epochs", json(), nullable=True))
    op.create_table(
        "training_log",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("run_id", sa.String(length=36), nullable=False),
        sa.Column("fold", sa.Integer(), nullable=True),
        sa.Column("at", moment(), nullable=False),
        sa.Column("event", sa.String(length=32), nullable=False),
        sa.Column("details", json(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_training_log_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["run_id"],
            ["training_runs.id"],
            name=op.f("fk_training_log_run_id_training_runs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_training_log")),
    )
    op.create_index(op.f("ix_training_log_run_id_id"), "training_log", ["run_id", "id"], unique=False)


def _make_runs_jobs() -> None:
    with op.batch_alter_table(RUNS) as table:
        table.add_column(sa.Column("state", sa.String(length=16), nullable=True))
        table.add_column(sa.Column("progress", sa.Double(), nullable=True))
        for name in ("attempts", "max_attempts"):
            table.add_column(sa.Column(name, sa.Integer(), nullable=True))
        table.add_column(sa.Column("lease_owner", sa.String(length=128), nullable=True))
        for name in ("lease_expires_at", "heartbeat_at", "queued_at", "not_before", "published_at"):
            table.add_column(sa.Column(name, moment(), nullable=True))
        table.add_column(sa.Column("started_at", moment(), nullable=True))
        cancel = sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False)
        table.add_column(cancel)
        table.add_column(sa.Column("error_code", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("error_message", sa.Text(), nullable=True))
        table.add_column(sa.Column("error_details", json(), nullable=True))
        table.add_column(sa.Column("error_reference", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("request_id", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("traceparent", sa.String(length=55), nullable=True))
        for name in ("cohort_id", "grid_id", "model_version_id"):
            table.add_column(sa.Column(name, sa.String(length=36), nullable=True))
        for name in ("request", "plan"):
            table.add_column(sa.Column(name, json(), nullable=True))
    op.execute(
        "UPDATE training_runs SET progress = CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END, "
        "state = CASE WHEN finished_at IS NULL THEN 'training' ELSE 'succeeded' END, "
        "attempts = 0, max_attempts = 3, queued_at = created_at"
    )
    with op.batch_alter_table(RUNS) as table:
        table.alter_column("state", existing_type=sa.String(length=16), nullable=False)
        table.alter_column("progress", existing_type=sa.Double(), nullable=False)
        for name in ("attempts", "max_attempts"):
            table.alter_column(name, existing_type=sa.Integer(), nullable=False)
        table.alter_column("queued_at", existing_type=moment(), nullable=False)
        table.create_check_constraint(op.f("ck_training_runs_state"), sa.column("state").in_(STATES))
        for name, other in (("cohort_id", "cohorts"), ("model_version_id", "model_versions")):
            key = op.f(f"fk_training_runs_{name}_{other}")
            table.create_foreign_key(key, other, [name], ["id"], ondelete="SET NULL")
    for columns in INDEXES:
        op.create_index(op.f(f"ix_{RUNS}_{'_'.join(columns)}"), RUNS, columns, unique=False)


def downgrade() -> None:
    # Back there a run is in training or has succeeded, and each has folds: what failed or was cancelled is
    # in training, so that no way forward says it had succeeded, and what was not planned is not there.
    op.execute("UPDATE training_runs SET finished_at = NULL WHERE state IN ('failed', 'cancelled')")
    op.execute("DELETE FROM training_runs WHERE id NOT IN (SELECT run_id FROM training_folds)")
    op.drop_table("training_log")
    op.drop_column("training_folds", "epochs")
    for columns in INDEXES:
        op.drop_index(op.f(f"ix_{RUNS}_{'_'.join(columns)}"), RUNS)
    with op.batch_alter_table(RUNS) as table:
        for name, other in (("cohort_id", "cohorts"), ("model_version_id", "model_versions")):
            table.drop_constraint(op.f(f"fk_training_runs_{name}_{other}"), type_="foreignkey")
        table.drop_constraint(op.f("ck_training_runs_state"), type_="check")
        for name in (
            *("state", "progress", "attempts", "max_attempts", "lease_owner", "lease_expires_at"),
            *("heartbeat_at", "queued_at", "not_before", "published_at", "started_at", "cancel_requested"),
            *("error_code", "error_message", "error_details", "error_reference", "request_id", "traceparent"),
            *("cohort_id", "grid_id", "model_version_id", "request", "plan"),
        ):
            table.drop_column(name)
    op.drop_table("cohorts")
