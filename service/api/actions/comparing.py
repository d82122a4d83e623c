"""Comparing a person and a scan with the people of the model that answered."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from service.api.population_payloads import ComparisonResponse, MiddleRange, PopulationResponse
from service.db.rows import ModelVersionRow, PredictionRow, ResultRow
from service.population import Comparison, compare


def answering_card(session: Session, prediction_id: str) -> dict[str, Any] | None:
    """Return the card of the model that a result is of; None before there is a result."""
    query = (
        select(ModelVersionRow.card)
        .join(ResultRow, ResultRow.model_version_id == ModelVersionRow.id)
        .where(ResultRow.prediction_id == prediction_id)
    )
    return session.scalars(query).one_or_none()


def population_response(row: PredictionRow, card: Mapping[str, Any] | None) -> PopulationResponse | None:
    """Compare by what the card says now, and by what was said of the scan when it was uploaded.

    Parameters
    ----------
    row : PredictionRow
        With its scan and its result.
    card : mapping or None
        Of the model that answered.

    Returns
    -------
    PopulationResponse or None
        None where there is no result, or the card does not describe its people.
    """
    population = card.get("population") if card else None
    if population is None or row.result is None:
        return None
    compared = compare(
        population,
        age_years=row.scan.age_years,
        sex=row.scan.sex,
        site=row.scan.site,
        quality=row.result.result["quality"],
    )
    return PopulationResponse(
        subjects=population["subjects"],
        cases=population["cases"],
        controls=population["controls"],
        comparisons=[_response(one) for one in compared],
    )


def _response(compared: Comparison) -> ComparisonResponse:
    middle = compared.middle_90
    return ComparisonResponse(
        name=compared.name,
        value=compared.value,
        place=compared.place,
        middle_90=None if middle is None else MiddleRange(low=middle[0], high=middle[1]),
        percentile=compared.percentile,
        subjects=compared.subjects,
    )
