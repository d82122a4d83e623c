"""From the rows of a finished prediction to the contents of its report."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy.orm import Session

from service import jobs
from service.api.actions.comparing import population_response
from service.api.actions.normalised_scans import quality_of
from service.api.actions.reviewing import review_page
from service.api.review_payloads import ReviewResponse
from service.db.rows import ModelVersionRow, PredictionRow, PredictionState, ScanRow
from service.errors import ServiceError
from service.report.charts import dvars_chart, scale_chart, windows_chart
from service.report.contents import Fact, Measured, Report, ReportPicture, ReviewWords
from service.report.headings import headings
from service.web import wording
from service.web.language import _, current, marked, pgettext
from service.web.methods import kind_of, members_of
from service.web.prediction.comparing import Line, person_lines, quality_lines
from service.web.prediction.normalised import done_to
from service.web.prediction.scale import uncertain_band
from service.web.prediction.verdict import QualityVerdict, quality_verdict
from service.web.rendering import moment, percent, readable_bytes

# As many as the page of the prediction shows.
REVIEWS = 50

# Of the intervals in every card's metrics (docs/model-card.md).
LEVEL = 0.95

RULES = {
    "conformal": marked("conformal sets: a group is ruled out at the error rate that the model promises"),
    "interval": marked("uncertain where the interval includes the threshold"),
}
PERFORMANCE = {
    "sensitivity": marked("Sensitivity"),
    "specificity": marked("Specificity"),
    "auc": marked("Area under the ROC curve"),
    "balanced_accuracy": marked("Balanced accuracy"),
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
    address: str | None,
    made_at: datetime,
    made_by: str,
    version: str,
    pictures: Sequence[ReportPicture] = (),
) -> Report:
    """Put a prediction into the words and drawings of its report, in the language that is spoken.

    Parameters
    ----------
    session : Session
    row : PredictionRow
        With its scan and its result.
    address : str or None
        Of the prediction's page, whole; None where nobody has said what people type.
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
        language=current(),
        headings=headings(),
        made_at=made_at,
        title=_("RestNet report %(prediction)s", prediction=row.id),
        notice=(wording.banner(result["model"]["intended_use"]), _(wording.NOTICE)),
        subject=row.scan.subject_id or _("Without a pseudonym"),
        person=_person(row.scan, person_lines(compared, population)),
        probability=percent(result["adhd_probability"]),
        interval=_("%(level)s interval %(low)s to %(high)s", level=percent(level / 100), low=low, high=high),
        decision=wording.decision(result, band),
        scale=scale_chart(result, band),
        windows=windows_chart(result),
        dvars=dvars_chart(result),
        remarks=wording.warnings_beside_banner(result["warnings"]),
        verdict=_verdict(verdict),
        quality=[_measured(line) for line in quality_lines(result["quality"], compared, population)],
        scan=[
            *_scan(row.scan, result["scan"]),
            *(
                Fact(done.name, done.said)
                for done in done_to(result, quality_of(jobs.normalised_of(session, row.scan_id)))
            ),
        ],
        model=_model(result, sha256=registered.sha256),
        performance=_performance(metrics),
        measured_on=_measured_on(metrics),
        reviews=[_review(written) for written in reviews.items],
        more_reviews=reviews.next_cursor is not None,
        origin=(
            Fact(_("Prediction"), row.id),
            *([] if address is None else [Fact(_("Page"), address)]),
            Fact(_("Answered"), moment(row.result.created_at)),
            Fact(_("Report made"), _("%(moment)s, by %(account)s", moment=moment(made_at), account=made_by)),
            Fact("RestNet", _("version %(version)s", version=version)),
        ),
        pictures=tuple(pictures),
    )


def _person(scan: ScanRow, lines: Sequence[Line]) -> list[Fact]:
    if lines:
        return [Fact(line.name, _beside(line.value, line)) for line in lines]
    said = {
        _("Age"): None if scan.age_years is None else wording.figure("age_years", scan.age_years),
        _("Sex"): _(scan.sex) if scan.sex else None,
        _("Site"): scan.site,
    }
    return [Fact(name, value or _("not given")) for name, value in said.items()]


def _beside(value: str, line: Line) -> str:
    if not line.place:
        return value
    return _("%(value)s (%(place)s the training group)", value=value, place=line.placed.lower())


def _measured(line: Line) -> Measured:
    """Say where a figure lies among the training scans; what it is where that is not known."""
    return Measured(
        line.name,
        line.value,
        _("%(place)s: %(said)s", place=line.placed, said=line.said) if line.place else line.caption,
    )


def _scan(scan: ScanRow, read: Mapping[str, Any]) -> list[Fact]:
    zooms = " \N{MULTIPLICATION SIGN} ".join(f"{round(float(zoom), 2):g}" for zoom in read["zooms_mm"])
    shape = " \N{MULTIPLICATION SIGN} ".join(str(length) for length in read["shape"])
    return [
        Fact(_("File"), scan.display_name),
        Fact(_("Uploaded"), moment(scan.created_at)),
        Fact(_("Size"), readable_bytes(scan.size_bytes)),
        Fact(_("Grid"), _("%(shape)s, voxels of %(zooms)s mm", shape=shape, zooms=zooms)),
        Fact(_("One frame in"), wording.figure("tr_s", round(float(read["tr_s"]), 3))),
        Fact("SHA-256", str(read["sha256"]), digest=True),
    ]


def _model(result: dict[str, Any], *, sha256: str) -> list[Fact]:
    model = result["model"]
    rule = wording.decision_rule(result)
    # What a card says of itself is in its maker's language; the demonstration's is ours.
    return [
        Fact(_("Name"), _("%(name)s, version %(version)s", name=_(model["name"]), version=model["version"])),
        Fact(_("Intended use"), _(str(model["intended_use"]))),
        Fact(_("Trained on"), _(str(model["trained_on"]))),
        Fact(kind_of(model), members_of(model)),
        Fact(_("Threshold"), percent(float(result["threshold"]))),
        Fact(_("Decision"), _(RULES.get(rule, rule))),
        Fact("SHA-256", sha256, digest=True),
    ]


def _verdict(verdict: QualityVerdict) -> str:
    said = _("%(headline)s. %(sentence)s", headline=verdict.headline, sentence=verdict.sentence)
    if not verdict.reasons:
        return said
    reasons = pgettext("between the parts of a description", "; ").join(verdict.reasons)
    return _("%(said)s In particular: %(reasons)s.", said=said, reasons=reasons)


def _performance(metrics: Mapping[str, Any]) -> list[Fact]:
    found = []
    for key, name in PERFORMANCE.items():
        match metrics.get(key):
            case {
                "value": int() | float() as value,
                "low": int() | float() as low,
                "high": int() | float() as high,
            }:
                figures = {"value": f"{value:.2f}", "low": f"{low:.2f}", "high": f"{high:.2f}"}
                found.append(Fact(_(name), _("%(value)s (%(low)s to %(high)s)", **figures)))
    return found


def _measured_on(metrics: Mapping[str, Any]) -> str:
    if said := str(metrics.get("measured_on") or ""):
        return _(
            "Measured on %(subjects)s; in brackets %(level)s intervals. In other people, at other sites, it "
            "may do worse.",
            subjects=_(said),
            level=percent(LEVEL),
        )
    return _(
        "Measured on people that its card does not name; in brackets %(level)s intervals. In other people, "
        "at other sites, it may do worse.",
        level=percent(LEVEL),
    )


def _review(written: ReviewResponse) -> ReviewWords:
    return ReviewWords(
        said=wording.review(written),
        by=written.reviewer or _("An account that is gone"),
        at=moment(written.created_at),
        diagnosis=_(wording.DIAGNOSES[written.diagnosis.value]) if written.diagnosis else "",
        consent="" if written.training_consent is None else _(wording.CONSENTS[written.training_consent]),
        reason=written.reason or "",
    )
