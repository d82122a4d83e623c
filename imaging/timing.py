"""The repetition time that a header states, in seconds."""

from typing import ClassVar

from imaging.errors import ScanError
from imaging.findings import ScanWarning

# From the fastest multiband to sparse sampling; narrow enough that a value in the wrong unit (1000 times off)
# never falls into it.
MINIMUM_TR_S = 0.1
# Sampled more slowly than this, half of the pass band's upper edge (0.08 Hz) would be folded into the rest.
MAXIMUM_TR_S = 6.25

# NIfTI-1 standard, xyzt_units: bits 3 to 5.
_TIME_BITS = 0x38
_SECONDS_A_UNIT = {8: 1.0, 16: 1e-3, 24: 1e-6}
_UNIT_NAMES = {0: "no unit", 8: "s", 16: "ms", 24: "us", 32: "Hz", 40: "ppm", 48: "rad/s"}


class MissingRepetitionTimeError(ScanError):
    """No time between frames: neither filtering nor resampling is possible."""

    code: ClassVar[str] = "missing_repetition_time"

    def __init__(self) -> None:
        super().__init__(
            "expected a repetition time (pixdim[4]), found 0. Give it in seconds: --tr of a command, the "
            "field tr_s of an upload, or RepetitionTime in a sidecar"
        )


class ImplausibleRepetitionTimeError(ScanError):
    """A time between frames that no scanner uses, usually a wrong unit."""

    code: ClassVar[str] = "implausible_repetition_time"

    def __init__(self, *, value: float, unit: str) -> None:
        super().__init__(
            f"expected a repetition time of {MINIMUM_TR_S:g} to {MAXIMUM_TR_S:g} s, found {value:g} with the "
            f"unit {unit!r}; correct pixdim[4] or the unit in the header"
        )
        self.value = value
        self.unit = unit


def repetition_time_s(value: float, *, xyzt_units: int) -> tuple[float, tuple[ScanWarning, ...]]:
    """Convert ``pixdim[4]`` to seconds by its unit.

    A declared unit is obeyed: 2000 "s" is refused, not reinterpreted, because a header that contradicts
    itself is for its owner to correct. Where no unit is declared, which is common, the value is taken as
    seconds, or as milliseconds where only those are plausible, with a warning.

    Returns
    -------
    (float, warnings)

    Raises
    ------
    MissingRepetitionTimeError, ImplausibleRepetitionTimeError
    """
    if value == 0:
        raise MissingRepetitionTimeError
    code = xyzt_units & _TIME_BITS
    unit = _UNIT_NAMES.get(code, f"code {code}")
    candidates = (1.0, 1e-3) if code == 0 else (_SECONDS_A_UNIT[code],) if code in _SECONDS_A_UNIT else ()
    for seconds in candidates:
        # Rounded to the header's own precision: a float32 TR of 2.2 is 2.2 s, not 2.200000047683716 s.
        tr_s = float(f"{value * seconds:.7g}")
        if MINIMUM_TR_S <= tr_s <= MAXIMUM_TR_S:
            warnings = () if code else (_unit_missing(value, tr_s),)
            return tr_s, warnings
    raise ImplausibleRepetitionTimeError(value=value, unit=unit)


def _unit_missing(value: float, tr_s: float) -> ScanWarning:
    return ScanWarning(
        code="time_unit_missing",
        message=f"expected a unit for the repetition time, found {value:g} without one: read as {tr_s:g} s",
    )
