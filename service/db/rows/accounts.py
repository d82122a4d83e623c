"""The people who log in and the programs that act for them."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    String,
    Text,
    false,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.organisations import OrganisationOwned


class UserRow(OrganisationOwned, Base):
    """A person who logs in; the name is the installation's, because the log-in page asks for no other."""

    __tablename__ = "users"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    username: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]
    # When somebody else set the password; None once its owner has chosen one.
    first_password_at: Mapped[datetime | None]
    # Of an authenticator, as `service.storage.sealing` keeps it; it counts since `totp_since`.
    totp_secret: Mapped[str | None] = mapped_column(Text)
    totp_since: Mapped[datetime | None]
    # Of the last code that was used, so that none serves twice.
    totp_last_step: Mapped[int | None] = mapped_column(BigInteger)
    role: Mapped[str] = mapped_column(String(32))
    created_at: Mapped[CreatedAt]
    disabled_at: Mapped[datetime | None]


class SessionRow(OrganisationOwned, Base):
    """A login on the pages; only a hash of its token is kept."""

    __tablename__ = "sessions"

    id: Mapped[Key]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    csrf_token: Mapped[str] = mapped_column(String(128))
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    last_seen_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    # Whether the identity provider vouched for it, and not a password of ours.
    through_provider: Mapped[bool] = mapped_column(default=False, server_default=false())
    # For its owner, who is to know it again.
    address: Mapped[str | None]
    browser: Mapped[str | None] = mapped_column(String(64))

    user: Mapped[UserRow] = relationship(lazy="raise")


class ApiKeyRow(OrganisationOwned, Base):
    """A program's credential; only a hash is kept, the prefix tells people which one it is."""

    __tablename__ = "api_keys"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    name: Mapped[str]
    prefix: Mapped[str] = mapped_column(String(32), index=True)
    key_hash: Mapped[Sha256] = mapped_column(unique=True)
    # With blanks between them, as OAuth writes them.
    scopes: Mapped[str]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]

    user: Mapped[UserRow] = relationship(lazy="raise")
