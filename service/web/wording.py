"""What the pages say: states, decisions, quality figures and advice in plain words."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from service.api.review_payloads import ReviewResponse

STATES = {
    "queued": "Waiting",
    "preprocessing": "Preparing the scan",
    "classifying": "Reading the scan",
    "succeeded": "Finished",
    "failed": "Refused or failed",
    "cancelled": "Cancelled",
}

_TIME_IS_OVER = "That was a first password, and its time is over. Ask whoever gave it to you for another."
# By code, on the log-in page.
LOGIN_REFUSALS = {
    "credentials_not_valid": "The user name or the password is not right.",
    "first_password_ended": _TIME_IS_OVER,
}

CODE_REFUSED = "That code is not right, too old, or used already. Wait for the next one."
ACCOUNT_DONE = {
    "password": "Your password is changed, and every other login has ended.",
    "second-factor-removed": "The authenticator is removed. The password alone logs you in.",
    "login": "That login has ended.",
    "logins": "Every other login has ended.",
}
PASSWORDS_DIFFER = "The two new passwords differ. Type the new one twice."
# By code, on the page of the account.
ACCOUNT_REFUSALS = {
    "credentials_not_valid": "The password you have now is not right.",
    "first_password_ended": _TIME_IS_OVER,
    "password_length": "The new password is too short, or longer than 256 characters.",
    "password_guessable": "The new password is easy to guess. Take another, such as four words that do not "
    "belong together.",
    "second_factor_code_not_valid": CODE_REFUSED,
    "second_factor_set": "There is an authenticator already. Remove it first.",
    "password_unchanged": "The new password is the one you have now. Take another.",
}

NOTICE = "RestNet is research software for decision support. It does not diagnose."

SORTS = {
    "-created_at": "newest first",
    "created_at": "oldest first",
    "subject_id": "pseudonyms from A to Z",
    "-subject_id": "pseudonyms from Z to A",
    "-adhd_probability": "most probable first",
    "adhd_probability": "least probable first",
}
# What an order has no place for.
LEFT_OUT = {
    "subject_id": "Scans without a pseudonym are left out of this order.",
    "adhd_probability": "What is not finished has no probability and is left out of this order.",
}

RUNNING = frozenset({"queued", "preprocessing", "classifying"})


@dataclass(frozen=True)
class Decision:
    """A decision in words."""

    headline: str
    meaning: str
    caution: str


HEADLINES = {"adhd": "Leans towards ADHD", "control": "Leans towards control", "uncertain": "Uncertain"}
CAUTIONS = {
    "adhd": "This is not a diagnosis. It says that the model finds this scan more like those of the ADHD "
    "group it was trained on; history, symptoms and examination decide.",
    "control": "This does not rule ADHD out. It says that the model finds this scan more like those of the "
    "control group it was trained on; history, symptoms and examination decide.",
    "uncertain": "This is an answer, not an error. Nothing should be read into the probability being high or "
    "low.",
}


def decision(result: dict[str, Any], *, rules_out_both: bool = False) -> Decision:
    """Say what a result's decision means and what it does not mean.

    Parameters
    ----------
    result : dict
    rules_out_both : bool
        Whether a set that is not a single class is empty, by the card's quantiles.
    """
    named = result["decision"]
    by_sets = decision_rule(result) == "conformal"
    meaning = _by_conformal_sets(named, rules_out_both=rules_out_both) if by_sets else _by_interval(result)
    return Decision(HEADLINES[named], meaning, CAUTIONS[named])


def decision_rule(result: dict[str, Any]) -> str:
    """Return the rule by which a result was decided."""
    # A row that names none was made when there was only one.
    return str(result.get("decision_rule", "interval"))


OVERRIDES = {
    "adhd": "I override it: ADHD",
    "control": "I override it: control",
    "cannot_tell": "I override it: one cannot tell",
}
_OWN_DECISIONS = {"adhd": "ADHD", "control": "control", "cannot_tell": "one cannot tell"}
DIAGNOSES = {"adhd": "ADHD", "control": "control, no disorder", "other": "another disorder, not ADHD"}


def review(written: ReviewResponse) -> str:
    """Say what a reviewer did with the answer."""
    if written.decision is None:
        return "Accepted"
    return f"Overridden: {_OWN_DECISIONS[written.decision.value]}"


def _of_interval(result: dict[str, Any]) -> str:
    low, high, threshold = result["interval"]["low"], result["interval"]["high"], result["threshold"]
    return "uncertain" if low <= threshold <= high else "adhd" if low > threshold else "control"


def _by_interval(result: dict[str, Any]) -> str:
    level = round(100 * float(result["interval"]["level"]))
    threshold = round(100 * float(result["threshold"]))
    return {
        "adhd": f"The whole {level} % interval lies above the threshold of {threshold} %.",
        "control": f"The whole {level} % interval lies below the threshold of {threshold} %.",
        "uncertain": f"The {level} % interval includes the threshold of {threshold} %: the model cannot tell "
        "the two groups apart on this scan.",
    }[_of_interval(result)]


def _by_conformal_sets(named: str, *, rules_out_both: bool) -> str:
    # Conformal sets look at the probability and not at its interval, nor at the threshold.
    if named == "uncertain" and rules_out_both:
        return "At the error rate this model promises, the probability rules out both of the two groups."
    if named == "uncertain":
        return "At the error rate this model promises, the probability rules out neither of the two groups."
    group, other = ("ADHD", "control") if named == "adhd" else ("control", "ADHD")
    return (
        f"At the error rate this model promises, the {other} group is ruled out and the {group} group is not."
    )


def banner(intended_use: str) -> str:
    """Say what the model may be used for; shown wherever a probability is."""
    if intended_use == "demonstration":
        return "Demonstration model, trained on simulated scans. Its answers say nothing about a real person."
    return "Research use only. Not a diagnosis."


QUALITY = {
    "n_frames": ("Frames", "images of the brain over time"),
    "tr_s": ("Repetition time", "from one frame to the next"),
    "duration_s": ("Length", "rest that was recorded; a short run leaves the answer less sure"),
    "tsnr": (
        "Temporal signal-to-noise",
        "mean over fluctuation, higher is steadier; filtered data have none. A failing coil pulls it down",
    ),
    "dvars_mean": (
        "DVARS, mean",
        "change from frame to frame; 1 is what these voxels do by themselves. Restlessness lifts all of it",
    ),
    "dvars_max": (
        "DVARS, largest",
        "the largest of these changes: 2 is twice the ordinary one. A movement is a tall peak, often two",
    ),
    "spikes": (
        "Frames that stand out",
        "unusual for this very scan; in a steady scan even small changes are. Many in a row: a moving head",
    ),
    "template_coverage": (
        "Brain covered",
        "share of the template brain that the scan contains. A cut field of view or lost signal leaves holes",
    ),
    "in_band_power": (
        "Signal in the resting band",
        "share of the fluctuation between 0.009 and 0.08 Hz. Breathing, drift or another filter change it",
    ),
}

_SHARES = frozenset({"spike_share", "template_coverage", "in_band_power"})


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
        lines.append(QualityLine(key, name, figure(key, value), meaning))
    return lines


def figure(key: str, value: Any) -> str:
    """Write one figure as people read it, with its unit."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _SHARES:
        return f"{100 * value:.0f}\u202f%"
    if key.endswith("_s"):
        return _length(value) if key == "duration_s" else f"{value:g} s"
    return _number(key, value)


def _length(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def _number(key: str, value: Any) -> str:
    if key == "age_years":
        return f"{value:.1f}".removesuffix(".0") + " years"
    if key == "n_frames":
        return str(round(value))
    return f"{value:.2f}" if isinstance(value, float) else str(value)


WARNINGS = {
    "simulated_scan": "This scan was made by RestNet's simulator: nobody was measured. The answer shows how "
    "the software works and says nothing about a person.",
    "template_fit_poor": "The brain lies a little off the place, size or shape that the model expects, "
    "so it may read neighbouring regions. Look at the registration before relying on the answer.",
    "left_right_unverified": "The image itself does not clearly show which side is left: that rests on what "
    "the file says. This is so for many sound scans.",
    "left_right_suspect": "Left and right may be exchanged in this file. Compare it with the images at the "
    "scanner before relying on the answer.",
    "orientation_conflict": "The file gives its orientation twice, and the two disagree. The usual one "
    "(sform) was used; compare left and right with the images at the scanner.",
    "time_unit_missing": "The file does not say in which unit its repetition time is, so the unit was "
    "guessed. Compare the repetition time below with the protocol of the scan.",
    "nonfinite_background": "Some points outside the brain hold no number. They were taken as background; "
    "the brain itself is whole.",
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
            remarks.append(Remark(WARNINGS[code], message, code))
        elif code != "demonstration_model":
            remarks.append(Remark(message, "", code))
    return remarks


def progress_line(
    status: str, *, queue_position: int | None, expected_wait_s: float | None, cancel_requested: bool
) -> str:
    """Say where a prediction stands, in the words that the progress line reads out."""
    if cancel_requested and status in RUNNING:
        return "Stopping"
    if status == "queued" and queue_position is not None:
        place = "next in line" if queue_position == 1 else f"number {queue_position} in line"
        wait = "" if expected_wait_s is None else f", {about(expected_wait_s)}"
        return f"Waiting, {place}{wait}"
    return STATES[status]


def about(seconds: float) -> str:
    """Say a length of time as roughly as it is known; follow.js says it in the same words."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 90:
        return f"about {ceil(seconds / 10) * 10} s"
    return f"about {ceil(seconds / 60)} min"
