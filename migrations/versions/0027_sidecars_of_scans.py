"""What the BIDS sidecar of an upload says of its acquisition, and nothing else of it."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("scans", sa.Column("sidecar", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "sidecar")
