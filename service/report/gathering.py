"""From the rows of a finished prediction to the contents of its report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from service.api.actions.comparing import population_response
from service.api.actions.reviewing import review_page
from service.api.review_payloads import ReviewResponse
from service.db.rows import ModelVersionRow, PredictionRow, PredictionState, ScanRow
from service.errors import ServiceError
from service.report.charts import dvars_chart, scale_chart, windows_chart
from service.report.contents import Fact, Measured, Report, ReportPicture, ReviewWords
from service.web import wording
from service.web.prediction.comparing import Line, person_lines, quality_lines
from service.web.prediction.scale import uncertain_band
from service.web.prediction.verdict import quality_verdict
from service.web.rendering import moment, percent, readable_bytes

# As many as the page of the prediction shows.
REVIEWS = 50

NETWORKS = {"lstm": "Bi-LSTM", "gru": "Bi-GRU"}
RULES = {
    "conformal": "conformal sets: a group is ruled out at the error rate that the model promises",
    "interval": "uncertain where the interval includes the threshold",
}
PERFORMANCE = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auc": "Area under the ROC curve",
    "balanced_accuracy": "Balanced accuracy",
}


class ReportNotReadyError(ServiceError):
    """There is no answer to report."""

    code: ClassVar[str] = "report_not_ready"

    def __init__(self, state: str) -> None:
        self.state = state
        super().__init__(f"expected a prediction that has succeeded, found one that is {state}")


def gather(
    session: Session,
    row: PredictionRow,
    *,
    address: str,
    made_at: datetime,
    made_by: str,
    version: str,
    pictures: Sequence[ReportPicture] = (),
) -> Report:
    """Put a prediction into the words and drawings of its report.

    Parameters
    ----------
    session : Session
    row : PredictionRow
        With its scan and its result.
    address : str
        Of the prediction's page.
    made_at : datetime
        UTC.
    made_by : str
        Name of the account that asks.
    version : str
        Of RestNet.
    pictures : sequence of ReportPicture

    Raises
    ------
    ReportNotReadyError
        If the prediction has not succeeded.
    """
    if row.state != PredictionState.SUCCEEDED or row.result is None:
        raise ReportNotReadyError(row.state.value)
    result = row.result.result
    registered = session.get_one(ModelVersionRow, row.result.model_version_id)
    metrics = registered.card.get("metrics") or {}
    population = registered.card.get("population")
    compared = population_response(row, registered.card)
    verdict = quality_verdict(result["warnings"], compared)
    band = uncertain_band(result, registered.card)
    reviews = review_page(session, row.id, cursor=None, limit=REVIEWS)
    level = round(100 * float(result["interval"]["level"]))
    low, high = (percent(result["interval"][end]) for end in ("low", "high"))
    return Report(
        prediction_id=row.id,
        made_at=made_at,
        title=f"RestNet report {row.id}",
        notice=(wording.banner(result["model"]["intended_use"]), wording.NOTICE),
        subject=row.scan.subject_id or "Without a pseudonym",
        person=_person(row.scan, person_lines(compared, population)),
        probability=percent(result["adhd_probability"]),
        interval=f"{level}\u202f% interval {low} to {high}",
        decision=wording.decision(result, rules_out_both=band is not None and band.rules_out_both),
        scale=scale_chart(result, band),
        windows=windows_chart(result),
        dvars=dvars_chart(result),
        remarks=wording.warnings_beside_banner(result["warnings"]),
        verdict=f"{verdict.headline}. {verdict.sentence}",
        quality=[_measured(line) for line in quality_lines(result["quality"], compared, population)],
        scan=_scan(row.scan, result["scan"]),
        model=_model(result, sha256=registered.sha256),
        performance=_performance(metrics),
        measured_on=str(metrics.get("measured_on") or ""),
        reviews=[_review(written) for written in reviews.items],
        more_reviews=reviews.next_cursor is not None,
        origin=(
            Fact("Prediction", row.id),
            Fact("Page", address),
            Fact("Answered", moment(row.result.created_at)),
            Fact("Report made", f"{moment(made_at)}, by {made_by}"),
            Fact("RestNet", f"version {version}"),
        ),
        pictures=tuple(pictures),
    )


def _person(scan: ScanRow, lines: Sequence[Line]) -> list[Fact]:
    if lines:
        return [Fact(line.name, _beside(line.value, line)) for line in lines]
    said = {
        "Age": None if scan.age_years is None else f"{scan.age_years:g} years",
        "Sex": scan.sex,
        "Site": scan.site,
    }
    return [Fact(name, value or "not given") for name, value in said.items()]


def _beside(value: str, line: Line) -> str:
    return f"{value} ({line.placed.lower()} the training group)" if line.place else value


def _measured(line: Line) -> Measured:
    """Say where a figure lies among the training scans; what it is where that is not known."""
    return Measured(line.name, line.value, f"{line.placed}: {line.said}" if line.place else line.caption)


def _scan(scan: ScanRow, read: Mapping[str, Any]) -> list[Fact]:
    zooms = " \N{MULTIPLICATION SIGN} ".join(f"{round(float(zoom), 2):g}" for zoom in read["zooms_mm"])
    shape = " \N{MULTIPLICATION SIGN} ".join(str(length) for length in read["shape"])
    return [
        Fact("File", scan.display_name),
        Fact("Uploaded", moment(scan.created_at)),
        Fact("Size", readable_bytes(scan.size_bytes)),
        Fact("Grid", f"{shape}, voxels of {zooms} mm"),
        Fact("One frame in", f"{round(float(read['tr_s']), 3):g} s"),
        Fact("SHA-256", str(read["sha256"])),
    ]


def _model(result: dict[str, Any], *, sha256: str) -> list[Fact]:
    model = result["model"]
    members = f"{model['members']} member{'' if model['members'] == 1 else 's'}"
    rule = wording.decision_rule(result)
    return [
        Fact("Name", f"{model['name']}, version {model['version']}"),
        Fact("Intended use", str(model["intended_use"])),
        Fact("Trained on", str(model["trained_on"])),
        Fact("Network", f"{model['network']} with {NETWORKS.get(model['rnn'], model['rnn'])}, {members}"),
        Fact("Threshold", percent(float(result["threshold"]))),
        Fact("Decision", RULES.get(rule, rule)),
        Fact("SHA-256", sha256),
    ]


def _performance(metrics: Mapping[str, Any]) -> list[Fact]:
    found = []
    for key, name in PERFORMANCE.items():
        match metrics.get(key):
            case {
                "value": int() | float() as value,
                "low": int() | float() as low,
                "high": int() | float() as high,
            }:
                found.append(Fact(name, f"{value:.2f} ({low:.2f} to {high:.2f})"))
    return found


def _review(written: ReviewResponse) -> ReviewWords:
    return ReviewWords(
        said=wording.review(written),
        by=written.reviewer or "An account that is gone",
        at=moment(written.created_at),
        diagnosis=wording.DIAGNOSES[written.diagnosis.value] if written.diagnosis else "",
        reason=written.reason or "",
    )
