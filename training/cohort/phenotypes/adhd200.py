"""What is special about ADHD-200: its site codes and the codes in its cells.

Two versions of the phenotype table circulate: one table of all sites made for the preprocessed data, with
the columns ``QC_Athena`` and ``QC_NIAK``, and one a site, as released, with ``QC_Rest_1`` and so on. Both are
read by `training.cohort.phenotypes.table`; the facts here were counted from them.
"""

import math
from types import MappingProxyType

from training.cohort.phenotypes.cells import decimal
from training.cohort.subjects import Handedness

SITE_NAMES = MappingProxyType(
    {
        "1": "Peking",
        "2": "Brown",
        "3": "KKI",
        "4": "NeuroIMAGE",
        "5": "NYU",
        "6": "OHSU",
        "7": "Pittsburgh",
        "8": "WashU",
    }
)
# The release keeps Peking's three scanning sessions in three folders; table and paper count one site.
_ALIASES = {f"peking_{part}": "Peking" for part in (1, 2, 3)}
_BY_NAME = {name.casefold(): name for name in SITE_NAMES.values()} | _ALIASES

# The combined table has all of Brown as pending, the official test table 22 of them with a diagnosis and not
# one control: nobody can say which is right, and a site of one class would teach a model the site.
UNVERIFIED_SITES = frozenset({"Brown"})

# Where a diagnosis is not given yet (Brown), or was kept back for the competition.
PENDING = frozenset({"pending", "withheld"})

_SIDES: dict[str, Handedness] = {
    "0": "left",
    "1": "right",
    "2": "ambidextrous",
    "l": "left",
    "left": "left",
    "r": "right",
    "right": "right",
    "a": "ambidextrous",
    "ambi": "ambidextrous",
    "ambidextrous": "ambidextrous",
    "mixed": "ambidextrous",
}
_LARGEST_CODE = 9  # a larger whole number is a score in percent


def site_name(text: str) -> str | None:
    """Give the name of a site from its code or its name, None if ADHD-200 has no such site."""
    return SITE_NAMES.get(text.strip()) or _BY_NAME.get(text.strip().casefold())


def handedness(text: str) -> Handedness | None:
    """Read a side from any of the codes that the sites mix in one column.

    Parameters
    ----------
    text : str
        Not a missing value. 0 left, 1 right, 2 ambidextrous; a letter or word (``L``); or a laterality score
        of the Edinburgh inventory (NYU's ``-0.31``), of which the sign decides and 0.0 is neither side.

    Returns
    -------
    "right", "left", "ambidextrous" or None
        None where it is none of these; NeuroIMAGE has one ``3``.
    """
    word = text.strip().casefold()
    if word in _SIDES:
        return _SIDES[word]
    try:
        return _side_of_score(decimal(word))
    except ValueError:
        return None


def _side_of_score(score: float) -> Handedness | None:
    code_as_decimal = score == 2  # a data frame writes the code 2 as 2.0
    unknown_code = score.is_integer() and 2 < score <= _LARGEST_CODE
    if not math.isfinite(score) or abs(score) > 100 or unknown_code:
        return None
    if code_as_decimal or (score == 0 and math.copysign(1, score) > 0):
        return "ambidextrous"
    return "left" if math.copysign(1, score) < 0 else "right"
