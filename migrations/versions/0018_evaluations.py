"""Evaluation sets, and evaluations of challengers beside the model that answers, which are jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"

STATES = ("queued", "evaluating", "succeeded", "failed", "cancelled")
INDEXES = (["state", "queued_at", "id"], ["finished_at"], ["created_at", "id"])


def json() -> sa.JSON:
    return sa.JSON(none_as_null=True)


def moment() -> sa.DateTime:
    return sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "evaluation_sets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("cohort_id", sa.String(length=36), nullable=False),
        sa.Column("cohort_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("simulated", sa.Boolean(), nullable=False),
        sa.Column("selection", sa.String(length=16), nullable=False),
        sa.Column("where", json(), nullable=False),
        sa.Column("fingerprint", sa.String(length=64), nullable=True),
        sa.Column("n_cases", sa.Integer(), nullable=True),
        sa.Column("n_controls", sa.Integer(), nullable=True),
        sa.Column("sites", json(), nullable=True),
        sa.Column("in_use", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("added_by", sa.String(length=64), nullable=False),
        sa.Column("added_at", moment(), nullable=False),
        sa.ForeignKeyConstraint(
            ["cohort_id"], ["cohorts.id"], name=op.f("fk_evaluation_sets_cohort_id_cohorts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_sets")),
        sa.UniqueConstraint("name", name=op.f("uq_evaluation_sets_name")),
    )
    op.create_index(
        "uq_evaluation_sets_in_use",
        "evaluation_sets",
        ["in_use"],
        unique=True,
        sqlite_where=sa.text("in_use"),
        postgresql_where=sa.text("in_use"),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("champion_id", sa.String(length=36), nullable=False),
        sa.Column("challenger_id", sa.String(length=36), nullable=False),
        sa.Column("evaluation_set_id", sa.String(length=36), nullable=False),
        sa.Column("outcome", json(), nullable=True),
        sa.Column("passed", sa.Boolean(), nullable=True),
        sa.Column("requested_by", sa.String(length=64), nullable=False),
        sa.Column(
            "state",
            sa.Enum(*STATES, name="state", native_enum=False, create_constraint=True, length=16),
            nullable=False,
        ),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_expires_at", moment(), nullable=True),
        sa.Column("heartbeat_at", moment(), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_details", json(), nullable=True),
        sa.Column("error_reference", sa.String(length=64), nullable=True),
        sa.Column("created_at", moment(), nullable=False),
        sa.Column("queued_at", moment(), nullable=False),
        sa.Column("not_before", moment(), nullable=True),
        sa.Column("published_at", moment(), nullable=True),
        sa.Column("started_at", moment(), nullable=True),
        sa.Column("finished_at", moment(), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.ForeignKeyConstraint(
            ["champion_id"], ["model_versions.id"], name=op.f("fk_evaluations_champion_id_model_versions")
        ),
        sa.ForeignKeyConstraint(
            ["challenger_id"],
            ["model_versions.id"],
            name=op.f("fk_evaluations_challenger_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_set_id"],
            ["evaluation_sets.id"],
            name=op.f("fk_evaluations_evaluation_set_id_evaluation_sets"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
        sa.UniqueConstraint(
            "challenger_id",
            "champion_id",
            "evaluation_set_id",
            name=op.f("uq_evaluations_challenger_id_champion_id_evaluation_set_id"),
        ),
    )
    for columns in INDEXES:
        op.create_index(op.f(f"ix_evaluations_{'_'.join(columns)}"), "evaluations", columns, unique=False)


def downgrade() -> None:
    op.drop_table("evaluations")
    op.drop_table("evaluation_sets")
