"""Organisations, and on every row whose it is. What there is goes to one that is called ``default``.

Undone, everybody's rows lie together again: whose they were is lost.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

DEFAULT_ORGANISATION_ID = "00000000-0000-4000-8000-000000000000"

# Tables, and the columns by which an organisation's own rows are listed in order.
LISTED_BY = {
    "users": ("created_at", "id"),
    "api_keys": ("created_at", "id"),
    "scans": ("created_at", "id"),
    "predictions": ("created_at", "id"),
    "training_runs": ("created_at", "id"),
    "audit_events": ("at", "id"),
}
OWNED = (*LISTED_BY, "sessions", "results", "training_folds", "idempotency_keys")
# Lists are read within an organisation now.
REPLACED = ("scans", "predictions", "training_runs")


def upgrade() -> None:
    organisations = op.create_table(
        "organisations",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organisations")),
        sa.UniqueConstraint("name", name=op.f("uq_organisations_name")),
    )
    op.execute(
        organisations.insert().values(
            id=DEFAULT_ORGANISATION_ID, name="default", created_at=datetime.now(UTC)
        )
    )
    for table in REPLACED:
        op.drop_index(op.f(f"ix_{table}_created_at_id"), table)
    for table in OWNED:
        # With a value for the rows that there are: PostgreSQL need not write each of them anew.
        owner = sa.Column("organisation_id", sa.String(length=36), server_default=DEFAULT_ORGANISATION_ID)
        owner.nullable = table == "audit_events"
        op.add_column(table, owner)
        with op.batch_alter_table(table) as batch:
            batch.alter_column("organisation_id", server_default=None)
            batch.create_foreign_key(
                op.f(f"fk_{table}_organisation_id_organisations"),
                "organisations",
                ["organisation_id"],
                ["id"],
            )
    for table, columns in LISTED_BY.items():
        names = ("organisation_id", *columns)
        op.create_index(op.f(f"ix_{table}_{'_'.join(names)}"), table, names)
    op.create_index(op.f("ix_scans_uploaded_by"), "scans", ["uploaded_by"])


def downgrade() -> None:
    op.drop_index(op.f("ix_scans_uploaded_by"), "scans")
    for table, columns in LISTED_BY.items():
        op.drop_index(op.f(f"ix_{table}_organisation_id_{'_'.join(columns)}"), table)
    for table in OWNED:
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(op.f(f"fk_{table}_organisation_id_organisations"), type_="foreignkey")
            batch.drop_column("organisation_id")
    for table in REPLACED:
        op.create_index(op.f(f"ix_{table}_created_at_id"), table, ["created_at", "id"])
    op.drop_table("organisations")
