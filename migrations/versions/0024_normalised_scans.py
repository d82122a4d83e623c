"""Scans in the scanner's space: a queue of their own, and what is kept of each in template space."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"

BEFORE = ("queued", "preprocessing", "classifying", "succeeded", "failed", "cancelled")
SINCE = ("queued", "preprocessing", "normalising", "classifying", "succeeded", "failed", "cancelled")


def upgrade() -> None:
    op.create_table(
        "normalised_scans",
        sa.Column("scan_id", sa.String(length=36), nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("known", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("storage_key", sa.String(length=255), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("summary", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("provenance", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("took_ms", sa.Double(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_normalised_scans_organisation_id_organisations"),
        ),
        sa.ForeignKeyConstraint(
            ["scan_id"],
            ["scans.id"],
            name=op.f("fk_normalised_scans_scan_id_scans"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("scan_id", name=op.f("pk_normalised_scans")),
    )
    op.add_column("scans", sa.Column("slice_times_s", sa.JSON(none_as_null=True), nullable=True))
    with op.batch_alter_table("predictions") as table:
        table.add_column(sa.Column("lane", sa.String(length=16), server_default="inference", nullable=False))
        table.add_column(sa.Column("stage", sa.String(length=16), nullable=True))
        table.drop_constraint(op.f("ck_predictions_state"), type_="check")
        table.create_check_constraint(op.f("ck_predictions_state"), sa.column("state").in_(SINCE))


def downgrade() -> None:
    # Back there nobody knows this state: the lease runs out, and the work begins anew.
    op.execute("UPDATE predictions SET state = 'preprocessing' WHERE state = 'normalising'")
    with op.batch_alter_table("predictions") as table:
        table.drop_constraint(op.f("ck_predictions_state"), type_="check")
        table.create_check_constraint(op.f("ck_predictions_state"), sa.column("state").in_(BEFORE))
        table.drop_column("stage")
        table.drop_column("lane")
    op.drop_column("scans", "slice_times_s")
    op.drop_table("normalised_scans")
