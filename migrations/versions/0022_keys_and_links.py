"""Idempotency keys of training runs, and links between scans that a deleted one showed to be one person's."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    with op.batch_alter_table("idempotency_keys") as table:
        table.add_column(sa.Column("grid_id", sa.String(length=36), nullable=True))
        table.alter_column("prediction_id", existing_type=sa.String(length=36), nullable=True)
        table.create_check_constraint(
            op.f("ck_idempotency_keys_answer"), "(prediction_id IS NULL) <> (grid_id IS NULL)"
        )
    op.add_column("scans", sa.Column("linked_as", sa.String(length=36), nullable=True))
    op.create_index(op.f("ix_scans_linked_as"), "scans", ["linked_as"], unique=False)


def downgrade() -> None:
    op.drop_index(op.f("ix_scans_linked_as"), "scans")
    op.drop_column("scans", "linked_as")
    # Back there a key stands for a prediction and for nothing else.
    op.execute("DELETE FROM idempotency_keys WHERE prediction_id IS NULL")
    with op.batch_alter_table("idempotency_keys") as table:
        table.drop_constraint(op.f("ck_idempotency_keys_answer"), type_="check")
        table.alter_column("prediction_id", existing_type=sa.String(length=36), nullable=False)
        table.drop_column("grid_id")
