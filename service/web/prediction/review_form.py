"""The form for a review: what was typed, what it means, and what is wrong with it in words."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import TypeAdapter, ValidationError

from service.api.review_payloads import AcceptedReview, OverriddenReview, ReviewRequest
from service.reviews import REASON_MAX_LENGTH, Diagnosis, OwnDecision, Verdict
from service.web.language import _, marked

_REVIEW: TypeAdapter[AcceptedReview | OverriddenReview] = TypeAdapter(ReviewRequest)

ANSWER_MISSING = marked("Choose one of these.")
ANSWER_AGREES = marked("The model says that too: accept its answer, or choose another word.")
REASON_MISSING = marked("Say why you override the answer.")
REASON_TOO_LONG = marked("The reason is longer than %(limit)s characters.")
REASON_UNREADABLE = marked("The reason holds characters that are no text. Type it again.")
DIAGNOSIS_UNKNOWN = marked("Choose one of the list, or none.")

# What the form sends about consent, by what a review then says; an empty field says nothing new.
_CONSENTS: Mapping[str, bool | None] = {"": None, "yes": True, "no": False}


@dataclass(frozen=True)
class ReviewForm:
    """What a reviewer has typed.

    Attributes
    ----------
    answer : str
        ``accepted``, or the word that overrides.
    consent : str
        ``yes``, ``no``, or nothing.
    problems : dict
        Sentences by field.
    """

    answer: str = ""
    reason: str = field(default="", repr=False)
    diagnosis: str = ""
    consent: str = ""
    problems: dict[str, str] = field(default_factory=dict)

    def read(self) -> AcceptedReview | OverriddenReview | None:
        """Return the review that the form holds; None where something is wrong with it."""
        if self.consent not in _CONSENTS:
            return None
        try:
            return _REVIEW.validate_python(self._said())
        except ValidationError:
            return None

    def with_problems(self, **more: str) -> "ReviewForm":
        """Return the form with what is wrong beside its fields."""
        found = {}
        if self.answer not in {Verdict.ACCEPTED, *OwnDecision}:
            found["answer"] = _(ANSWER_MISSING)
        if self.diagnosis not in {"", *Diagnosis}:
            found["diagnosis"] = _(DIAGNOSIS_UNKNOWN)
        if self.consent not in _CONSENTS:
            found["consent"] = _(DIAGNOSIS_UNKNOWN)
        if len(self.reason) > REASON_MAX_LENGTH:
            found["reason"] = _(REASON_TOO_LONG, limit=format(REASON_MAX_LENGTH, ","))
        elif self.answer in set(OwnDecision) and not self.reason:
            found["reason"] = _(REASON_MISSING)
        elif not found and self.read() is None:
            found["reason"] = _(REASON_UNREADABLE)
        return replace(self, problems=found | more)

    def _said(self) -> dict[str, str | bool | None]:
        said: dict[str, str | bool | None] = {
            "reason": self.reason or None,
            "diagnosis": self.diagnosis or None,
            "training_consent": _CONSENTS[self.consent],
        }
        if self.answer == Verdict.ACCEPTED:
            return said | {"verdict": Verdict.ACCEPTED}
        return said | {"verdict": Verdict.OVERRIDDEN, "decision": self.answer}


EMPTY = ReviewForm()


def typed(*, answer: str, reason: str, diagnosis: str, consent: str) -> ReviewForm:
    """Take what a browser has sent; it ends lines as forms do, with two characters."""
    return ReviewForm(answer, reason.replace("\r\n", "\n").strip(), diagnosis, consent)
