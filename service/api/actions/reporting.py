"""Gathering the report of a prediction that an account may see."""

from datetime import UTC, datetime
from typing import Literal

from service import jobs
from service.api.access.principal import Principal
from service.api.actions.explaining import explanation_facts_of
from service.api.actions.report_pictures import in_order, normalisation_pictures, report_pictures
from service.api.actions.viewing import find_prediction
from service.api.resources import Resources
from service.report import Report, ReportNotReadyError, gather
from service.web.language import Language, spoken

Format = Literal["html", "pdf"]


def read_report(
    resources: Resources,
    principal: Principal,
    prediction_id: str,
    *,
    version: str,
    kind: Format,
    language: Language,
) -> Report:
    """Gather a report, once the audit has the look.

    Parameters
    ----------
    resources : Resources
    principal : Principal
    prediction_id : str
    version : str
        Of RestNet.
    kind : "html" or "pdf"
        For the audit.
    language : Language
        Of the report.

    Raises
    ------
    PredictionNotFoundError
        If the account sees no such prediction.
    ReportNotReadyError
        If it has not succeeded.
    """
    sessions = resources.sessions_for(principal)
    with sessions.open() as session:
        row = find_prediction(session, principal, prediction_id)
        if row.result is None:
            # Before the look: nothing is shown.
            raise ReportNotReadyError(row.state.value)
        resources.reads.note(
            session,
            principal.actor,
            action="prediction.report",
            subject_kind="prediction",
            subject_id=row.id,
            details={"format": kind},
        )
        facts = explanation_facts_of(session, row.id)
        normalised = jobs.normalised_of(session, row.scan_id)
    # No connection to the database is held meanwhile.
    with spoken(language):
        pictures = in_order(
            normalisation_pictures(resources.storage, normalised, row.id),
            report_pictures(resources.storage, row.id, facts),
        )
    with sessions.open() as session, spoken(language):
        row = find_prediction(session, principal, row.id)
        return gather(
            session,
            row,
            address=_address(resources.settings.public_url, row.id),
            made_at=datetime.now(UTC),
            made_by=principal.username,
            version=version,
            pictures=pictures,
        )


def _address(public_url: str | None, prediction_id: str) -> str | None:
    # A path alone leads nowhere from paper, and what one browser calls this service another may not reach.
    return f"{public_url.rstrip('/')}/predictions/{prediction_id}" if public_url else None
