"""What the pages say: states, decisions, quality figures and advice in plain words."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from service.api.review_payloads import ReviewResponse
from service.web.language import _, marked
from service.web.language.numbers import per_cent
from service.web.prediction.scale import Band

STATES = {
    "queued": marked("Waiting"),
    "preprocessing": marked("Preparing the scan"),
    "normalising": marked("Bringing the scan into template space"),
    "classifying": marked("Reading the scan"),
    "succeeded": marked("Finished"),
    "failed": marked("Refused or failed"),
    "cancelled": marked("Cancelled"),
}

# What is done to a scan of the scanner's space, in this order.
NORMALISING_STAGES = {
    "looking": marked("looking for its run"),
    "unpacking": marked("unpacking it"),
    "converting": marked("converting its images"),
    "reading": marked("reading it"),
    "slice_timing": marked("slices to one time"),
    "motion": marked("movement of the head"),
    "registration": marked("laying the template over it"),
    "resampling": marked("onto the template's grid"),
    "cleaning": marked("taking out noise"),
    "smoothing": marked("smoothing"),
}

# Which field of the form has what a worker found missing of a run, by the code of the failure.
FIELDS_OF_FAILURES = {
    "missing_repetition_time": "tr_s",
    "repetition_time_disputed": "tr_s",
    "repetition_times_differ": "tr_s",
    "several_series": "run",
    "several_runs": "run",
    "run_not_found": "run",
}

NOTICE = marked("RestNet is research software for decision support. It does not diagnose.")

SORTS = {
    "-created_at": marked("newest first"),
    "created_at": marked("oldest first"),
    "subject_id": marked("pseudonyms from A to Z"),
    "-subject_id": marked("pseudonyms from Z to A"),
    "-adhd_probability": marked("most probable first"),
    "adhd_probability": marked("least probable first"),
}
# What an order has no place for.
LEFT_OUT = {
    "subject_id": marked("Scans without a pseudonym are left out of this order."),
    "adhd_probability": marked("What is not finished has no probability and is left out of this order."),
}

RUNNING = frozenset({"queued", "preprocessing", "normalising", "classifying"})


@dataclass(frozen=True)
class Decision:
    """A decision in words."""

    headline: str
    meaning: str
    caution: str


HEADLINES = {
    "adhd": marked("Leans towards ADHD"),
    "control": marked("Leans towards control"),
    "uncertain": marked("Uncertain"),
}
CAUTIONS = {
    "adhd": marked(
        "This is not a diagnosis. It says that the model finds this scan more like those of the ADHD "
        "group it was trained on; history, symptoms and examination decide."
    ),
    "control": marked(
        "This does not rule ADHD out. It says that the model finds this scan more like those of the "
        "control group it was trained on; history, symptoms and examination decide."
    ),
    "uncertain": marked(
        "This is an answer, not an error. Nothing should be read into the probability being high or low."
    ),
}


def decision(result: dict[str, Any], band: Band | None = None) -> Decision:
    """Say what a result's decision means and what it does not mean.

    Parameters
    ----------
    result : dict
    band : Band or None
        Of the card whose conformal sets decided, where it is known.
    """
    named = result["decision"]
    if decision_rule(result) == "conformal":
        meaning = _by_conformal_sets(named, rules_out_both=band is not None and band.rules_out_both)
        if band is not None and band.error_rate is not None:
            rate = per_cent(round(100 * band.error_rate))
            meaning = _("%(meaning)s That rate is %(rate)s.", meaning=meaning, rate=rate)
    else:
        meaning = _by_interval(result)
    return Decision(_(HEADLINES[named]), meaning, _(CAUTIONS[named]))


def decision_rule(result: dict[str, Any]) -> str:
    """Return the rule by which a result was decided."""
    # A row that names none was made when there was only one.
    return str(result.get("decision_rule", "interval"))


OVERRIDES = {
    "adhd": marked("I override it: ADHD"),
    "control": marked("I override it: control"),
    "cannot_tell": marked("I override it: one cannot tell"),
}
_OWN_DECISIONS = {
    "adhd": marked("ADHD"),
    "control": marked("control"),
    "cannot_tell": marked("one cannot tell"),
}
DIAGNOSES = {
    "adhd": marked("ADHD"),
    "control": marked("control, no disorder"),
    "other": marked("another disorder, not ADHD"),
}
# What a review says of training on the scan, and how the form asks for it.
CONSENTS = {True: marked("consent to training"), False: marked("no consent to training")}
CONSENT_CHOICES = {
    "yes": marked("Yes: they have agreed"),
    "no": marked("No, or they have withdrawn it"),
}


def review(written: ReviewResponse) -> str:
    """Say what a reviewer did with the answer."""
    if written.decision is None:
        return _("Accepted")
    return _("Overridden: %(decision)s", decision=_(_OWN_DECISIONS[written.decision.value]))


_BY_INTERVAL = {
    "adhd": marked("The whole %(level)s %% interval lies above the threshold of %(threshold)s %%."),
    "control": marked("The whole %(level)s %% interval lies below the threshold of %(threshold)s %%."),
    "uncertain": marked(
        "The %(level)s %% interval includes the threshold of %(threshold)s %%: the model cannot tell "
        "the two groups apart on this scan."
    ),
}


def _of_interval(result: dict[str, Any]) -> str:
    low, high, threshold = result["interval"]["low"], result["interval"]["high"], result["threshold"]
    return "uncertain" if low <= threshold <= high else "adhd" if low > threshold else "control"


def _by_interval(result: dict[str, Any]) -> str:
    return _(
        _BY_INTERVAL[_of_interval(result)],
        level=round(100 * float(result["interval"]["level"])),
        threshold=round(100 * float(result["threshold"])),
    )


def _by_conformal_sets(named: str, *, rules_out_both: bool) -> str:
    # Conformal sets look at the probability and not at its interval, nor at the threshold.
    if named == "uncertain" and rules_out_both:
        return _("At the error rate this model promises, the probability rules out both of the two groups.")
    if named == "uncertain":
        return _(
            "At the error rate this model promises, the probability rules out neither of the two groups."
        )
    if named == "adhd":
        return _(
            "At the error rate this model promises, the control group is ruled out and the ADHD group is not."
        )
    return _(
        "At the error rate this model promises, the ADHD group is ruled out and the control group is not."
    )


def banner(intended_use: str) -> str:
    """Say what the model may be used for; shown wherever a probability is."""
    if intended_use == "demonstration":
        return _(
            "Demonstration model, trained on simulated scans. Its answers say nothing about a real person."
        )
    return _("Research use only. Not a diagnosis.")


QUALITY = {
    "n_frames": (marked("Frames"), marked("images of the brain over time")),
    "tr_s": (marked("Repetition time"), marked("from one frame to the next")),
    "duration_s": (
        marked("Length"),
        marked("rest that was recorded; a short run leaves the answer less sure"),
    ),
    "tsnr": (
        marked("Temporal signal-to-noise"),
        marked(
            "mean over fluctuation, higher is steadier; filtered data have none. A failing coil pulls it down"
        ),
    ),
    "mean_intensity": (
        marked("Intensity"),
        marked(
            "mean over time in the file's own units, median of the brain's voxels; filtered data have none"
        ),
    ),
    "temporal_sd": (
        marked("Fluctuation"),
        marked("standard deviation over time in the same units, median of the brain's voxels"),
    ),
    "dvars_mean": (
        marked("DVARS, mean"),
        marked(
            "change from frame to frame; 1 is what these voxels do by themselves. Restlessness lifts all of "
            "it"
        ),
    ),
    "dvars_max": (
        marked("DVARS, largest"),
        marked(
            "the largest of these changes: 2 is twice the ordinary one. A movement is a tall peak, often two"
        ),
    ),
    "spikes": (
        marked("Frames that stand out"),
        marked(
            "unusual for this very scan; in a steady scan even small changes are. Many in a row: a moving "
            "head"
        ),
    ),
    "template_coverage": (
        marked("Brain covered"),
        marked(
            "share of the template brain that the scan contains. A cut field of view or lost signal leaves "
            "holes"
        ),
    ),
    "in_band_power": (
        marked("Signal in the resting band"),
        marked(
            "share of the fluctuation between 0.009 and 0.08 Hz. Breathing, drift or another filter change it"
        ),
    ),
}

_SHARES = frozenset({"spike_share", "template_coverage", "in_band_power"})
# Anything from a millionth to a million.
_IN_THE_FILES_UNITS = frozenset({"mean_intensity", "temporal_sd"})


@dataclass(frozen=True)
class QualityLine:
    """One quality figure for the table."""

    key: str
    name: str
    value: str
    meaning: str


def quality_lines(quality: dict[str, Any]) -> list[QualityLine]:
    """Put a result's quality figures into words; a figure without words keeps its own name."""
    lines = []
    for key, value in quality.items():
        if isinstance(value, dict | list):
            continue
        name, meaning = QUALITY.get(key, (key.replace("_", " ").capitalize(), ""))
        lines.append(QualityLine(key, _(name), figure(key, value), _(meaning)))
    return lines


def figure(key: str, value: Any) -> str:
    """Write one figure as people read it, with its unit."""
    if value is None:
        return _("none")
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if key in _SHARES:
        return per_cent(f"{100 * value:.0f}")
    if key.endswith("_s"):
        return _length(value) if key == "duration_s" else _("%(number)s s", number=format(value, "g"))
    return _number(key, value)


def between(low: object, high: object) -> str:
    """Write a range; both ends are what :func:`figure` or the like has written."""
    return _("%(low)s to %(high)s", low=low, high=high)


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return _("%(minutes)s min %(seconds)s s", minutes=minutes, seconds=rest)


def _number(key: str, value: Any) -> str:
    if key == "age_years":
        return _("%(number)s years", number=format(value, ".1f").removesuffix(".0"))
    if key == "n_frames":
        return str(round(value))
    if key in _IN_THE_FILES_UNITS:
        return three_digits(value)
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def three_digits(value: float) -> str:
    """Write a number of any size: whole from a thousand on, else with three digits that count."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


WARNINGS = {
    "simulated_scan": marked(
        "This scan was made by RestNet's simulator: nobody was measured. The answer shows how "
        "the software works and says nothing about a person."
    ),
    "template_fit_poor": marked(
        "The brain lies a little off the place, size or shape that the model expects, "
        "so it may read neighbouring regions. Look at the registration before relying on the answer."
    ),
    "left_right_unverified": marked(
        "The image itself does not clearly show which side is left: that rests on what "
        "the file says. This is so for many sound scans."
    ),
    "left_right_suspect": marked(
        "Left and right may be exchanged in this file. Compare it with the images at the "
        "scanner before relying on the answer."
    ),
    "orientation_conflict": marked(
        "The file gives its orientation twice, and the two disagree. The usual one "
        "(sform) was used; compare left and right with the images at the scanner."
    ),
    "time_unit_missing": marked(
        "The file does not say in which unit its repetition time is, so the unit was "
        "guessed. Compare the repetition time below with the protocol of the scan."
    ),
    "head_moved": marked(
        "The head moved more between frames than in most scans. Movement changes the signal everywhere, "
        "and not all of that can be taken out."
    ),
    "signal_unsteady": marked(
        "The signal varies much in time beside its mean, as with small voxels, a weak coil or a fault of "
        "the scanner."
    ),
    "frames_stand_out": marked(
        "Many frames change suddenly, or have many points that stand out of their own course. Look at the "
        "scan over time before relying on the answer."
    ),
    "few_degrees_of_freedom": marked(
        "After cleaning little of the scan is left that varies freely in time. From so little, brain regions "
        "can seem to go together by chance."
    ),
    "brain_partly_in_view": marked("A part of the brain lies outside the images; nothing can be said of it."),
    "registration_uncertain": marked(
        "The template lies less well over the brain than over most, so neighbouring regions may be read. "
        "Look at the registration before relying on the answer."
    ),
    "slice_times_unknown": marked(
        "When each slice of the scan was taken is not known, so the slices could not be brought to one time. "
        "The model was trained on scans where they were."
    ),
    "figures_missing": marked(
        "The figures of how the scan came into template space could not all be drawn. The answer does not "
        "depend on them."
    ),
    "nonfinite_background": marked(
        "Some points outside the brain hold no number. They were taken as background; "
        "the brain itself is whole."
    ),
    "run_short": marked(
        "The scan is shorter than five minutes. What is computed from so little is less certain."
    ),
    "task_not_rest": marked(
        "The scan was taken during another task than rest. The model knows resting scans only."
    ),
    "dicom_frames_missing": marked(
        "The DICOM series says that it has more frames than were given: a part of the scan is missing."
    ),
    "dicom_images_repeated": marked("Some DICOM images were given twice. Each was used once."),
    "repetition_time_overridden": marked(
        "The repetition time that was given with the scan differs from the one found in it; the "
        "one that was given was used."
    ),
    "slice_order_overridden": marked(
        "The slice order or slice times that were given with the scan were used instead of the slice times "
        "found in it."
    ),
    "t1w_not_used": marked(
        "A T1-weighted image came with the scan, but it does not show the same head clearly enough, or is "
        "not kept any more. The scan was brought into template space without it."
    ),
}


@dataclass(frozen=True)
class Remark:
    """A warning for the reader of a result.

    Attributes
    ----------
    said : str
        A clinician's sentence.
    measured : str
        What was expected and found, with its figures; empty where that is what is said already.
    code : str
    """

    said: str
    measured: str
    code: str


def warnings_beside_banner(warnings: list[dict[str, str]]) -> list[Remark]:
    """Put warnings into words, but not the one that the banner above every result gives already."""
    remarks = []
    for warning in warnings:
        code, message = warning["code"], warning["message"]
        if code in WARNINGS:
            remarks.append(Remark(_(WARNINGS[code]), message, code))
        elif code != "demonstration_model":
            remarks.append(Remark(message, "", code))
    return remarks


def progress_line(
    status: str,
    *,
    queue_position: int | None,
    expected_wait_s: float | None,
    cancel_requested: bool,
    stage: str | None = None,
) -> str:
    """Say where a prediction stands, in the words that the progress line reads out."""
    if cancel_requested and status in RUNNING:
        return _("Stopping")
    if status == "queued" and queue_position is not None:
        place = (
            _("next in line") if queue_position == 1 else _("number %(place)s in line", place=queue_position)
        )
        if expected_wait_s is None:
            return _("Waiting, %(place)s", place=place)
        return _("Waiting, %(place)s, %(wait)s", place=place, wait=about(expected_wait_s))
    if stage in NORMALISING_STAGES:
        return _("Bringing the scan into template space: %(stage)s", stage=_(NORMALISING_STAGES[str(stage)]))
    return _(STATES[status])


def about(seconds: float) -> str:
    """Say a length of time as roughly as it is known; follow.js says it in the same words."""
    if seconds < 10:
        return _("a few seconds")
    if seconds < 90:
        return _("about %(seconds)s s", seconds=ceil(seconds / 10) * 10)
    return _("about %(minutes)s min", minutes=ceil(seconds / 60))
