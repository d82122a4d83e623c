"""Zips are no longer kept: what the worker makes of one takes its place, and what it refuses goes.

Of zips that lie in storage since before, the housekeeping removes those that nothing waits for any more.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"

# An upload that was checked, and of which neither header nor emptied fields are known, is a zip; or, where a
# database comes back from an earlier version, the run that was made of one.
ZIPS = """
    UPDATE scans SET packed = true
    WHERE deleted_at IS NULL AND header IS NULL AND emptied_fields IS NULL AND stored_sha256 IS NOT NULL
        AND storage_key NOT LIKE '%-run.nii.gz'
"""


def upgrade() -> None:
    op.add_column("scans", sa.Column("packed", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("scans", sa.Column("taken", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("scans", sa.Column("leftover_key", sa.String(length=255), nullable=True))
    op.add_column("scans", sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(ZIPS)
    for name, condition in (
        ("ix_scans_packed", sa.text("packed")),
        ("ix_scans_leftover", sa.text("leftover_key IS NOT NULL")),
    ):
        op.create_index(
            name, "scans", ["id"], unique=False, sqlite_where=condition, postgresql_where=condition
        )


def downgrade() -> None:
    for name in ("ix_scans_leftover", "ix_scans_packed"):
        op.drop_index(name, table_name="scans")
    for name in ("given_up_at", "leftover_key", "taken", "packed"):
        op.drop_column("scans", name)
