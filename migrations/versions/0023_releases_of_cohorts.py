"""Which official releases the people of a cohort are known to be of; null until a worker has looked."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("cohorts", sa.Column("releases", sa.JSON(), nullable=True))


def downgrade() -> None:
    op.drop_column("cohorts", "releases")
