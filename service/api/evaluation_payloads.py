"""What REST takes and gives about evaluation sets and evaluations."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.patterns import NAME, ONE_LINE
from service.db.rows import CohortState, EvaluationState
from service.training_request import MAX_FILTERS


class EvaluationSetRequest(BaseModel):
    """People of a registered cohort, to judge models by."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=100, pattern=NAME, examples=["Held out, 2026"])
    cohort: str = Field(min_length=1, max_length=255, pattern=ONE_LINE, description="Id or name of a cohort.")
    selection: Literal["all", "test"] = Field(
        default="all",
        description="Everybody with a diagnosis, or the official test release where the cohort knows it.",
    )
    where: list[Annotated[str, Field(max_length=200, pattern=ONE_LINE)]] = Field(
        default=[], max_length=MAX_FILTERS, description="Filters such as `site=NYU,Peking` or `age<=18`."
    )


class EvaluationSetResponse(BaseModel):
    """People on whom models are compared. A set is never changed: others are another set."""

    id: str
    name: str
    in_use: bool = Field(description="Whether models are compared on it now; one set at most is")
    compared: bool = Field(description="Whether a model was compared on it, or is just now: then it stays")
    cohort_id: str
    cohort: str = Field(description="The cohort's name")
    cohort_state: CohortState
    selection: str
    where: list[str]
    simulated: bool
    fingerprint: str | None = Field(
        description="sha256 over its people, their diagnoses and stored series; null, as the counts are, "
        "until a worker has looked"
    )
    n_cases: int | None
    n_controls: int | None
    sites: dict[str, int] | None = Field(description="People by institution")
    added_by: str | None = Field(
        description="The account's name, or the program; null where it is gone or of another organisation"
    )
    added_at: datetime


class EvaluationSetPage(BaseModel):
    """One page of evaluation sets, by name."""

    items: list[EvaluationSetResponse]
    next_cursor: str | None


class EvaluationErrorResponse(BaseModel):
    """Why an evaluation failed, or waits to be tried again."""

    code: str
    message: str
    details: dict[str, Any] | None
    reference: str | None = Field(description="To be quoted to the operator")


class ComparedModel(BaseModel):
    """A model version of an evaluation."""

    id: str
    name: str
    version: str


class EvaluationSetName(BaseModel):
    """An evaluation set, as others name it."""

    id: str
    name: str


class EvaluationResponse(BaseModel):
    """A challenger beside a champion on an evaluation set: where it stands, and the verdict."""

    id: str
    status: EvaluationState
    progress: float = Field(ge=0, le=1)
    cancel_requested: bool
    current: bool = Field(
        description="Whether the gate goes by it: the champion is the model that answers now, and the set is "
        "in use"
    )
    champion: ComparedModel
    challenger: ComparedModel
    evaluation_set: EvaluationSetName
    passed: bool | None = Field(description="Whether every rule held; null until it has succeeded")
    error: EvaluationErrorResponse | None
    attempts: int
    requested_by: str | None = Field(
        description="The account's name, or the program; null where it is gone or of another organisation"
    )
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class EvaluationDetailResponse(EvaluationResponse):
    """An evaluation with everything that was measured."""

    outcome: dict[str, Any] | None = Field(
        description="As `restnet compare --json` writes it: `evaluation_set`, `rules` and `together`, which "
        "is null where the challenger could not be measured"
    )


class EvaluationPage(BaseModel):
    """One page of evaluations, newest first."""

    items: list[EvaluationResponse]
    next_cursor: str | None
