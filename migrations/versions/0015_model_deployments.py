"""Which model version answered when, who put it there and why; the open row replaces the mark on the version.

The version that answers now gets the first row, from when it was registered: what came before was not kept.
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

ACTIVE = "uq_model_versions_active"
ANSWERING = "uq_model_deployments_answering"
FIRST_ID = "00000000-0000-4000-8000-000000000001"

VERSIONS = sa.table(
    "model_versions",
    sa.column("id", sa.String),
    sa.column("created_at", sa.DateTime(timezone=True)),
    sa.column("active", sa.Boolean),
    sa.column("added_by", sa.String),
)
GIVEN = ("id", "number", "model_version_id", "answering", "started_at", "kind", "actor")
DEPLOYMENTS = sa.table("model_deployments", *map(sa.column, GIVEN))
EVENTS = sa.table("audit_events", *map(sa.column, ("actor", "action", "subject_id", "sequence")))


def told_by(action: str) -> sa.ScalarSelect[str]:
    """Whoever did this to a version last, where the audit is as old."""
    told = sa.select(EVENTS.c.actor).where(EVENTS.c.action == action, EVENTS.c.subject_id == VERSIONS.c.id)
    return told.order_by(EVENTS.c.sequence.desc()).limit(1).scalar_subquery()


def upgrade() -> None:
    op.create_table(
        "model_deployments",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model_version_id", sa.String(length=36), nullable=False),
        sa.Column("answering", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("overridden", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint("answering = (ended_at IS NULL)", name=op.f("ck_model_deployments_open")),
        sa.ForeignKeyConstraint(
            ["model_version_id"],
            ["model_versions.id"],
            name=op.f("fk_model_deployments_model_version_id_model_versions"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_deployments")),
        sa.UniqueConstraint("number", name=op.f("uq_model_deployments_number")),
    )
    op.create_index(
        ANSWERING,
        "model_deployments",
        ["answering"],
        unique=True,
        sqlite_where=sa.text("answering"),
        postgresql_where=sa.text("answering"),
    )
    op.execute(
        sa.insert(DEPLOYMENTS).from_select(
            GIVEN,
            sa.select(
                sa.literal(FIRST_ID),
                sa.literal(1),
                VERSIONS.c.id,
                sa.true(),
                VERSIONS.c.created_at,
                sa.literal("first"),
                sa.func.coalesce(told_by("model.activate"), "unknown"),
            ).where(VERSIONS.c.active),
        )
    )
    op.drop_index(ACTIVE, "model_versions")
    with op.batch_alter_table("model_versions") as batch:
        batch.drop_column("active")
        batch.add_column(sa.Column("added_by", sa.String(length=255), nullable=True))
    op.execute(sa.update(VERSIONS).values(added_by=told_by("model.register")))


def downgrade() -> None:
    with op.batch_alter_table("model_versions") as batch:
        batch.drop_column("added_by")
        batch.add_column(sa.Column("active", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.execute(
        "UPDATE model_versions SET active = true "
        "WHERE id = (SELECT model_version_id FROM model_deployments WHERE answering)"
    )
    op.create_index(
        ACTIVE,
        "model_versions",
        ["active"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )
    op.drop_table("model_deployments")
