"""What REST takes and gives about shadow mode, batches of scores, and what would have changed."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from service.api.model_payloads import Reason
from service.api.moments import Moment
from service.db.rows import RescoreState

MAX_LIMIT = 10_000_000

Since = Annotated[Moment, Field(description="Only predictions that were queued then or later")]
Until = Annotated[Moment, Field(description="Only predictions that were queued before then; null: until now")]
Newest = Annotated[
    int | None, Field(ge=1, le=MAX_LIMIT, description="At most so many, the newest; null: all of them")
]


class ShadowRequest(BaseModel):
    """A model that is to be in shadow from now on."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class RescoreRequest(BaseModel):
    """A model that is to score earlier scans."""

    model_config = ConfigDict(extra="forbid")

    model_version_id: Annotated[str, Field(max_length=36)]
    reason: Reason
    since: Since = None
    until: Until = None
    limit: Newest = None


class ScoreCounts(BaseModel):
    """Scores of all organisations by where they stand; one that is deleted with its scan is in none."""

    queued: int
    scoring: int
    succeeded: int
    failed: int
    cancelled: int
    failed_by_code: dict[str, int]


class ShadowResponse(BaseModel):
    """A time in which a model was in shadow, or is."""

    id: str
    model_version_id: str
    started_at: datetime
    ended_at: datetime | None = Field(description="Null: it is in shadow now")
    ended_because: str | None = Field(description="`request`, or `promotion`: it answers since then")
    by: str | None = Field(
        description="The account's name, or the program; null where it is gone or of another organisation"
    )
    ended_by: str | None
    reason: str
    scores: ScoreCounts


class ShadowStanding(BaseModel):
    """Whether a model is in shadow."""

    shadow: ShadowResponse | None = Field(description="The last time that it was; null: it never was")


class RescoreResponse(BaseModel):
    """A batch: one model over earlier scans of all organisations."""

    id: str
    model_version_id: str
    model_name: str
    model_version: str
    status: RescoreState
    since: datetime | None
    until: datetime
    n_asked: int = Field(description="Scans that there were to score when it began")
    n_queued: int = Field(description="How many of them have been queued; the others follow")
    progress: float = Field(description="Share of `n_asked` that needs no more work, 0 to 1")
    scores: ScoreCounts
    by: str | None
    reason: str
    created_at: datetime
    ended_at: datetime | None


class RescorePage(BaseModel):
    """One page of batches, newest first."""

    items: list[RescoreResponse]
    next_cursor: str | None


class RescorePreview(BaseModel):
    """What a batch would score."""

    scans: int = Field(description="Answered predictions, of all organisations, whose scan is still stored")


class ShareResponse(BaseModel):
    """How many of how many, with Wilson's 95 % interval; no share of nothing."""

    count: int
    of: int
    value: float | None
    low: float | None
    high: float | None


class DifferencesResponse(BaseModel):
    """Probability by this model less the one that was answered."""

    mean: float
    mean_absolute: float
    least: float
    most: float
    quantiles: dict[str, float] = Field(description="By the share of scans below", examples=[{"0.5": 0.01}])
    reach: float = Field(description="The histogram goes from minus this to this")
    histogram: list[int] = Field(description="Scans in equal steps")


class AgreementResponse(BaseModel):
    """How decisions meet confirmed diagnoses; `uncertain` meets none."""

    sensitivity: ShareResponse = Field(description="Called ADHD, of those with a diagnosis of ADHD")
    specificity: ShareResponse = Field(description="Called control, of those diagnosed to have none")
    uncertain: int


class ComparisonResponse(BaseModel):
    """What would have changed, over all organisations: each prediction as it was answered, and this model."""

    n: int
    decisions: dict[str, dict[str, int]] = Field(description="Scans by decision then, and decision now")
    changed: ShareResponse
    differences: DifferencesResponse | None = Field(description="Null without a score")
    agreement_then: AgreementResponse
    agreement_now: AgreementResponse


class AnswerResponse(BaseModel):
    """What one model says of a scan."""

    adhd_probability: float
    low: float
    high: float
    decision: str


class ChangedPrediction(BaseModel):
    """A prediction that this model decides otherwise."""

    prediction_id: str
    subject_id: str | None = Field(description="Null where there is none, or the reader sees no predictions")
    answered_at: datetime | None
    model_version_id: str = Field(description="The model that answered")
    then: AnswerResponse
    now: AnswerResponse


class ChangedPage(BaseModel):
    """One page of changed decisions of the reader's own organisation, newest scores first."""

    items: list[ChangedPrediction]
    next_cursor: str | None
    elsewhere: int = Field(description="Changed decisions of other organisations, which are not listed")
