"""Find the predictions of a state, of a subject and the events about a subject without reading all others."""

from alembic import op

revision = "0011"
down_revision = "0010"

INDEXES = {
    "predictions": ["organisation_id", "state", "created_at", "id"],
    "scans": ["organisation_id", "subject_id"],
    "audit_events": ["organisation_id", "subject_id", "sequence"],
}


def upgrade() -> None:
    for table, columns in INDEXES.items():
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns, unique=False)


def downgrade() -> None:
    for table, columns in INDEXES.items():
        op.drop_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table)
