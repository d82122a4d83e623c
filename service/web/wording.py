"""What the pages say: states, decisions, quality figures and advice in plain words."""

from dataclasses import dataclass
from typing import Any

STATES = {
    "queued": "Waiting",
    "preprocessing": "Preparing the scan",
    "classifying": "Reading the scan",
    "succeeded": "Finished",
    "failed": "Refused or failed",
    "cancelled": "Cancelled",
}

RUNNING = frozenset({"queued", "preprocessing", "classifying"})


@dataclass(frozen=True)
class Decision:
    """A decision in words."""

    headline: str
    meaning: str
    caution: str


def decision(result: dict[str, Any]) -> Decision:
    """Say what a result's decision means and what it does not mean."""
    level = round(100 * float(result["interval"]["level"]))
    threshold = round(100 * float(result["threshold"]))
    sayings = {
        "adhd": Decision(
            "Leans towards ADHD",
            f"The whole {level} % interval lies above the threshold of {threshold} %.",
            "This is not a diagnosis. It says that the model finds this scan more like those of the ADHD group it "
            "was trained on; history, symptoms and examination decide.",
        ),
        "control": Decision(
            "Leans towards control",
            f"The whole {level} % interval lies below the threshold of {threshold} %.",
            "This does not rule ADHD out. It says that the model finds this scan more like those of the control "
            "group it was trained on; history, symptoms and examination decide.",
        ),
        "uncertain": Decision(
            "Uncertain",
            f"The {level} % interval includes the threshold of {threshold} %: the model cannot tell the two groups "
            "apart on this scan.",
            "This is an answer, not an error. Neither a higher nor a lower probability should be read into it.",
        ),
    }
    return sayings[result["decision"]]


def banner(intended_use: str) -> str:
    """Say what the model may be used for; shown wherever a probability is."""
    if intended_use == "demonstration":
        return "Demonstration model, trained on simulated scans. Its answers say nothing about a real person."
    return "Research use only. Not a diagnosis."


QUALITY = {
    "n_frames": ("Frames", "images of the brain over time"),
    "tr_s": ("Repetition time", "seconds from one frame to the next"),
    "duration_s": ("Length", "seconds of rest that were recorded"),
    "tsnr": ("Temporal signal-to-noise", "mean signal over its fluctuation; higher is steadier"),
    "tsnr_median": ("Temporal signal-to-noise", "mean signal over its fluctuation; higher is steadier"),
    "dvars": ("DVARS", "change from frame to frame; lower is steadier"),
    "dvars_median": ("DVARS", "typical change from frame to frame; lower is steadier"),
    "template_coverage": ("Brain covered", "share of the template brain that the scan contains"),
    "n_spikes": ("Sudden jumps", "frames that differ abruptly from their neighbours, often from movement"),
    "spike_frames": (
        "Sudden jumps",
        "frames that differ abruptly from their neighbours, often from movement",
    ),
    "in_band_power": ("Signal in the resting band", "share of the fluctuation between 0.009 and 0.08 Hz"),
}

_SHARES = frozenset({"template_coverage", "in_band_power"})


@dataclass(frozen=True)
class QualityLine:
    """One quality figure for the table."""

    name: str
    value: str
    meaning: str


def quality_lines(quality: dict[str, Any]) -> list[QualityLine]:
    """Put a result's quality figures into words; a figure without words keeps its own name."""
    lines = []
    for key, value in quality.items():
        if isinstance(value, dict):
            continue
        name, meaning = QUALITY.get(key, (key.replace("_", " ").capitalize(), ""))
        lines.append(QualityLine(name, _figure(key, value), meaning))
    return lines


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "not measurable"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return str(len(value))
    if isinstance(value, float):
        return f"{100 * value:.0f} %" if key in _SHARES else f"{value:.3g}"
    return str(value)


_OUR_FAULT = "Try again. If it happens again, give the reference to whoever runs this service."
_ADVICE = {
    "not_in_template_space": "Register the scan to the MNI152 template (the Athena pipeline and fMRIPrep do) and "
    "upload the registered file.",
    "worker_lost": "The computer that worked on it stopped several times. " + _OUR_FAULT,
    "internal_error": _OUR_FAULT,
    "time_limit": "It took longer than allowed. " + _OUR_FAULT,
    "stored_file_missing": "The file is no longer in storage: upload it again.",
    "upload_too_large": "Upload a single run, compressed as .nii.gz.",
    "scan_missing": "Choose a file first.",
    "too_few_frames": "Upload the whole run, not a part of it.",
    "not_four_dimensional": "Upload the functional run (a series of volumes over time), not an anatomical image.",
}
_OTHER_ADVICE = (
    "Check that this is the whole functional run as one .nii or .nii.gz file, then upload it again."
)


def advice(code: str) -> str:
    """Say what a person can do about a refusal."""
    return _ADVICE.get(code, _OTHER_ADVICE)


def progress_line(status: str, *, queue_position: int | None, cancel_requested: bool) -> str:
    """Say where a prediction stands, in the words that the progress line reads out."""
    if cancel_requested and status in RUNNING:
        return "Stopping"
    if status == "queued" and queue_position is not None:
        return "Waiting, next in line" if queue_position == 1 else f"Waiting, number {queue_position} in line"
    return STATES[status]
