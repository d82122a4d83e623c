"""Each alarm is told to the address in the settings: signed, tried again, never waited for long."""

import asyncio
import hashlib
import hmac
import json
from datetime import datetime
from http import HTTPStatus
from typing import Any

import httpx2
from pydantic import SecretStr
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session, joinedload, sessionmaker

from service.db.base import utc_now
from service.db.rows import DriftAlarmRow
from service.logs import get_logger
from service.settings import Settings

SIGNATURE = "X-RestNet-Signature"
# Twelve tries reach over fourteen hours and a half.
ATTEMPTS = 12
# What is older is no news: where an address is set later, nobody is told of it.
NEWEST_S = 7 * 86400.0
_FIRST_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 6 * 3600.0
_MOST_A_ROUND = 20

log = get_logger(__name__)


def notify(sessions: sessionmaker[Session], settings: Settings) -> int:
    """Tell the webhook of the alarms that it has not been told of; returns how many it took.

    What it does not take is tried again later, at growing intervals; the first failure of a round ends it.
    """
    url = settings.drift_webhook_url
    if url is None:
        return 0
    told = 0
    for _ in range(_MOST_A_ROUND):
        alarm = _next(sessions)
        if alarm is None:
            break
        body = json.dumps(described(alarm), ensure_ascii=False).encode()
        secret, timeout_s = settings.drift_webhook_secret, settings.drift_webhook_timeout_s
        if not _send(url.get_secret_value(), body, secret=secret, timeout_s=timeout_s):
            if alarm.notify_attempts + 1 >= ATTEMPTS:
                log.error("drift_webhook_given_up", alarm_id=alarm.id, attempts=ATTEMPTS)
            break
        with sessions.begin() as session:
            # Unless it was raised again meanwhile: of that the receiver knows nothing.
            session.execute(
                update(DriftAlarmRow)
                .where(DriftAlarmRow.id == alarm.id, DriftAlarmRow.raised_at == alarm.raised_at)
                .values(notified_at=utc_now(), notify_after=None)
            )
        told += 1
    return told


def described(alarm: DriftAlarmRow) -> dict[str, Any]:
    """Return what the webhook is told of an alarm: figures of groups, nothing of any one scan or person."""
    kept = ("variable", "n", "statistic", "p_value", "corrected_p")
    return {
        "event": "drift_alarm",
        "alarm_id": alarm.id,
        "raised_at": _said(alarm.raised_at),
        "model": {
            "id": alarm.model_version_id,
            "name": alarm.model_version.name,
            "version": alarm.model_version.version,
        },
        "week": alarm.week,
        "site": alarm.site or None,
        "findings": [{name: finding[name] for name in kept} for finding in alarm.findings],
    }


def signature(body: bytes, secret: SecretStr) -> str:
    """Sign a body: ``sha256=`` and the HMAC in hexadecimal."""
    return "sha256=" + hmac.new(secret.get_secret_value().encode(), body, hashlib.sha256).hexdigest()


def _next(sessions: sessionmaker[Session]) -> DriftAlarmRow | None:
    """Take the oldest alarm that is due; whoever takes it is the only one for the time of the next pause."""
    due = or_(DriftAlarmRow.notify_after.is_(None), DriftAlarmRow.notify_after <= utc_now())
    waiting = (
        DriftAlarmRow.notified_at.is_(None),
        DriftAlarmRow.acknowledged_at.is_(None),
        DriftAlarmRow.raised_at >= utc_now(-NEWEST_S),
        DriftAlarmRow.notify_attempts < ATTEMPTS,
        due,
    )
    with sessions.begin() as session:
        alarm = session.scalars(
            select(DriftAlarmRow)
            .where(*waiting)
            .options(joinedload(DriftAlarmRow.model_version))
            .order_by(DriftAlarmRow.raised_at, DriftAlarmRow.id)
            .limit(1)
        ).one_or_none()
        if alarm is None:
            return None
        attempts = alarm.notify_attempts
        pause_s = min(_FIRST_PAUSE_S * 2.0**attempts, _LONGEST_PAUSE_S)
        taken = session.scalars(
            update(DriftAlarmRow)
            .where(DriftAlarmRow.id == alarm.id, DriftAlarmRow.notify_attempts == attempts, *waiting)
            .values(notify_attempts=attempts + 1, notify_after=utc_now(pause_s))
            .returning(DriftAlarmRow.id),
            execution_options={"synchronize_session": False},
        ).one_or_none()
        session.expunge_all()
    return alarm if taken is not None else None


def _send(url: str, body: bytes, *, secret: SecretStr | None, timeout_s: float) -> bool:
    headers = {"Content-Type": "application/json"}
    if secret is not None:
        headers[SIGNATURE] = signature(body, secret)
    try:
        status = asyncio.run(_post(url, body, headers, timeout_s=timeout_s))
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        # Without its text, which may name the address with a token in it.
        log.warning("drift_webhook_failed", reason=type(error).__name__)
        return False
    taken = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    if not taken:
        log.warning("drift_webhook_failed", status=status)
    return taken


async def _post(url: str, body: bytes, headers: dict[str, str], *, timeout_s: float) -> int:
    """Send a body and return the answer's status, without reading the rest of it.

    The client's own limit is one for each read, so that a receiver which says a byte now and then would hold
    it for ever: the whole has one of its own. Proxies named in the environment are none of the settings.
    """
    async with (
        asyncio.timeout(timeout_s),
        httpx2.AsyncClient(timeout=timeout_s, follow_redirects=False, trust_env=False) as client,
        client.stream("POST", url, content=body, headers=headers) as answer,
    ):
        return answer.status_code


def _said(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
