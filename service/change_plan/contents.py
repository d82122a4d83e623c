"""What stands in a change plan, in words: the page and the PDF lay out the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.web.language import Language


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table; the first cell of each row names it.

    Attributes
    ----------
    caption : str
    head : sequence of str
    rows : sequence of sequence of str
        Each as long as the head.
    """

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the three parts.

    Attributes
    ----------
    name : str
        Stable, for programs and for the heading's identifier.
    heading, meaning : str
        What a regulator calls it is in the meaning.
    tables : sequence of Table
    points : sequence of (str, str)
        A list with its heading, if any: what, and what is so.
    """

    name: str
    heading: str
    meaning: str
    tables: Sequence[Table]
    points: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class ChangePlan:
    """A plan, filled in.

    Attributes
    ----------
    run_id : str
    language : Language
        Of all that is not a name or what somebody typed.
    made_at : datetime
        UTC.
    title : str
    status : str
        How far the run is, and so how much of the plan is filled in.
    notice : sequence of str
    parts : sequence of Part
        Three.
    signing : sequence of str
        What the lines at the end are for.
    origin : sequence of (str, str)
        Where the document comes from.
    """

    run_id: str
    language: Language
    made_at: datetime
    title: str
    status: str
    notice: Sequence[str]
    parts: Sequence[Part]
    signing: Sequence[str]
    origin: Sequence[tuple[str, str]]
