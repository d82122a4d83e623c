"""Scores: what another model says of stored scans, in shadow or over earlier ones."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"

INDEXES = {
    "shadow_deployments": (["model_version_id", "started_at", "id"],),
    "rescores": (["created_at", "id"], ["model_version_id", "created_at", "id"]),
    "scores": (
        ["scan_id"],
        ["state", "queued_at", "id"],
        ["finished_at"],
        ["shadow_id", "state", "finished_at", "id"],
        ["rescore_id", "state", "finished_at", "id"],
    ),
}


def upgrade() -> None:
    op.create_table(
        "shadow_deployments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("in_shadow", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("ended_by", sa.String(length=255), nullable=True),
        sa.Column("ended_because", sa.String(length=16), nullable=True),
        sa.CheckConstraint("in_shadow = (ended_at IS NULL)", name=op.f("ck_shadow_deployments_open")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_shadow_deployments_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shadow_deployments")),
    )
    op.create_index(
        "uq_shadow_deployments_in_shadow",
        "shadow_deployments",
        ["in_shadow"],
        unique=True,
        sqlite_where=sa.text("in_shadow"),
        postgresql_where=sa.text("in_shadow"),
    )
    op.create_table(
        "rescores",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column(
            "state",
            sa.Enum(
                "running",
                "finished",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("since", sa.DateTime(timezone=True), nullable=True),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("n_asked", sa.Integer(), nullable=False),
        sa.Column("n_queued", sa.Integer(), nullable=False),
        sa.Column("queued_from", sa.DateTime(timezone=True), nullable=True),
        sa.Column("queued_from_id", sa.String(length=36), nullable=True),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_rescores_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rescores")),
    )
    op.create_index(
        "uq_rescores_running",
        "rescores",
        ["model_version_id"],
        unique=True,
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    )
    op.create_table(
        "scores",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("scan_id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("shadow_id", sa.String(length=36), nullable=True),
        sa.Column("rescore_id", sa.String(length=36), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "scoring",
                "succeeded",
                "failed",
                "cancelled",
                name="state",
                native_enum=False,
                create_constraint=True,
                length=16,
            ),
            nullable=False,
        ),
        sa.Column("adhd_probability", sa.Double(), nullable=True),
        sa.Column("interval_low", sa.Double(), nullable=True),
        sa.Column("interval_high", sa.Double(), nullable=True),
        sa.Column("decision", sa.String(length=16), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("heartbeat_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_details", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("error_reference", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("queued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("published_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.CheckConstraint("(shadow_id IS NULL) <> (rescore_id IS NULL)", name=op.f("ck_scores_cause")),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_scores_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_scores_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["scan_id"],
            ["scans.id"],
            name=op.f("fk_scores_scan_id_scans"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_scores_model_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["shadow_id"],
            ["shadow_deployments.id"],
            name=op.f("fk_scores_shadow_id_shadow_deployments"),
        ),
        sa.ForeignKeyConstraint(
            ["rescore_id"],
            ["rescores.id"],
            name=op.f("fk_scores_rescore_id_rescores"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_scores")),
        sa.UniqueConstraint("prediction_id", "shadow_id", name=op.f("uq_scores_prediction_id_shadow_id")),
        sa.UniqueConstraint("prediction_id", "rescore_id", name=op.f("uq_scores_prediction_id_rescore_id")),
    )
    for table, indexes in INDEXES.items():
        for columns in indexes:
            op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns, unique=False)


def downgrade() -> None:
    for table in ("scores", "rescores", "shadow_deployments"):
        op.drop_table(table)
