"""What is counted and remembered around logins, and what an identity provider vouched for."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key
from service.db.organisations import OrganisationOwned


class LoginAttemptRow(Base):
    """An attempt to log in that has not succeeded; kept for the minutes in which it counts.

    ``account`` is a hash of the name; ``source`` an address, or a browser that the account knows.
    """

    __tablename__ = "login_attempts"
    __table_args__ = (Index(None, "source", "at"),)

    id: Mapped[Key]
    account: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    at: Mapped[CreatedAt] = mapped_column(index=True)


class KnownBrowserRow(OrganisationOwned, Base):
    """An account that somebody has logged in to in a browser; only a hash of the browser's token is kept."""

    __tablename__ = "known_browsers"
    __table_args__ = (UniqueConstraint("token_hash", "user_id"),)

    id: Mapped[Key]
    token_hash: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]


class SecondStepRow(OrganisationOwned, Base):
    """A login whose password was right, and whose code is still asked for."""

    __tablename__ = "second_steps"

    id: Mapped[Key]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    expires_at: Mapped[datetime] = mapped_column(index=True)


class RecoveryCodeRow(OrganisationOwned, Base):
    """A code that replaces the authenticator once, and is gone then; only its hash is kept."""

    __tablename__ = "recovery_codes"
    __table_args__ = (UniqueConstraint("user_id", "code_hash"),)

    id: Mapped[Key]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    code_hash: Mapped[str] = mapped_column(String(64))


class ProviderIdentityRow(OrganisationOwned, Base):
    """Whom an identity provider means by a subject: the only thing that ties its people to accounts."""

    __tablename__ = "provider_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: Mapped[Key]
    issuer: Mapped[str]
    subject: Mapped[str]
    user_id: Mapped[Id] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[CreatedAt]


class ProviderLoginRow(Base):
    """A login that has been sent to the identity provider and may come back once, by the same browser."""

    __tablename__ = "provider_logins"

    id: Mapped[Key]
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    # What Authlib compares the answer with: state, nonce and the code verifier.
    state: Mapped[dict[str, Any]]
    target: Mapped[str] = mapped_column(Text)
    expires_at: Mapped[datetime] = mapped_column(index=True)
