"""One repetition time from all that is said of it, or a refusal that says who says what."""

from collections.abc import Mapping
from typing import ClassVar

from imaging.errors import ScanError
from imaging.findings import ScanWarning
from imaging.native.sidecar import SAME_TR_S
from imaging.native.sources.run import TrFrom
from imaging.timing import MissingRepetitionTimeError

# Times between frames are written to hundredths of a second, or jitter.
_SAME_INTERVAL = 0.02


class RepetitionTimeDisputedError(ScanError):
    """A DICOM series, its frames and what the converter made of them name different repetition times."""

    code: ClassVar[str] = "repetition_time_disputed"

    def __init__(self, *, dicom_s: float | None, frames_s: float | None, converted_s: float | None) -> None:
        self.dicom_s = dicom_s
        self.frames_s = frames_s
        self.converted_s = converted_s
        said = ((dicom_s, "in the DICOM series"), (frames_s, "between its frames"))
        listed = [f"{time_s:g} s {where}" for time_s, where in said if time_s is not None]
        if converted_s is not None:
            listed.append(f"{converted_s:g} s in what was converted from it")
        super().__init__(
            f"expected one repetition time, found {', '.join(listed)}. Say which is right, in seconds: --tr "
            f"of a command, the field tr_s of an upload"
        )


def settle_tr(
    found: Mapping[TrFrom, float | None], *, asked_s: float | None
) -> tuple[float, TrFrom, tuple[ScanWarning, ...]]:
    """Choose the repetition time; nothing is ever assumed.

    Parameters
    ----------
    found : mapping of where to seconds
        What agrees already, the most trusted first.
    asked_s : float or None
        What somebody said, which stands above all.

    Raises
    ------
    MissingRepetitionTimeError
        If nobody knows it.
    """
    known = {where: tr_s for where, tr_s in found.items() if tr_s is not None}
    if asked_s is not None:
        other = [tr_s for tr_s in known.values() if abs(tr_s - asked_s) > SAME_TR_S]
        return asked_s, "asked", (overridden(asked_s, found=f"{other[0]:g} s"),) if other else ()
    if not known:
        raise MissingRepetitionTimeError
    where, tr_s = next(iter(known.items()))
    return tr_s, where, ()


def require_agreement(*, dicom_s: float | None, frames_s: float | None, converted_s: float | None) -> None:
    """Hold what the converter wrote against the series: a wrong one would be believed from then on.

    Raises
    ------
    RepetitionTimeDisputedError
    """
    times = [tr_s for tr_s in (dicom_s, converted_s) if tr_s is not None]
    disputed = len(times) == 2 and abs(times[0] - times[1]) > SAME_TR_S
    if frames_s is not None:
        disputed |= any(abs(frames_s - tr_s) > _SAME_INTERVAL * tr_s for tr_s in times)
    if disputed:
        raise RepetitionTimeDisputedError(dicom_s=dicom_s, frames_s=frames_s, converted_s=converted_s)


def overridden(asked_s: float, *, found: str) -> ScanWarning:
    """Say that the time that was given stands above another one."""
    return ScanWarning(
        code="repetition_time_overridden",
        message=f"expected the repetition time that was given, {asked_s:g} s, found {found} in what "
        "was handed over: the one that was given is used",
    )
