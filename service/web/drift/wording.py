"""What the page about drift says: verdicts, variables and figures in plain words."""

from service.api.drift_payloads import (
    DriftResponse,
    FindingResponse,
    FoundResponse,
    ReferenceResponse,
    ShareResponse,
)
from service.db.rows import ReferenceState
from service.drift.variables import NOT_GIVEN, Beside
from service.drift.verdict import Verdict
from service.web.drift.drawing import Plot
from service.web.language import _, listed, marked, ngettext
from service.web.rendering import percent
from service.web.wording import between, three_digits

VERDICTS = {
    Verdict.ALARM.value: marked("Alarm"),
    Verdict.ACKNOWLEDGED.value: marked("Differs, and somebody has seen it"),
    Verdict.NO_ALARM.value: marked("No alarm"),
    Verdict.NOTHING_JUDGED.value: marked("Too few scans to judge"),
    Verdict.NO_REFERENCE.value: marked("Nothing to compare with yet"),
    Verdict.NOT_EVALUATED.value: marked("Not looked at yet"),
    Verdict.NO_MODEL.value: marked("No model answers"),
}
VARIABLES = {
    "tr_s": marked("repetition time"),
    "grid": marked("grid"),
    "decision": marked("decision"),
    "n_frames": marked("number of frames"),
    "duration_s": marked("duration, s"),
    "tsnr": marked("temporal signal-to-noise"),
    "mean_intensity": marked("intensity"),
    "temporal_sd": marked("fluctuation"),
    "dvars_mean": marked("mean DVARS"),
    "dvars_max": marked("largest DVARS"),
    "spike_share": marked("share of spikes"),
    "template_coverage": marked("covered template"),
    "in_band_power": marked("power in the band"),
    "embedding_distance": marked("distance in the model's features"),
    "adhd_probability": marked("probability of ADHD"),
}
DECISIONS = {
    "adhd": marked("ADHD"),
    "control": marked("control"),
    "uncertain": marked("uncertain"),
}
STATES = {
    ReferenceState.QUEUED.value: marked("waits"),
    ReferenceState.MEASURING.value: marked("is being measured"),
    ReferenceState.SUCCEEDED.value: marked("is there"),
    ReferenceState.FAILED.value: marked("failed"),
    ReferenceState.CANCELLED.value: marked("was cancelled"),
}
SELECTIONS = {
    "": marked("as for training"),
    "all": marked("everybody"),
    "train": marked("the training release"),
    "test": marked("the test release"),
    "seed430": marked("a draw like the published 430"),
}
REFUSALS = {
    "cohort_not_known": marked("There is no such cohort any more. Choose another one."),
    "cohort_not_usable": marked("The cohort is not what was registered any more. Register it again."),
    "selection_needs_release": marked(
        "Nobody in the cohort is known to be of an official release. Choose everybody, or ingest it again "
        "with --test-ids."
    ),
    "drift_reference_waiting": marked(
        "A reference of this model is on its way. Wait until it is there, or cancel it."
    ),
    "drift_reference_over": marked("This reference is over: there is nothing to cancel."),
    "no_active_model": marked("No model answers yet, so there is nothing to compare."),
    "fields_not_valid": marked("Choose a cohort."),
}
DONE = {
    "reference": marked("The reference is queued. This page shows how far it is."),
    "cancelled": marked("The reference is cancelled. What scans are compared with stays as it is."),
    "evaluation": marked("The scans are looked at within some seconds."),
    "acknowledged": marked("The alarm is acknowledged."),
    "acknowledged_all": marked("Every alarm of this model is acknowledged."),
}


def beside_of(found: FoundResponse, site: str) -> str:
    """Say what the scans of a site are compared with."""
    baseline = found.baseline_of(site)
    if baseline is None:
        if site in {"", NOT_GIVEN, "others"}:
            return ""
        return _("Compared with the range of the whole reference: of this site alone too little is known.")
    n = baseline.people
    if baseline.beside == Beside.ITS_PEOPLE:
        return ngettext(
            "Compared with %(n)s person of this site in the reference.",
            "Compared with %(n)s people of this site in the reference.",
            n,
            n=n,
        )
    return _(
        "Compared with the first weeks of this site, %(first)s to %(last)s (%(n)s people), and with the "
        "range of the whole reference.",
        first=baseline.weeks[0],
        last=baseline.weeks[-1],
        n=n,
    )


def variable_of(name: str) -> str:
    """Name a variable."""
    return _(VARIABLES[name]) if name in VARIABLES else name


def title_of(name: str, kind: str | None) -> str:
    """Name what a plot shows: a variable, or the share of one of its kinds."""
    if kind is None:
        return variable_of(name)
    return _("%(variable)s: share of %(kind)s", variable=variable_of(name), kind=kind_of(kind))


def scale_of(plot: Plot) -> str:
    """Name the values at the edges of a plot's box, or the one that there is."""
    low, high = value_of(plot, plot.low), value_of(plot, plot.high)
    return low if low == high else between(low, high)


def value_of(plot: Plot, value: float) -> str:
    """Write a value of a plot."""
    return percent(value) if plot.share else three_digits(value)


def variables_of(drift: DriftResponse) -> str:
    """List what differs in the weeks of the verdict."""
    return listed([variable_of(name) for name in VARIABLES if name in drift.alarm_variables])


def sites_of(drift: DriftResponse) -> str:
    """List where it differs."""
    return listed([site_of(site) for site in drift.alarm_sites])


def people_of(reference: ReferenceResponse) -> str:
    """Say how many people a reference is made of, and whether they are real ones."""
    people = reference.people or 0
    if reference.simulated:
        return ngettext("%(n)s simulated person", "%(n)s simulated people", people, n=people)
    return ngettext("%(n)s person", "%(n)s people", people, n=people)


def site_of(site: str) -> str:
    """Name a site."""
    match site:
        case "":
            return _("all sites")
        case "?":
            return _("site not given")
        case "others":
            return _("other sites")
        case _:
            return site


def middle_of(finding: FindingResponse) -> str:
    """Say where the scans of a finding lie: their median, or the share of the reference's commonest kind."""
    if finding.middle is not None:
        return three_digits(finding.middle)
    return f"{kind_of(finding.kind or '')}: {percent(finding.share or 0.0)}"


def kind_of(kind: str) -> str:
    """Name a kind."""
    return _(DECISIONS[kind]) if kind in DECISIONS else kind


def p_of(value: float) -> str:
    """Write a p-value."""
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def share(value: ShareResponse | None) -> str:
    """Write a share with its interval and what it is of; a dash where there is nothing to count."""
    if value is None:
        return "\u2013"
    low, high = percent(value.low), percent(value.high)
    return _(
        "%(share)s (%(low)s to %(high)s, n = %(n)s)",
        share=percent(value.value),
        low=low,
        high=high,
        n=value.n,
    )


def state_of(reference: ReferenceResponse) -> str:
    """Say where a reference stands."""
    if reference.cancel_requested and on_its_way(reference):
        return _("is being cancelled")
    return _(STATES[reference.status.value])


def on_its_way(reference: ReferenceResponse | None) -> bool:
    """Whether a reference waits or is being made."""
    return reference is not None and reference.status in {ReferenceState.QUEUED, ReferenceState.MEASURING}
