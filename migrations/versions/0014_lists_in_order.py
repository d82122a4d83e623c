"""List predictions by pseudonym and by probability, and find pseudonyms by how they begin.

PostgreSQL keeps the column as it is and only builds its index anew: the order of its characters changes from
that of the database's locale to that of their codes, in which all that begin alike stand together.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

OLD = ["organisation_id", "subject_id"]
INDEXES = {
    "scans": ["organisation_id", "subject_id", "created_at", "id"],
    "results": ["organisation_id", "adhd_probability", "prediction_id"],
}


def name_of(table: str, columns: list[str]) -> str:
    return op.f(f"ix_{table}_{'_'.join(columns)}")


def order_pseudonyms(collation: str | None) -> None:
    # SQLite compares characters by their codes already.
    if op.get_bind().dialect.name == "postgresql":
        op.alter_column("scans", "subject_id", type_=sa.String(255, collation=collation))


def upgrade() -> None:
    op.drop_index(name_of("scans", OLD), "scans")
    order_pseudonyms("C")
    for table, columns in INDEXES.items():
        op.create_index(name_of(table, columns), table, columns, unique=False)


def downgrade() -> None:
    for table, columns in INDEXES.items():
        op.drop_index(name_of(table, columns), table)
    order_pseudonyms("default")
    op.create_index(name_of("scans", OLD), "scans", OLD, unique=False)
