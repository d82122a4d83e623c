"""Whether a review states consent to training on the scan; nothing was said in those that there are."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("reviews", sa.Column("training_consent", sa.Boolean(), nullable=True))


def downgrade() -> None:
    op.drop_column("reviews", "training_consent")
