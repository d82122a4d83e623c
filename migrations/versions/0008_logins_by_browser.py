"""From where a login was begun: what its owner knows it by."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.add_column("sessions", sa.Column("address", sa.String(length=255), nullable=True))
    op.add_column("sessions", sa.Column("browser", sa.String(length=64), nullable=True))


def downgrade() -> None:
    op.drop_column("sessions", "browser")
    op.drop_column("sessions", "address")
