"""The digest of a scan's stored copy, and what free text the copy lacks."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # Scans that are there keep null in both: what is stored of them is what was uploaded.
    op.add_column("scans", sa.Column("stored_sha256", sa.String(length=64), nullable=True))
    op.add_column("scans", sa.Column("emptied_fields", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "emptied_fields")
    op.drop_column("scans", "stored_sha256")
