"""What REST gives about cohorts and training runs."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.db.rows import CohortState, FoldState, RunState


class CohortResponse(BaseModel):
    """A cohort that training may be asked for."""

    id: str
    name: str
    state: CohortState = Field(
        description="Of its folder and its index, as they were when looked at last: `changed` and `missing` "
        "cannot be trained on. Series are read by `restnet cohort verify`."
    )
    fingerprint: str = Field(description="sha256 over everybody in it, their labels and stored series")
    condition: str = Field(description="What a case is")
    simulated: bool
    n_subjects: int
    n_cases: int
    n_controls: int
    n_scans: int
    sites: dict[str, dict[str, int]] = Field(description="Cases and controls by institution")
    preprocessing: dict[str, Any]
    registered_at: datetime
    checked_at: datetime | None


class CohortPage(BaseModel):
    """A page of registered cohorts, by name."""

    items: list[CohortResponse]
    next_cursor: str | None


class ReviewedScansResponse(BaseModel):
    """Whom a training may take of the reviewed scans, before anything is compared with its cohort."""

    people: int = Field(description="With a consent that stands, one diagnosis and a pseudonym")
    scans: int
    cases: int = Field(description="People with ADHD")
    controls: int
    left_out: dict[str, int] = Field(description="Scans with a consent that are not taken, by why")


class TrainingErrorResponse(BaseModel):
    """Why a run or a fold failed."""

    code: str
    message: str
    details: dict[str, Any] | None
    reference: str | None = Field(description="To be quoted to the operator")


class EpochResponse(BaseModel):
    """A whole epoch of a fold."""

    epoch: int
    training_loss: float
    stopping_loss: float | None = Field(description="Of the part that is watched for the early stop")
    stopping_auc: float | None
    learning_rate: float
    seconds: float


class FoldResponse(BaseModel):
    """A fold of a run: where it stands."""

    fold: int = Field(description="From 0")
    name: str = Field(description="Its number, or the institution that is left out")
    status: FoldState
    cancel_requested: bool
    progress: float = Field(ge=0, le=1)
    epoch: int | None = Field(
        description="That is being trained; 0 while frames are encoded. Of a fold that waits to be gone on "
        "with, the last whole one, which is kept."
    )
    n_epochs: int | None = Field(description="The limit")
    training_loss: float | None
    stopping_loss: float | None
    remaining_s: float | None
    attempts: int
    outcome: dict[str, Any] | None = Field(description="What it came to, once it is finished")
    error: TrainingErrorResponse | None
    started_at: datetime | None
    finished_at: datetime | None


class FoldDetailResponse(FoldResponse):
    """A fold with its newest epochs."""

    epochs: list[EpochResponse]


class WaitingResponse(BaseModel):
    """What a run waits for: a worker that plans runs and puts them together, or one that trains its folds."""

    queue: Literal["planning", "training"]
    ahead: int = Field(description="Runs, or folds, that are before it")
    workers: int = Field(description="Of this queue, seen within the last half minute")


class TrainingRunBase(BaseModel):
    """A training run: what was asked for, and where it stands."""

    id: str
    grid_id: str | None = Field(description="Shared by the runs of one request")
    status: RunState
    cancel_requested: bool
    progress: float = Field(
        ge=0, le=1, description="Of its planning while that goes on, and of all its folds after it"
    )
    cohort_id: str | None
    cohort: str | None = Field(description="As it was called then; null for runs of `restnet train`")
    method: str | None = Field(
        description="`network`, or another of docs/methods.md; null for runs of `restnet train`"
    )
    network: str | None = Field(description="Null where the method is another")
    rnn: str | None = Field(description="Null where the method is another")
    seed: int | None
    selection: str | None
    where: list[str]
    split: str | None
    device: str
    reviewed_scans: bool = Field(description="Whether reviewed scans are added; `plan` says how many")
    settings: dict[str, Any] = Field(description="Those that were asked for; the others are the defaults")
    plan: dict[str, Any] | None = Field(description="What planning found; null before it")
    remaining_s: float | None = Field(description="At most, at the pace so far; null while unknown")
    estimated_end_at: datetime | None
    waiting: WaitingResponse | None = Field(description="Null while a worker is at it, and once it is over")
    model_version_id: str | None = Field(description="Of the challenger that it has made")
    resumable: bool
    error: TrainingErrorResponse | None
    created_at: datetime
    started_at: datetime | None = Field(
        description="When it was taken up first; of one that is gone on with, first since then"
    )
    finished_at: datetime | None


class TrainingRunResponse(TrainingRunBase):
    """A training run with where its folds stand."""

    folds: list[FoldResponse]


class TrainingRunPage(BaseModel):
    """A page of training runs, newest first."""

    items: list[TrainingRunResponse]
    next_cursor: str | None


class TrainingWarning(BaseModel):
    """What should be known of a training that is accepted all the same."""

    code: Literal["meets_evaluation_set", "nobody_agreed"] = Field(
        description="People of the evaluation set in use may be trained on; or reviewed scans were asked "
        "for, and nobody agrees to it now"
    )
    message: str


class TrainingGridResponse(BaseModel):
    """What a request has queued."""

    id: str = Field(description="The `grid_id` of its runs")
    runs: list[TrainingRunResponse]
    warnings: list[TrainingWarning] = Field(description="The same for all its runs; in their logs too")


class LogLineResponse(BaseModel):
    """A line of a run's log."""

    id: int
    at: datetime
    fold: int | None = Field(description="From 0; null for the run as a whole")
    event: str
    details: dict[str, Any] | None
    text: str


class TrainingLogResponse(BaseModel):
    """Lines of a run's log, oldest first."""

    items: list[LogLineResponse]
    next_after: int = Field(description="What to ask for next time as `after`")


class TrainingRunDetailResponse(TrainingRunBase):
    """A training run with the epochs of its folds and the end of its log."""

    folds: list[FoldDetailResponse]
    log: list[LogLineResponse]
