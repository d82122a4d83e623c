"""Chain the audit events, refuse to change them, and note how far the removal of a scan is."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

BEGINNING = "0" * 64
# SQLite takes no more than 999 parameters where it was built so.
BATCH = 500
KEPT = "deleted_at IS NULL"
FILES_TO_REMOVE = "deleted_at IS NOT NULL AND files_removed_at IS NULL"
REFUSAL = "audit_events is append-only"


def upgrade() -> None:
    with op.batch_alter_table("audit_events") as table:
        table.add_column(sa.Column("sequence", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("address", sa.String(length=255), nullable=True))
        table.add_column(sa.Column("previous_hash", sa.String(length=64), nullable=True))
        table.add_column(sa.Column("hash", sa.String(length=64), nullable=True))
    sequence, last_hash = _chain(op.get_bind())
    with op.batch_alter_table("audit_events") as table:
        table.alter_column("sequence", existing_type=sa.BigInteger(), nullable=False)
        table.alter_column("address", existing_type=sa.String(length=255), nullable=False)
        table.alter_column("previous_hash", existing_type=sa.String(length=64), nullable=False)
        table.alter_column("hash", existing_type=sa.String(length=64), nullable=False)
        table.create_unique_constraint(op.f("uq_audit_events_sequence"), ["sequence"])
        # An organisation's audit is read in the order of the chain.
        table.drop_index(op.f("ix_audit_events_organisation_id_at_id"))
        table.create_index(op.f("ix_audit_events_organisation_id_sequence"), ["organisation_id", "sequence"])
    heads = op.create_table(
        "audit_heads",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_audit_heads_one")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit_heads")),
    )
    op.bulk_insert(heads, [{"id": 1, "sequence": sequence, "hash": last_hash}])
    # After the last copy of the table that SQLite makes to alter it: a copy loses its triggers.
    for statement in _triggers():
        op.execute(statement)

    op.add_column("scans", sa.Column("deleted_because", sa.String(length=16), nullable=True))
    op.add_column("scans", sa.Column("files_removed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE scans SET deleted_because = 'request' WHERE deleted_at IS NOT NULL")
    op.create_index(
        "ix_scans_kept_created_at",
        "scans",
        ["created_at"],
        sqlite_where=sa.text(KEPT),
        postgresql_where=sa.text(KEPT),
    )
    op.create_index(
        "ix_scans_files_to_remove",
        "scans",
        ["id"],
        sqlite_where=sa.text(FILES_TO_REMOVE),
        postgresql_where=sa.text(FILES_TO_REMOVE),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_scans_kept_created_at",
        "scans",
        sqlite_where=sa.text(KEPT),
        postgresql_where=sa.text(KEPT),
    )
    op.drop_index(
        "ix_scans_files_to_remove",
        "scans",
        sqlite_where=sa.text(FILES_TO_REMOVE),
        postgresql_where=sa.text(FILES_TO_REMOVE),
    )
    op.drop_column("scans", "files_removed_at")
    op.drop_column("scans", "deleted_because")
    op.drop_table("audit_heads")
    for trigger in ("update", "delete", "truncate"):
        if _is_postgresql():
            op.execute(f"DROP TRIGGER audit_events_no_{trigger} ON audit_events")
        elif trigger != "truncate":
            op.execute(f"DROP TRIGGER audit_events_no_{trigger}")
    if _is_postgresql():
        op.execute("DROP FUNCTION refuse_audit_change()")
    with op.batch_alter_table("audit_events") as table:
        table.drop_index(op.f("ix_audit_events_organisation_id_sequence"))
        table.create_index(op.f("ix_audit_events_organisation_id_at_id"), ["organisation_id", "at", "id"])
        table.drop_constraint(op.f("uq_audit_events_sequence"), type_="unique")
        for column in ("hash", "previous_hash", "address", "sequence"):
            table.drop_column(column)


def _triggers() -> list[str]:
    if not _is_postgresql():
        return [
            f"CREATE TRIGGER audit_events_no_{act.lower()} BEFORE {act} ON audit_events "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            for act in ("UPDATE", "DELETE")
        ]
    function = f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}'; END $$"
    return [
        f"CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS {function}",
        *(
            f"CREATE TRIGGER audit_events_no_{act.lower()} BEFORE {act} ON audit_events "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
            for act in ("UPDATE", "DELETE", "TRUNCATE")
        ),
    ]


def _is_postgresql() -> bool:
    return op.get_bind().dialect.name == "postgresql"


def _chain(connection: sa.Connection) -> tuple[int, str]:
    """Number and chain what there is, the oldest first; returns the last number and hash."""
    # As the table is now, other migrations' columns too: every one of them is hashed.
    events = sa.Table("audit_events", sa.MetaData(), autoload_with=connection)
    fill = (
        sa.update(events)
        .where(events.c.id == sa.bindparam("of"))
        .values({name: sa.bindparam(name) for name in ("sequence", "address", "previous_hash", "hash")})
    )
    ids = connection.scalars(sa.select(events.c.id).order_by(events.c.at, events.c.id)).all()
    sequence, previous_hash = 0, BEGINNING
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        rows = connection.execute(sa.select(events).where(events.c.id.in_(batch))).mappings()
        by_id = {row["id"]: row for row in rows}
        filled = []
        for id_ in batch:
            sequence += 1
            added = {"sequence": sequence, "address": "not recorded", "previous_hash": previous_hash}
            previous_hash = _event_hash({**by_id[id_], **added})
            filled.append({"of": id_, **added, "hash": previous_hash})
        connection.execute(fill, filled)
    return sequence, previous_hash


def _event_hash(event: Mapping[str, Any]) -> str:
    """Return the hash that `service.audit.chain` gives, as it was when this migration was written."""
    said = {name: _plain(value) for name, value in event.items() if name != "hash" and value is not None}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        # SQLite keeps no zone: what it holds is UTC.
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value
