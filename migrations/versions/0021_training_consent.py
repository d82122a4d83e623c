"""Whether a review states consent to training on the scan, and when that was refused on one that is deleted.

Nothing was said in the reviews that there are.
"""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("reviews", sa.Column("training_consent", sa.Boolean(), nullable=True))
    op.add_column("scans", sa.Column("training_refused_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    op.drop_column("scans", "training_refused_at")
    op.drop_column("reviews", "training_consent")
