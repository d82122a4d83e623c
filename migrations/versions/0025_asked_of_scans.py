"""What whoever hands a scan over says of its acquisition: repetition time, order of slices, which run."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

SAID = {"tr_s": sa.Double(), "slice_order": sa.String(length=40), "run": sa.String(length=64)}


def upgrade() -> None:
    for name, kind in SAID.items():
        op.add_column("scans", sa.Column(name, kind, nullable=True))


def downgrade() -> None:
    for name in reversed(SAID):
        op.drop_column("scans", name)
