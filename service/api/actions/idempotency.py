"""Requests that may be sent again: what an account's ``Idempotency-Key`` stands for."""

import hashlib
import json
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.problems.refusals import IdempotencyKeyReusedError
from service.db.rows import IdempotencyRow


@dataclass(frozen=True)
class Repeatable:
    """A request under a key of its account.

    Attributes
    ----------
    principal : str
        The account; a key is counted for each.
    key : str
    request_sha256 : str
        Of what makes two requests the same; see :func:`request_digest`.
    """

    principal: str
    key: str
    request_sha256: str


def request_digest(said: object) -> str:
    """Return the SHA-256 of what makes two requests the same, given as JSON would hold it."""
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def stands_for(session: Session, principal: str, key: str) -> IdempotencyRow | None:
    """Return what an account's key already stands for, whatever was sent with it."""
    return session.scalars(
        select(IdempotencyRow).where(IdempotencyRow.principal == principal, IdempotencyRow.key == key)
    ).one_or_none()


def earlier(session: Session, request: Repeatable) -> IdempotencyRow | None:
    """Return what the same request made before.

    Raises
    ------
    IdempotencyKeyReusedError
        If the key stands for another request.
    """
    row = stands_for(session, request.principal, request.key)
    if row is not None and row.request_sha256 != request.request_sha256:
        raise IdempotencyKeyReusedError
    return row


def keep_key(
    session: Session, request: Repeatable, *, prediction_id: str | None = None, grid_id: str | None = None
) -> None:
    """Let a key stand for what its request has made, a prediction or a grid of runs.

    Of two requests at the same time the unique constraint lets one win: whoever gets an ``IntegrityError``
    finds by :func:`earlier` what the other has made.
    """
    session.add(
        IdempotencyRow(
            principal=request.principal,
            key=request.key,
            request_sha256=request.request_sha256,
            prediction_id=prediction_id,
            grid_id=grid_id,
        )
    )
