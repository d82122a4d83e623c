"""What REST takes and gives about reviews."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from service.api.patterns import NOT_BLANK
from service.reviews import REASON_MAX_LENGTH, Diagnosis, OwnDecision, Verdict

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=REASON_MAX_LENGTH,
        pattern=NOT_BLANK,
        description="In the reviewer's words; not blank",
        examples=["The movement in the second half explains the answer."],
    ),
]

TrainingConsent = Annotated[
    StrictBool | None,
    Field(
        description="Whether the person, or a guardian, lets the scan be trained on. Not given: nothing new; "
        "the newest word counts, and false withdraws an earlier consent"
    ),
]


class AcceptedReview(BaseModel):
    """The reviewer goes along with the model's answer."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal[Verdict.ACCEPTED]
    reason: Reason | None = None
    diagnosis: Diagnosis | None = Field(default=None, description="The final clinical one, where it is known")
    training_consent: TrainingConsent = None


class OverriddenReview(BaseModel):
    """The reviewer says something else than the model."""

    model_config = ConfigDict(extra="forbid")

    verdict: Literal[Verdict.OVERRIDDEN]
    decision: OwnDecision = Field(description="Not the model's own; `cannot_tell` is its `uncertain`")
    reason: Reason
    diagnosis: Diagnosis | None = Field(default=None, description="The final clinical one, where it is known")
    training_consent: TrainingConsent = None


ReviewRequest = Annotated[AcceptedReview | OverriddenReview, Field(discriminator="verdict")]


class ReviewResponse(BaseModel):
    """A review as it was written; none is ever changed."""

    id: str
    prediction_id: str
    reviewer: str | None = Field(description="The account; null when it is gone")
    verdict: Verdict
    decision: OwnDecision | None = Field(description="The reviewer's own word; null when they accepted")
    reason: str | None
    diagnosis: Diagnosis | None
    training_consent: bool | None = Field(description="What this review says of it; null says nothing")
    created_at: datetime


class ReviewPage(BaseModel):
    """One page of a prediction's reviews, newest first."""

    items: list[ReviewResponse]
    next_cursor: str | None = Field(description="Give it as `cursor` for the next page; null at the end")


class DecisionCounts(BaseModel):
    """Predictions by what the model decided."""

    adhd: int
    control: int
    uncertain: int


class DiagnosisCounts(BaseModel):
    """Predictions by final diagnosis and by what the model decided."""

    adhd: DecisionCounts
    control: DecisionCounts
    other: DecisionCounts


class AgreementCounts(BaseModel):
    """How often decision and diagnosis are the same, where both are ADHD or control."""

    agreeing: int
    decided: int = Field(description="Predictions that can be compared in this way")


class ReviewCountsResponse(BaseModel):
    """The organisation's reviewed predictions, each counted once, by its newest review."""

    accepted: int
    overridden: int
    with_diagnosis: int = Field(description="The newest diagnosis that was given stands")
    agreement: AgreementCounts
    by_diagnosis: DiagnosisCounts
