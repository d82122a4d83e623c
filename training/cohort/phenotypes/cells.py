"""Single cells of phenotype tables: what is missing, and what the codes of sex, quality and number mean."""

import math
import re

from training.cohort.subjects import Sex

_MISSING = frozenset({"", "n/a", "na", "#n/a", "nan", "none", "null", "-999", "-9999"})

_DECIMAL_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")

_SEXES: dict[str, Sex] = {
    "f": "female",
    "female": "female",
    "m": "male",
    "male": "male",
    # In ADHD-200's code and in ABIDE's alike.
    "1": "male",
    "2": "female",
}
_VERDICTS = {
    "1": True,
    "ok": True,
    "pass": True,
    "0": False,
    "maybe": False,
    "questionable": False,
    "fail": False,
}


def plain_code(text: str) -> str:
    """Write a code without blanks and case, and a whole number without decimals, as ``1`` for ``1.0``."""
    code = text.strip().casefold()
    whole = code.removesuffix(".0")
    return whole if whole.removeprefix("-").isdecimal() else code


def is_missing(text: str) -> bool:
    """Say whether a cell says nothing: empty, not available, or the -999 of ADHD-200 and -9999 of ABIDE."""
    return plain_code(text) in _MISSING


def sex(text: str, *, zero_is_female: bool) -> Sex | None:
    """Read a sex; None where the code is not known.

    Parameters
    ----------
    text : str
    zero_is_female : bool
        ADHD-200 writes 0 for female and 1 for male; where 2 is female (ABIDE, ISO 5218), 0 is nobody's code.
    """
    code = plain_code(text)
    if code == "0":
        return "female" if zero_is_female else None
    return _SEXES.get(code)


def decimal(text: str) -> float:
    """Read a number, with a decimal comma too, which tables separated by semicolons have.

    Nothing that is read so reaches a thousand, so that the comma cannot part thousands.

    Raises
    ------
    ValueError
        If it is none.
    """
    return float(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)


def number(text: str, *, largest: float) -> float | None:
    """Read a positive number of at most `largest`; None where it is none."""
    try:
        value = decimal(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 < value <= largest else None


def quality_verdict(text: str) -> bool | None:
    """Read a rater's verdict: True pass, False questionable or worse, None where the code is not known."""
    return _VERDICTS.get(plain_code(text))
