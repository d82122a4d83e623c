"""What is measured of each scan, references to compare it with, what was found, and alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "scan_measurements",
        sa.Column("prediction_id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("figures", JSON, nullable=False),
        sa.Column("embedding", JSON, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_scan_measurements_model_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_scan_measurements_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["prediction_id"],
            ["predictions.id"],
            name=op.f("fk_scan_measurements_prediction_id_predictions"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("prediction_id", name=op.f("pk_scan_measurements")),
    )
    op.create_index(
        op.f("ix_scan_measurements_model_version_id_created_at"),
        "scan_measurements",
        ["model_version_id", "created_at"],
    )
    _make_references()
    op.create_table(
        "drift_evaluations",
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("requested_at", MOMENT, nullable=True),
        sa.Column("evaluated_at", MOMENT, nullable=True),
        sa.Column("found", JSON, nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_drift_evaluations_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("model_version_id", name=op.f("pk_drift_evaluations")),
    )
    op.create_table(
        "drift_alarms",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("reference_id", sa.String(length=36), nullable=False),
        sa.Column("week", sa.String(length=8), nullable=False),
        sa.Column("site", sa.String(length=255), nullable=False),
        sa.Column("findings", JSON, nullable=False),
        sa.Column("raised_at", MOMENT, nullable=False),
        sa.Column("acknowledged_at", MOMENT, nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("notified_at", MOMENT, nullable=True),
        sa.Column("notify_attempts", sa.Integer(), nullable=False),
        sa.Column("notify_after", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_drift_alarms_model_version_id_model_versions"),
        ),
        sa.ForeignKeyConstraint(
            ["reference_id"],
            ["drift_references.id"],
            name=op.f("fk_drift_alarms_reference_id_drift_references"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_alarms")),
        sa.UniqueConstraint(
            "reference_id", "week", "site", name=op.f("uq_drift_alarms_reference_id_week_site")
        ),
    )
    op.create_index(
        op.f("ix_drift_alarms_model_version_id_week"), "drift_alarms", ["model_version_id", "week"]
    )
    op.create_index(op.f("ix_drift_alarms_raised_at_id"), "drift_alarms", ["raised_at", "id"])


def _make_references() -> None:
    op.create_table(
        "drift_references",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("cohort_id", sa.String(length=36), nullable=True),
        sa.Column("cohort_name", sa.String(length=255), nullable=False),
        sa.Column("simulated", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("selection", sa.String(length=32), nullable=True),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "measuring",
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
        sa.Column("in_use", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("sample", JSON, nullable=True),
        sa.Column("requested_by", sa.String(length=255), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("lease_owner", sa.String(length=128), nullable=True),
        sa.Column("lease_expires_at", MOMENT, nullable=True),
        sa.Column("heartbeat_at", MOMENT, nullable=True),
        sa.Column("cancel_requested", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("error_details", JSON, nullable=True),
        sa.Column("error_reference", sa.String(length=64), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("queued_at", MOMENT, nullable=False),
        sa.Column("not_before", MOMENT, nullable=True),
        sa.Column("published_at", MOMENT, nullable=True),
        sa.Column("started_at", MOMENT, nullable=True),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("traceparent", sa.String(length=55), nullable=True),
        sa.ForeignKeyConstraint(
            ["cohort_id"],
            ["cohorts.id"],
            name=op.f("fk_drift_references_cohort_id_cohorts"),
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_drift_references_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drift_references")),
    )
    for columns in (["state", "queued_at", "id"], ["finished_at"], ["model_version_id", "created_at"]):
        op.create_index(op.f(f"ix_drift_references_{'_'.join(columns)}"), "drift_references", columns)
    op.create_index(
        "uq_drift_references_in_use",
        "drift_references",
        ["model_version_id"],
        unique=True,
        sqlite_where=sa.text("in_use"),
        postgresql_where=sa.text("in_use"),
    )


def downgrade() -> None:
    for table in ("drift_alarms", "drift_evaluations", "drift_references", "scan_measurements"):
        op.drop_table(table)
