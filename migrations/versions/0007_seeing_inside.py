"""Which request queued a job, which workers are there, and jobs by when they ended."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"

JOBS = ("predictions", "training_folds")


def upgrade() -> None:
    for table in JOBS:
        op.add_column(table, sa.Column("request_id", sa.String(length=64), nullable=True))
        op.add_column(table, sa.Column("traceparent", sa.String(length=55), nullable=True))
        op.create_index(op.f(f"ix_{table}_finished_at"), table, ["finished_at"], unique=False)
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("queue", sa.String(length=32), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", "queue", name=op.f("pk_workers")),
    )


def downgrade() -> None:
    op.drop_table("workers")
    for table in JOBS:
        op.drop_index(op.f(f"ix_{table}_finished_at"), table)
        op.drop_column(table, "traceparent")
        op.drop_column(table, "request_id")
