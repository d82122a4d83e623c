"""Making a report fit two pages: what is long is cut where it stands, and says where it goes on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from service.report.contents import Fact, Measured, Report, ReviewWords
from service.web.language import _, marked, spoken
from service.web.wording import Remark

CONTINUED = marked("\N{HORIZONTAL ELLIPSIS} (continued on the page of the prediction)")


# Of the sentence around the people that a model was measured on.
_WORDS_AROUND = 120


@dataclass(frozen=True, kw_only=True)
class Room:
    """How much of what may be long is kept.

    Attributes
    ----------
    pages : int
        How many there may be.
    reviews, remarks, pictures : int
        How many.
    reason, remark, fact : int
        Characters of a reason, of a warning, and of any other text that is not ours.
    measured : bool
        Whether a warning keeps what was measured.
    points : float
        The size of the letters.
    picture_mm : float
        The height of a picture.
    """

    pages: int
    reviews: int
    remarks: int
    reason: int
    remark: int
    fact: int
    measured: bool
    points: float
    picture_mm: float
    pictures: int = 4


_WHOLE = Room(
    pages=2, reviews=3, remarks=10, reason=2000, remark=400, fact=200, measured=True, points=9, picture_mm=52
)
ROOMS = (
    # One page with smaller letters, sooner than a second one for its last lines.
    replace(_WHOLE, pages=1),
    replace(_WHOLE, pages=1, points=8.4),
    _WHOLE,
    replace(_WHOLE, reviews=2, reason=700, remark=250, fact=160, measured=False, picture_mm=44),
    # Sure to fit, whatever was typed; a digest of 64 characters stays whole.
    replace(_WHOLE, reviews=1, reason=200, remark=120, fact=64, measured=False, points=8, picture_mm=30),
)
"""Tried in this order."""


def fit(report: Report, room: Room) -> Report:
    """Return a report that holds no more than there is room for."""
    with spoken(report.language):
        return _fitted(report, room)


def _fitted(report: Report, room: Room) -> Report:
    remarks = [_remark(remark, room) for remark in report.remarks[: room.remarks]]
    if len(report.remarks) > room.remarks:
        left = len(report.remarks) - room.remarks
        remarks.append(Remark(_("%(count)s more on the page of the prediction.", count=left), "", ""))
    return replace(
        report,
        subject=cut(report.subject, room.fact),
        person=_facts(report.person, room),
        remarks=remarks,
        verdict=cut(report.verdict, room.remark),
        quality=[
            Measured(cut(line.name, 40), cut(line.value, 20), cut(line.meaning, room.fact))
            for line in report.quality[:12]
        ],
        scan=_facts(report.scan, room),
        model=_facts(report.model, room),
        measured_on=cut(report.measured_on, room.fact + _WORDS_AROUND),
        reviews=[_review(review, room) for review in report.reviews[: room.reviews]],
        more_reviews=report.more_reviews or len(report.reviews) > room.reviews,
        origin=_facts(report.origin, room),
        pictures=[
            replace(picture, caption=cut(picture.caption, room.fact))
            for picture in report.pictures[: room.pictures]
        ],
    )


def cut(text: str, length: int) -> str:
    """Bring a text into one line, and cut it after a word where it is longer than this."""
    line = " ".join(text.split())
    if len(line) <= length:
        return line
    kept = line[:length]
    words, _blank, rest = kept.rpartition(" ")
    # A text without blanks is cut where it has to be.
    return (words if words and len(rest) < length // 3 else kept) + _(CONTINUED)


def _facts(facts: Sequence[Fact], room: Room) -> list[Fact]:
    return [replace(fact, value=cut(fact.value, room.fact)) for fact in facts]


def _remark(remark: Remark, room: Room) -> Remark:
    measured = cut(remark.measured, room.remark) if room.measured else ""
    return Remark(cut(remark.said, room.remark), measured, cut(remark.code, 40))


def _review(review: ReviewWords, room: Room) -> ReviewWords:
    return replace(review, by=cut(review.by, 64), reason=cut(review.reason, room.reason))
