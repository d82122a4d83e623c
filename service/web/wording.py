"""What the pages say: states, decisions, quality figures and advice in plain words."""

from dataclasses import dataclass
from typing import Any

from service.jobs import JobFailure

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
            "This is not a diagnosis. It says that the model finds this scan more like those of the ADHD "
            "group it was trained on; history, symptoms and examination decide.",
        ),
        "control": Decision(
            "Leans towards control",
            f"The whole {level} % interval lies below the threshold of {threshold} %.",
            "This does not rule ADHD out. It says that the model finds this scan more like those of the "
            "control group it was trained on; history, symptoms and examination decide.",
        ),
        "uncertain": Decision(
            "Uncertain",
            f"The {level} % interval includes the threshold of {threshold} %: the model cannot tell the two "
            "groups apart on this scan.",
            "This is an answer, not an error. Nothing should be read into the probability being high or low.",
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
    "tr_s": ("Repetition time", "from one frame to the next"),
    "duration_s": ("Length", "rest that was recorded"),
    "tsnr": (
        "Temporal signal-to-noise",
        "mean over fluctuation, higher is steadier; filtered data have none",
    ),
    "dvars_mean": ("DVARS, mean", "change from frame to frame; 1 is what these voxels do by themselves"),
    "dvars_max": ("DVARS, largest", "the most abrupt change; far above the mean it often is a movement"),
    "spikes": ("Sudden jumps", "frames that differ abruptly from the one before"),
    "template_coverage": ("Brain covered", "share of the template brain that the scan contains"),
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
        if isinstance(value, dict | list):
            continue
        name, meaning = QUALITY.get(key, (key.replace("_", " ").capitalize(), ""))
        lines.append(QualityLine(name, _figure(key, value), meaning))
    return lines


def _figure(key: str, value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if key in _SHARES:
        return f"{100 * value:.0f}\u202f%"
    if key == "duration_s":
        return f"{value // 60:.0f} min {value % 60:.0f} s"
    if key.endswith("_s"):
        return f"{value:g} s"
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def warnings_beside_banner(warnings: list[dict[str, str]]) -> list[dict[str, str]]:
    """Leave out the warning that the banner above every result gives already."""
    return [warning for warning in warnings if warning["code"] != "demonstration_model"]


_OUR_FAULT = "Try again. If it happens again, give the reference to whoever runs this service."
_ADVICE = {
    "not_in_template_space": "Register the scan to the MNI152 template (as the Athena pipeline and fMRIPrep "
    "do), then upload the registered file.",
    "worker_lost": "The computer that worked on it stopped several times. " + _OUR_FAULT,
    "internal_error": _OUR_FAULT,
    "time_limit": "It took longer than allowed. " + _OUR_FAULT,
    "stored_file_missing": "The file is no longer in storage: upload it again.",
    "upload_too_large": "Upload a single run, compressed as .nii.gz.",
    "scan_missing": "Choose a file first.",
    "missing_repetition_time": "Write the repetition time into the header (pixdim[4]), then upload the file.",
    "gzip_corrupt": "The file is damaged: copy it again from its source, then upload that copy.",
    "data_incomplete": "The file was cut short: copy it again from its source, then upload that copy.",
    "nifti_pair": "Convert the .hdr/.img pair to one .nii file and upload that.",
    "analyze_format": "Convert the file to NIfTI (.nii) and upload that.",
    "too_few_frames": "Upload the whole run, not a part of it.",
    "not_four_dimensional": "Upload the functional run, a series of volumes over time.",
}
_OTHER_ADVICE = "Check that this is a whole functional run in one .nii or .nii.gz file."


def may_pass_next_time(code: str) -> bool:
    """Whether trying the same scan again can help: not when the scan itself was refused."""
    return code in set(JobFailure)


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
