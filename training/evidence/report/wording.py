"""How figures and lists are written in a sentence."""

from collections.abc import Sequence

from training.evidence.estimates import Estimate
from training.evidence.groups import FEW

_A_MINUTE = 60
# Names beyond so many are counted instead.
_FEW_NAMES = 4

FEW_WORDS = f"fewer than {FEW} people of a class: the AUC means little, and its interval less"
# Said of a difference in which an AUC of exactly 1 or 0 has part.
NOT_DRAWN_WORDS = (
    "draws of people show too little there, and the interval of a difference is put together from those of "
    "the two AUCs, as if they were of different people: as a rule it is wider"
)


def percent(estimate: Estimate) -> str:
    """Write a share with its interval, in percent."""
    return f"{100 * estimate.value:.1f} % [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


def area(estimate: Estimate) -> str:
    """Write an area under the curve with its interval."""
    return f"{estimate.value:.2f} [{estimate.low:.2f}, {estimate.high:.2f}]"


def change(estimate: Estimate) -> str:
    """Write a difference of two areas with its interval, in true minus signs."""
    value, low, high = (signed(number) for number in (estimate.value, estimate.low, estimate.high))
    return f"{value} [{low}, {high}]"


def signed(number: float) -> str:
    """Write a difference with its sign, a true minus sign."""
    return f"{round(number, 3) + 0.0:+.3f}".replace("-", "\N{MINUS SIGN}")


def listed(names: Sequence[str], *, last: str = "and") -> str:
    """Write names as a sentence does."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def named_or_counted(names: Sequence[str], *, n_runs: int) -> str:
    """Write which of several runs are meant: by name where they are few, else how many they are."""
    return listed(names) if len(names) <= _FEW_NAMES else f"{len(names)} of {n_runs} runs"


def duration(seconds: float) -> str:
    """Write how long something took, to two units."""
    if seconds < _A_MINUTE:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < _A_MINUTE:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
