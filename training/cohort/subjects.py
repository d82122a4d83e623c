"""Who a subject is: what the phenotype tables of every source are reduced to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Sex = Literal["female", "male"]
Handedness = Literal["right", "left", "ambidextrous"]
Release = Literal["train", "test"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One person of a cohort. None means that the table does not say.

    Attributes
    ----------
    subject_id : str
        As in the table, never zero-padded.
    site : str
        Name of the scanner site.
    label : int or None
        0 control, 1 case (ADHD of any subtype); None where the diagnosis is pending or missing.
    diagnosis : str
        The label column's text as found.
    age_years : float or None
    sex : "female", "male" or None
    handedness : "right", "left", "ambidextrous" or None
    iq : float or None
        Full scale.
    quality_passed : mapping of str to bool or None
        What others said of the scan, by column, for example ``QC_Athena``: True pass, False questionable.
    release : "train", "test" or None
        The official part of the data set.
    """

    subject_id: str
    site: str
    label: int | None
    diagnosis: str
    age_years: float | None = None
    sex: Sex | None = None
    handedness: Handedness | None = None
    iq: float | None = None
    quality_passed: Mapping[str, bool | None] = field(default_factory=dict)
    release: Release | None = None


def plain_id(text: str) -> str:
    """Write a subject's id the one way that tables, file names and lists are compared in.

    ADHD-200 pads ids to seven digits in file names only, BIDS puts ``sub-`` before them, and a spreadsheet
    or data frame may have made a number with ``.0`` of them.

    Parameters
    ----------
    text : str
        For example ``"0010042"``, ``"sub-10042"`` or ``" 10042 "``.

    Returns
    -------
    str
        ``"10042"`` for each of these; an id that is not a number keeps its letters and case. May be empty.
    """
    bare = text.strip().removeprefix("sub-").strip()
    whole = bare.removesuffix(".0")
    if whole.isascii() and whole.isdigit():
        return whole.lstrip("0") or "0"
    return bare
