"""What REST says of a person and a scan beside the people that the model was trained on."""

from pydantic import BaseModel, Field

from service.population import Place


class MiddleRange(BaseModel):
    """Between these lie nine tenths of the training subjects."""

    low: float
    high: float


class ComparisonResponse(BaseModel):
    """One value beside those of the training subjects."""

    name: str = Field(
        description="`age_years`, `sex`, `site`, `tr_s`, or a figure of the scan's quality; `spike_share` is "
        "the share of changes from frame to frame that stand out"
    )
    value: float | str | None = Field(description="null: not given, or not measured")
    place: Place = Field(
        description="`outside`: beyond the central 98 % of the training subjects, a site or sex that is not "
        "among them, or a repetition time more than 5 % from each of theirs; `unknown`: one side is not known"
    )
    middle_90: MiddleRange | None
    percentile: float | None = Field(
        description="Of a hundred training subjects so many have a smaller value", ge=0, le=100
    )
    subjects: int | None = Field(
        description="How many of the training subjects are of this sex or site or have this repetition time"
    )


class PopulationResponse(BaseModel):
    """How a person and a scan compare with the people that the model was trained on."""

    subjects: int
    cases: int
    controls: int
    comparisons: list[ComparisonResponse]
