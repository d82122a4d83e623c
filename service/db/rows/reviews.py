"""What clinicians said of predictions."""

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt, Id, Key
from service.db.organisations import OrganisationOwned


class ReviewRow(OrganisationOwned, Base):
    """One review of a prediction; a later one stands beside it and changes nothing here.

    ``verdict`` is ``accepted`` or ``overridden``; ``decision`` is the reviewer's own word, which only an
    override has. ``training_consent`` is what the person, or a guardian, says of training on the scan: true,
    false, or nothing; the newest word counts (:mod:`service.reviews.consenting`).
    """

    __tablename__ = "reviews"
    __table_args__ = (
        Index(None, "prediction_id", "created_at", "id"),
        Index(None, "organisation_id", "created_at", "id"),
    )

    id: Mapped[Key]
    prediction_id: Mapped[Id] = mapped_column(ForeignKey("predictions.id", ondelete="CASCADE"))
    reviewed_by: Mapped[Id | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    verdict: Mapped[str] = mapped_column(String(16))
    decision: Mapped[str | None] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(Text)
    diagnosis: Mapped[str | None] = mapped_column(String(16))
    training_consent: Mapped[bool | None]
    created_at: Mapped[CreatedAt]
