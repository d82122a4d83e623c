"""What REST takes and gives about models."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.evaluation_payloads import EvaluationResponse
from service.api.patterns import LINES, SAID
from service.registry import NO_MODEL, OVERRIDE_REASON_MIN_LENGTH, REASON_MAX_LENGTH, Kind

Reason = Annotated[
    str,
    Field(
        min_length=1,
        max_length=REASON_MAX_LENGTH,
        pattern=SAID,
        description="Why, in your own words; kept with the deployment and in the audit. Never about a person",
        examples=["Trained on twice as many sites; better on the locked set."],
    ),
]
ExpectedActive = Annotated[
    str | None,
    Field(
        max_length=36,
        pattern=LINES,
        description="The identifier of the version that you saw answering; where another one answers "
        f"meanwhile, nothing is changed (`promotion_conflict`). `{NO_MODEL}`: you saw none answer",
    ),
]


class PromotionRequest(BaseModel):
    """A model that is to answer from now on."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    expected_active: ExpectedActive = None
    override_reason: Annotated[
        str | None,
        Field(
            min_length=OVERRIDE_REASON_MIN_LENGTH,
            max_length=REASON_MAX_LENGTH,
            pattern=SAID,
            description="Why rules of the gate that fail shall not matter; without it they do",
        ),
    ] = None


class RollbackRequest(BaseModel):
    """The model before is to answer again."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason
    expected_active: ExpectedActive = None


class RuleResponse(BaseModel):
    """A rule of the promotion gate, judged."""

    name: str
    passed: bool | None = Field(
        description="Null: it could not be judged, or there is nothing to compare with"
    )
    expected: str
    found: str
    overridable: bool = Field(description="Whether `override_reason` lets a version through that fails it")


class OverruledRule(BaseModel):
    """A rule that failed and was overruled."""

    name: str
    expected: str
    found: str
    overridable: bool


class Overridden(BaseModel):
    """What of the gate was overruled, and why."""

    reason: str
    rules: list[OverruledRule]


class DeploymentResponse(BaseModel):
    """A time in which one model version answered."""

    id: str
    number: int = Field(description="1 is the first one; each follows the one before it")
    model_version_id: str
    model_name: str
    model_version: str
    kind: Kind
    started_at: datetime
    ended_at: datetime | None = Field(description="Null: it answers now")
    by: str | None = Field(
        description="The account's name, or the program; null where it is gone or of another organisation"
    )
    reason: str | None
    overridden: Overridden | None


class ModelWarning(BaseModel):
    """What is left to be done after a change of the model that answers."""

    code: Literal["reference_of_another_model"] = Field(
        description="Scans were watched for drift for another version, and this one has no reference"
    )
    message: str
    cohort: str = Field(description="Of that reference")
    model_version_id: str = Field(description="Whose reference it is")
    model_name: str
    model_version: str


class PromotionResponse(DeploymentResponse):
    """The deployment that a promotion began."""

    warnings: list[ModelWarning]


class DeploymentPage(BaseModel):
    """One page of deployments, newest first."""

    items: list[DeploymentResponse]
    next_cursor: str | None


class ModelVersionResponse(BaseModel):
    """A registered checkpoint."""

    id: str
    name: str
    version: str
    sha256: str
    active: bool = Field(description="Whether it answers")
    answering_since: datetime | None = Field(description="Null where it does not answer")
    created_at: datetime
    added_by: str | None = Field(
        description="The account's name, or the program; null where it was not kept, is gone or is of "
        "another organisation"
    )
    method: str = Field(description="`network`, or another of docs/methods.md")
    origin_run_id: str | None = Field(
        description="The run of training that made it; null where there is none that this account can see"
    )
    card: dict[str, Any] = Field(
        description="As docs/model-card.md describes it; `network` and `rnn` are null where the method is "
        "another"
    )


class ModelVersionPage(BaseModel):
    """One page of registered checkpoints, newest first."""

    items: list[ModelVersionResponse]
    next_cursor: str | None


class ModelVersionDetail(ModelVersionResponse):
    """A registered checkpoint with the gate's rules as they stand now, and when it answered."""

    gate: list[RuleResponse]
    evaluation: EvaluationResponse | None = Field(
        description="As challenger: the one that the gate goes by, else the newest; null where there is none"
    )
    deployments: list[DeploymentResponse]


class SkippedVersion(BaseModel):
    """An earlier version that cannot answer again, and why."""

    model_version_id: str
    name: str
    version: str
    code: str


class RollbackResponse(DeploymentResponse):
    """The deployment that a rollback began."""

    skipped: list[SkippedVersion]
    warnings: list[ModelWarning]
