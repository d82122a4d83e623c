"""The workers that are there."""

from sqlalchemy import (
    String,
)
from sqlalchemy.orm import Mapped, mapped_column

from service.db.base import Base, CreatedAt


class WorkerRow(Base):
    """A worker that says every few seconds that it is there; one row a queue that it serves."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    queue: Mapped[str] = mapped_column(String(32), primary_key=True)
    host: Mapped[str]
    started_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
