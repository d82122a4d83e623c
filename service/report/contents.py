"""What stands in a report, in words and drawings: the page and the PDF lay out the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from service.web.language import Language
from service.web.wording import Decision, Remark


@dataclass(frozen=True)
class Fact:
    """A line of a list of facts.

    Attributes
    ----------
    name, value : str
    digest : bool
        Whether it is a hash, which nobody reads as a word.
    """

    name: str
    value: str
    digest: bool = False


@dataclass(frozen=True)
class Measured:
    """A figure of the scan's quality, and where it lies among those of the training scans, or what it is."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Chart:
    """A drawing of the result.

    Attributes
    ----------
    svg : str
        With a view box, without references; its words are ours and its numbers the result's.
    alt : str
        What it shows, for who does not see it.
    caption : str
    """

    svg: str = field(repr=False)
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class ReportPicture:
    """A picture that was made of the scan.

    Attributes
    ----------
    name : str
        Lower-case letters, unique within the report.
    png : bytes
    width, height : int
        Pixels.
    alt : str
        What it shows, for who does not see it.
    caption : str
    """

    name: str
    png: bytes = field(repr=False)
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True, kw_only=True)
class ReviewWords:
    """What a clinician said.

    Attributes
    ----------
    said : str
        What they did with the answer.
    by, at : str
    diagnosis : str
        Empty where none was given.
    consent : str
        To training on the scan; empty where it says nothing of it.
    reason : str
        As it was typed; empty where none was given.
    """

    said: str
    by: str
    at: str
    diagnosis: str
    consent: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """One finished prediction, ready to be laid out.

    Attributes
    ----------
    prediction_id : str
    language : Language
        Of all that is not a name or what somebody typed.
    headings : mapping of str to str
        What stands over and beside the contents (:mod:`service.report.headings`).
    made_at : datetime
        UTC.
    title : str
        Names the prediction by its identifier alone: browsers make the name of a saved file of it.
    notice : sequence of str
        What the answer may be used for; no layout leaves it out.
    subject : str
        The pseudonym, or that there is none.
    person, scan, model, origin : sequence of Fact
        What was said about the person; the file; the model's card in short; where the report comes from.
    probability, interval : str
    decision : Decision
        With what it does not mean.
    scale, windows : Chart
    dvars : Chart or None
        None for a scan that is too short for a line.
    remarks : sequence of Remark
        Warnings.
    verdict : str
        Whether the scan is good enough, and why.
    quality : sequence of Measured
    performance : sequence of Fact
        Cross-validated figures of the model with their intervals; empty where its card has none.
    measured_on : str
        The people they were measured on, and what the figures do not promise.
    reviews : sequence of ReviewWords
        The last word first.
    more_reviews : bool
        Whether there are earlier ones than these.
    pictures : sequence of ReportPicture
    """

    prediction_id: str
    language: Language
    headings: Mapping[str, str]
    made_at: datetime
    title: str
    notice: Sequence[str]
    subject: str
    person: Sequence[Fact]
    probability: str
    interval: str
    decision: Decision
    scale: Chart
    windows: Chart
    dvars: Chart | None
    remarks: Sequence[Remark]
    verdict: str
    quality: Sequence[Measured]
    scan: Sequence[Fact]
    model: Sequence[Fact]
    performance: Sequence[Fact]
    measured_on: str
    reviews: Sequence[ReviewWords]
    more_reviews: bool
    origin: Sequence[Fact]
    pictures: Sequence[ReportPicture] = ()
