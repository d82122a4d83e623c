"""The pictures of an explanation and of a normalisation, as a report shows them."""

from collections.abc import Sequence

from service.api.actions.normalised_scans import figures_of
from service.api.explanation_payloads import ExplanationFacts
from service.db.rows import NormalisedScanRow
from service.errors import ServiceError
from service.explanations import read_member
from service.logs import get_logger
from service.report import ReportPicture
from service.storage import Storage, explanation_key, normalised_figure_key
from service.web.language import _
from service.web.prediction.normalised import figure_words
from service.web.prediction.picture_wording import picture
from service.web.rendering import signed

# In this order, and no more than a report has room for; a band-passed scan has three of them.
_SHOWN = ("attribution.png", "carpet.png", "mean.png", "tsnr.png", "temporal_sd.png")
MOST = 4

log = get_logger(__name__)


def report_pictures(
    storage: Storage, prediction_id: str, facts: ExplanationFacts | None
) -> tuple[ReportPicture, ...]:
    """Read the pictures; a report is whole without them, and none is lost for a storage that is away.

    Parameters
    ----------
    storage : Storage
    prediction_id : str
    facts : ExplanationFacts or None
        None where there are no pictures.
    """
    if facts is None:
        return ()
    names = [name for name in _SHOWN if name in facts.pictures][:MOST]
    try:
        with storage.open_local(explanation_key(prediction_id)) as path:
            found = [(name, read_member(path, name)) for name in names]
    except (ServiceError, OSError) as error:
        log.warning("report_without_pictures", prediction_id=prediction_id, reason=type(error).__name__)
        return ()
    return tuple(_picture(name, png, facts) for name, png in found if png is not None)


def normalisation_pictures(
    storage: Storage, row: NormalisedScanRow | None, prediction_id: str
) -> tuple[ReportPicture, ...]:
    """Read the figures of how a scan was brought into template space, as :func:`report_pictures` does.

    Parameters
    ----------
    storage : Storage
    row : NormalisedScanRow or None
        None of a scan that was given in template space.
    prediction_id : str
    """
    if row is None:
        return ()
    found = []
    for figure in figures_of(row, prediction_id):
        name = figure["name"].removesuffix(".png")
        try:
            with storage.open_local(normalised_figure_key(row.scan_id, row.version, name)) as path:
                png = path.read_bytes()
        except (ServiceError, OSError) as error:
            log.warning("report_without_pictures", prediction_id=prediction_id, reason=type(error).__name__)
            continue
        words = figure_words(name)
        found.append(
            ReportPicture(
                name=f"normalised-{name}",
                png=png,
                width=figure["width"],
                height=figure["height"],
                alt=words.alt,
                caption=words.short,
            )
        )
    return tuple(found)


def in_order(
    normalised: Sequence[ReportPicture], explained: Sequence[ReportPicture]
) -> tuple[ReportPicture, ...]:
    """Choose the pictures that a report has room for: whether the template fits before all others."""
    return (*normalised[:1], *explained, *normalised[1:])[:MOST]


def _picture(name: str, png: bytes, facts: ExplanationFacts) -> ReportPicture:
    drawn = facts.pictures[name]  # type: ignore[index]  # a name out of the facts
    return ReportPicture(
        name=name.removesuffix(".png").replace("_", "-"),
        png=png,
        width=drawn.width,
        height=drawn.height,
        alt=picture(name).alt,
        caption=_caption(name, facts),
    )


def _caption(name: str, facts: ExplanationFacts) -> str:
    words = picture(name)
    said = _("%(headline)s. %(sentence)s", headline=words.title, sentence=words.short)
    if name != "attribution.png" or facts.accounts:
        return said
    moved = facts.logit - facts.baseline_logit
    return _(
        "Do not rely on it: shares of %(shares)s for a change of %(change)s. %(caption)s",
        shares=signed(moved + facts.completeness_error),
        change=signed(moved),
        caption=said,
    )
