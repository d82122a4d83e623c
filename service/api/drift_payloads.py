"""What REST says about drift, and what it is asked."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.api.model_payloads import DeploymentResponse, ModelWarning
from service.api.patterns import ONE_LINE
from service.api.payloads import PredictionError
from service.db.rows import ReferenceState
from service.drift.variables import Beside
from service.drift.verdict import Verdict

_NAME = Field(min_length=1, max_length=255, pattern=ONE_LINE, description="Id or name of a cohort.")
Version = Annotated[
    str | None,
    Field(
        max_length=64,
        pattern=ONE_LINE,
        description="Id of a model version; not given: the one that answers.",
    ),
]


class ReferenceRequest(BaseModel):
    """A cohort to compare the scans of a model version with."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cohort: str = _NAME
    selection: Literal["all", "train", "test", "seed430"] | None = Field(
        default=None,
        description="Whom to compare with; not given: the training release where the cohort knows it.",
    )
    model_version_id: Version = None


class EvaluationRequest(BaseModel):
    """A model version whose scans shall be looked at soon."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_version_id: Version = None


class AcknowledgementRequest(BaseModel):
    """A model version whose alarms somebody has seen."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model_version_id: Version = None


ALL_SITES = ""


class DriftModel(BaseModel):
    """A model version."""

    id: str
    name: str
    version: str


class ShareResponse(BaseModel):
    """A share of `n`, with its interval at 95 % (Wilson)."""

    value: float
    low: float
    high: float
    n: int


class FindingResponse(BaseModel):
    """A variable in one week of one site against the reference; an empty `site` is all of them."""

    week: str
    site: str
    variable: str
    n: int
    statistic: float
    p_value: float
    beside: Beside = Field(
        default=Beside.REFERENCE, description="What was compared with; of two the one that tells more."
    )
    corrected_p: float
    judged: bool
    alarm: bool
    middle: float | None
    kind: str | None
    share: float | None


class OutcomeResponse(BaseModel):
    """How the answers of one week of one site fared."""

    week: str
    site: str
    n: int
    probability: list[float] | None = Field(description="Quartiles; null for fewer than 5 answers.")
    uncertain: ShareResponse | None
    overridden: ShareResponse | None
    sensitivity: ShareResponse | None
    specificity: ShareResponse | None


class OutsideResponse(BaseModel):
    """How many scans lie outside the 1st to 99th percentile of the model's card."""

    week: str
    site: str
    variable: str
    outside: ShareResponse


class ComparedWith(BaseModel):
    """The reference that an evaluation compared with: its 5th, 50th and 95th percentiles, and its kinds."""

    id: str
    people: int
    fitted: bool = Field(description="Whether the model was fitted on any of these people.")
    bands: dict[str, list[float]]
    kinds: dict[str, dict[str, int]]


class BaselineResponse(BaseModel):
    """A site's own scans: its people in the reference, or those of its first weeks."""

    beside: Beside
    weeks: list[str] = Field(description="The first weeks; empty for people of the reference.")
    people: int
    bands: dict[str, list[float]]
    kinds: dict[str, dict[str, int]]


class FoundResponse(BaseModel):
    """What the newest evaluation found."""

    weeks: list[str]
    sites: list[str]
    n_scans: int
    n_measured: int
    rule: dict[str, float]
    reference: ComparedWith | None
    baselines: dict[str, BaselineResponse] = Field(
        default_factory=dict, description="By site, where enough of its own is known."
    )
    findings: list[FindingResponse]
    outside_card: list[OutsideResponse]
    outcomes: list[OutcomeResponse]

    def baseline_of(self, site: str) -> BaselineResponse | None:
        """Return a site's own scans; of one site alone the findings are those of all together."""
        named = self.sites[0] if site == ALL_SITES and len(self.sites) == 1 else site
        return self.baselines.get(named)


class ReferenceResponse(BaseModel):
    """A reference: where it stands."""

    id: str
    model_version_id: str
    cohort: str
    simulated: bool = Field(description="Whether its people are simulated.")
    selection: str | None
    status: ReferenceState
    progress: float
    cancel_requested: bool
    in_use: bool
    people: int | None
    error: PredictionError | None
    requested_by: str | None
    created_at: datetime
    finished_at: datetime | None


class AlarmFinding(BaseModel):
    """What an alarm was raised for."""

    variable: str
    n: int
    statistic: float
    corrected_p: float


class AlarmResponse(BaseModel):
    """An alarm; an empty `site` is all of them."""

    id: str
    model_version_id: str
    reference_id: str = Field(description="What was compared with; it may be another one by now.")
    week: str
    site: str
    findings: list[AlarmFinding]
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    notified_at: datetime | None


class DriftResponse(BaseModel):
    """Whether the scans of late are like those of the reference."""

    verdict: Verdict
    alarm_since: str | None = Field(
        description="The first week with an alarm that nobody has acknowledged; else the first that differs."
    )
    open_alarms: int = Field(description="Alarms that nobody has acknowledged, shown below or not.")
    alarm_variables: list[str] = Field(description="What differs in the weeks of the verdict.")
    alarm_sites: list[str] = Field(description="Where; an empty one is all of them.")
    model: DriftModel | None
    evaluated_at: datetime | None
    evaluation_requested: bool
    reference: ReferenceResponse | None = Field(description="In use.")
    newest_reference: ReferenceResponse | None = Field(description="Newest that was asked for.")
    warnings: list[ModelWarning]
    found: FoundResponse | None
    alarms: list[AlarmResponse]
    deployments: list[DeploymentResponse]


class EvaluationRequestedResponse(BaseModel):
    """Whose scans are looked at soon."""

    model_version_id: str


class AcknowledgedResponse(BaseModel):
    """Whose alarms were seen, and how many of these nobody had seen yet."""

    model_version_id: str
    alarms: int


def found_of(stored: dict[str, Any] | None, *, site: str | None) -> FoundResponse | None:
    """Read what an evaluation found, of one site alone if one is named."""
    if stored is None:
        return None
    found = FoundResponse.model_validate(stored)
    if site is None:
        return found
    # Of one site alone the findings are those of all together.
    judged_as = ALL_SITES if found.sites == [site] else site
    named = {
        name: [one for one in getattr(found, name) if one.site == site]
        for name in ("outside_card", "outcomes")
    }
    findings = [one.model_copy(update={"site": site}) for one in found.findings if one.site == judged_as]
    own = {name: baseline for name, baseline in found.baselines.items() if name == site}
    return found.model_copy(update={"findings": findings, "baselines": own, **named})
