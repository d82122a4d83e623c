"""Scopes of API keys, failed logins and known browsers, and logins through an identity provider."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

# What a key could do before there were scopes: all that its account's role allows.
EVERYTHING = "admin models:read predictions:read predictions:write scans:read scans:write"


def upgrade() -> None:
    with op.batch_alter_table("api_keys") as table:
        table.add_column(
            sa.Column("scopes", sa.String(length=255), nullable=False, server_default=EVERYTHING)
        )
    with op.batch_alter_table("api_keys") as table:
        table.alter_column("scopes", server_default=None)
    with op.batch_alter_table("sessions") as table:
        table.add_column(
            sa.Column("through_provider", sa.Boolean(), server_default=sa.false(), nullable=False)
        )

    op.create_table(
        "login_attempts",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_login_attempts")),
    )
    op.create_index(op.f("ix_login_attempts_at"), "login_attempts", ["at"], unique=False)
    op.create_index(op.f("ix_login_attempts_source_at"), "login_attempts", ["source", "at"], unique=False)

    op.create_table(
        "known_browsers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_known_browsers_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_known_browsers_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_known_browsers")),
        sa.UniqueConstraint("token_hash", "user_id", name=op.f("uq_known_browsers_token_hash_user_id")),
    )
    op.create_index(op.f("ix_known_browsers_user_id"), "known_browsers", ["user_id"], unique=False)

    op.create_table(
        "provider_identities",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("organisation_id", sa.String(length=36), nullable=False),
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_provider_identities_user_id_users"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organisation_id"],
            ["organisations.id"],
            name=op.f("fk_provider_identities_organisation_id_organisations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_identities")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_provider_identities_issuer_subject")),
    )
    op.create_index(op.f("ix_provider_identities_user_id"), "provider_identities", ["user_id"], unique=False)

    op.create_table(
        "provider_logins",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("state", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_provider_logins")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_provider_logins_token_hash")),
    )
    op.create_index(op.f("ix_provider_logins_expires_at"), "provider_logins", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("provider_logins")
    op.drop_table("provider_identities")
    op.drop_table("known_browsers")
    op.drop_table("login_attempts")
    with op.batch_alter_table("sessions") as table:
        table.drop_column("through_provider")
    with op.batch_alter_table("api_keys") as table:
        table.drop_column("scopes")
