"""How a scan was brought into template space, in the words of the page and the report."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.web.language import _, marked, ngettext
from service.web.rendering import percent

# As imaging/native/judging.py judges by; the pages load none of it.
EXPECTED_TSNR = 20.0
EXPECTED_STANDING_OUT = 0.15
EXPECTED_DISPLACED = 0.2
EXPECTED_FREEDOM = 20.0


@dataclass(frozen=True)
class Done:
    """One thing that was done, or measured."""

    name: str
    said: str


@dataclass(frozen=True)
class Drawn:
    """What a figure shows: to who cannot see it, and to who looks at it; in one sentence for a report."""

    alt: str
    caption: str
    short: str


def figure_words(name: str) -> Drawn:
    """Say what one of :data:`service.storage.NORMALISED_FIGURES` shows, in the language that is spoken."""
    words = _FIGURES[name]
    return Drawn(alt=_(words.alt), caption=_(words.caption), short=_(words.short))


def done_to(result: Mapping[str, Any], quality: Mapping[str, Any] | None = None) -> list[Done]:
    """Say what RestNet did to a scan of the scanner's space; nothing of one that lay in template space.

    Parameters
    ----------
    result : mapping
        Of the prediction.
    quality : mapping or None
        What was measured on the way, as the provenance has it.
    """
    summary = result.get("normalisation")
    if summary is None:
        return []
    moved, fit = summary["displacement_mm"], summary["registration"]
    dropped = summary["dropped_frames"]
    return [
        Done(
            _("Place"),
            _("in the scanner's space as it was given; RestNet brought it into template space"),
        ),
        Done(
            _("Frames left out"),
            ngettext("%(num)s at the beginning", "%(num)s at the beginning", dropped)
            if dropped
            else _("none"),
        ),
        *_times(summary),
        Done(
            _("Movement between frames"),
            _(
                "%(mean)s mm on average, %(most)s mm at most",
                mean=f"{moved['mean']:.2f}",
                most=f"{moved['max']:.2f}",
            ),
        ),
        Done(_("Raw frames that stand out"), _standing_out(summary, quality)),
        *([] if quality is None else [_dvars(quality)]),
        Done(
            _("Temporal signal-to-noise"),
            _(
                "%(ratio)s before cleaning (at least %(limit)s expected)",
                ratio=f"{summary['tsnr']:.0f}",
                limit=f"{EXPECTED_TSNR:g}",
            ),
        ),
        *_left_and_way(summary),
        Done(
            _("Fit of the template"),
            _(
                "explains %(share)s of the contrast in and around the brain; the two brains overlap by "
                "%(overlap)s (Dice)",
                share=percent(fit["explained"]),
                overlap=f"{fit['overlap']:.2f}",
            ),
        ),
        Done(
            _("Brain in the images"),
            _(
                "%(share)s of the template's brain lies within the scanner's images",
                share=percent(fit["coverage"]),
            ),
        ),
    ]


def _times(summary: Mapping[str, Any]) -> list[Done]:
    if "input" not in summary:  # the answers of earlier versions stay readable
        return []
    return [
        Done(_("Repetition time from"), _(_TIMES_FROM[summary["input"]["tr_from"]])),
        Done(_("Times of the slices"), _slices(summary["input"]["slice_times_from"])),
    ]


def _left_and_way(summary: Mapping[str, Any]) -> list[Done]:
    if "degrees_of_freedom" not in summary:
        return []
    return [
        Done(
            _("Degrees of freedom"),
            _(
                "%(left)s left in the band after cleaning (at least %(limit)s expected)",
                left=f"{summary['degrees_of_freedom']:.0f}",
                limit=f"{EXPECTED_FREEDOM:g}",
            ),
        ),
        Done(_("Way to the template"), _(_WAYS[summary["registered_through"]])),
    ]


# As ``NativeRun.to_json`` of imaging/native/sources/run.py names them.
_TIMES_FROM = {
    "asked": marked("what was given with the scan"),
    "dicom": marked("the DICOM images"),
    "sidecar": marked("the BIDS sidecar"),
    "header": marked("the header of the file"),
}
_WAYS = {
    "template": marked("the scan was laid over the template directly"),
    "t1w": marked("the scan was laid over its T1-weighted image, and that over the template"),
}

_FIGURES = {
    "registration": Drawn(
        marked("Outlines of the template over slices of the mean image of the scan, along three axes"),
        marked(
            "The mean image of the scan in template space, the left of the brain on the left; over it the "
            "outline of the template's brain (orange) and of its white matter (blue). The orange line should "
            "follow the edge of the brain, and the blue one the ventricles and the midline, in every slice."
        ),
        marked("Orange: the template's brain, blue: its white matter, over the scan's mean image."),
    ),
    "carpet": Drawn(
        marked("Movement, DVARS, and voxels over time before and after cleaning"),
        marked(
            "From above to below: movement from frame to frame with its limit, DVARS, and every voxel over "
            "time by tissue, before and after cleaning. Upright stripes that remain below a peak of movement "
            "were not cleaned away."
        ),
        marked("Movement, DVARS, and voxels over time before and after cleaning."),
    ),
}


def _slices(times_from: str | None) -> str:
    if times_from is None:
        return _("not known; slices were not brought to one time")
    return _("from %(source)s; slices were brought to one time", source=_(_TIMES_FROM[times_from]))


def _standing_out(summary: Mapping[str, Any], quality: Mapping[str, Any] | None) -> str:
    every = percent(summary["frames_standing_out"])
    if quality is None:
        return every
    shares = quality["frames_standing_out"]
    return _(
        "%(every)s: by their signal %(signal)s (at most %(signal_limit)s expected), by movement %(moved)s "
        "(at most %(moved_limit)s)",
        every=every,
        signal=percent(shares["signal"]),
        signal_limit=percent(EXPECTED_STANDING_OUT),
        moved=percent(shares["displaced"]),
        moved_limit=percent(EXPECTED_DISPLACED),
    )


def _dvars(quality: Mapping[str, Any]) -> Done:
    return Done(
        _("DVARS, largest"),
        _(
            "%(before)s before cleaning, %(after)s after; 1 where nothing happens",
            before=f"{max(quality['dvars_before']):.1f}",
            after=f"{max(quality['dvars_after']):.1f}",
        ),
    )
