"""Who has been invited and has no account yet, or had none then."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key, Sha256
from service.db.organisations import OrganisationOwned


class InvitationRow(OrganisationOwned, Base):
    """A link that opens an account once; only a hash of its token is kept.

    It is open until it is accepted, when ``user_id`` names the account that was made, or revoked, or expired.
    """

    __tablename__ = "invitations"
    __table_args__ = (Index(None, "organisation_id", "created_at", "id"),)

    id: Mapped[Key]
    token_hash: Mapped[Sha256] = mapped_column(unique=True)
    username: Mapped[str]
    role: Mapped[str] = mapped_column(String(32))
    invited_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    created_at: Mapped[CreatedAt]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    user_id: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
