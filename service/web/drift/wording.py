"""What the page about drift says: verdicts, variables and figures in plain words."""

from service.api.drift_payloads import DriftResponse, FindingResponse, ReferenceResponse, ShareResponse
from service.db.rows import ReferenceState
from service.drift.verdict import Verdict
from service.web.language import _, listed, marked, ngettext
from service.web.rendering import percent

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
    "drift_reference_waiting": marked("A reference of this model is on its way. Wait until it is there."),
    "no_active_model": marked("No model answers yet, so there is nothing to compare."),
    "fields_not_valid": marked("Choose a cohort."),
}
DONE = {
    "reference": marked("The reference is queued. This page shows how far it is."),
    "evaluation": marked("The scans are looked at within some seconds."),
    "acknowledged": marked("The alarm is acknowledged."),
    "acknowledged_all": marked("Every alarm of this model is acknowledged."),
}


def variable_of(name: str) -> str:
    """Name a variable."""
    return _(VARIABLES[name]) if name in VARIABLES else name


def title_of(name: str, kind: str | None) -> str:
    """Name what a plot shows: a variable, or the share of one of its kinds."""
    if kind is None:
        return variable_of(name)
    return _("%(variable)s: share of %(kind)s", variable=variable_of(name), kind=kind_of(kind))


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
        return f"{finding.middle:.3g}"
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


def on_its_way(reference: ReferenceResponse | None) -> bool:
    """Whether a reference waits or is being made."""
    return reference is not None and reference.status in {ReferenceState.QUEUED, ReferenceState.MEASURING}
