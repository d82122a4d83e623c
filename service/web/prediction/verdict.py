"""Whether a scan is good enough, and why: from its warnings and from its place among the training scans."""

from dataclasses import dataclass
from typing import Literal

from service.api.population_payloads import ComparisonResponse, PopulationResponse
from service.population import Place
from service.web.language import _, marked
from service.web.wording import between, figure

# What a warning means for the quality, by code; those that say nothing of it are not among the reasons.
_REASONS = {
    "template_fit_poor": marked("the brain lies a little off the template"),
    "left_right_suspect": marked("left and right may be exchanged"),
    "orientation_conflict": marked("the file gives two orientations that disagree"),
    "head_moved": marked("the head moved much"),
    "signal_unsteady": marked("its signal varies much in time"),
    "frames_stand_out": marked("many of its frames stand out"),
    "few_degrees_of_freedom": marked("little of it is left after cleaning"),
    "brain_partly_in_view": marked("a part of the brain is out of view"),
    "registration_uncertain": marked("the template lies less well over the brain than over most"),
    "time_unit_missing": marked("the unit of its repetition time had to be guessed"),
    "run_short": marked("it is shorter than five minutes"),
    "task_not_rest": marked("it was taken during another task than rest"),
    "dicom_frames_missing": marked("a part of it is missing"),
}
_NO_REASON = frozenset(
    {
        "simulated_scan",
        "demonstration_model",
        "figures_missing",
        "left_right_unverified",
        "nonfinite_background",
        "dicom_images_repeated",
        "repetition_time_overridden",
        "slice_order_overridden",
        "slice_times_unknown",
        "t1w_not_used",
    }
)

# By figure: what is wrong on either side of the training scans; on a side without words nothing is.
_TOO_LOW = {
    "duration_s": marked("it is shorter than they are"),
    "tsnr": marked("its signal is less steady"),
    "template_coverage": marked("it covers less of the brain"),
    "in_band_power": marked("less of its signal lies in the resting band"),
}
_TOO_HIGH = {
    "dvars_mean": marked("it changes more from frame to frame throughout"),
    "dvars_max": marked("its largest change from frame to frame is larger, as a movement makes it"),
    "spike_share": marked("more of its frames stand out"),
    "in_band_power": marked("more of its signal lies in the resting band"),
}

_HEADLINES: dict[str, str] = {
    "good": marked("Good enough to read"),
    "care": marked("Read it with care"),
    "alone": marked("No warning about its quality"),
}


@dataclass(frozen=True)
class QualityVerdict:
    """One sentence on the scan, and what it rests on.

    Attributes
    ----------
    grade : "good", "care" or "alone"
        "alone": there is no training scan to compare it with.
    headline, sentence : str
    reasons : tuple of str
        What asks for care.
    """

    grade: Literal["good", "care", "alone"]
    sentence: str
    reasons: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """Say the grade in words."""
        return _(_HEADLINES[self.grade])


def quality_verdict(warnings: list[dict[str, str]], compared: PopulationResponse | None) -> QualityVerdict:
    """Judge a scan by its warnings and by whether any figure is worse than in 99 of 100 training scans."""
    warned = [
        _(_REASONS.get(one["code"], one["message"])) for one in warnings if one["code"] not in _NO_REASON
    ]
    outside = [] if compared is None else [reason for one in compared.comparisons if (reason := _worse(one))]
    if warned or outside:
        sentence = (
            _(
                "It differs from the scans that the model learnt from, and the interval does not allow for "
                "that."
            )
            if outside
            else _("A warning concerns how the scan lies or was written.")
        )
        return QualityVerdict("care", sentence, (*warned, *outside))
    if compared is None:
        return QualityVerdict(
            "alone",
            _("The model's card does not describe its training scans: the figures stand for themselves."),
        )
    return QualityVerdict(
        "good",
        _("No warning is about its quality, and no figure is worse than in the scans the model learnt from."),
    )


def _worse(one: ComparisonResponse) -> str | None:
    """Say in what a figure is worse than those of the training scans."""
    if one.place != Place.OUTSIDE or one.name in {"age_years", "sex", "site"}:
        return None
    if one.name == "tr_s":
        return _("no training scan has a repetition time near %(time)s", time=_written(one))
    words = (_TOO_HIGH if (one.percentile or 0) > 50 else _TOO_LOW).get(one.name)
    if words is None or one.middle_90 is None:
        return None
    low, high = (figure(one.name, edge) for edge in (one.middle_90.low, one.middle_90.high))
    return _(
        "%(finding)s (%(value)s; nine in ten of theirs: %(theirs)s)",
        finding=_(words),
        value=_written(one),
        theirs=low if low == high else between(low, high),
    )


def _written(one: ComparisonResponse) -> str:
    return figure(one.name, one.value)
