"""What REST gives about explanations."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from service.api.payloads import PredictionError
from service.db.rows import ExplanationState

FileName = Literal[
    "attribution.nii.gz",
    "grad_cam.nii.gz",
    "mean.nii.gz",
    "temporal_sd.nii.gz",
    "attribution.png",
    "carpet.png",
    "mean.png",
    "temporal_sd.png",
    "tsnr.png",
]


class PeakResponse(BaseModel):
    """A place where the map is large."""

    mni_mm: tuple[float, float, float]
    value: float = Field(description="In logits; positive speaks for ADHD")
    nearest_region: str = Field(description="Of the nearest of 160 published points: a landmark, no atlas")
    nearest_network: str
    distance_mm: float = Field(description="To that point")


class PictureResponse(BaseModel):
    """A picture and what its darkest and brightest stand for."""

    width: int
    height: int
    low: float
    high: float


class ExplanationFacts(BaseModel):
    """What stands in an explanation's files."""

    method: Literal["integrated_gradients"]
    logit: float = Field(description="Uncalibrated, over the windows and members that were asked")
    baseline_logit: float = Field(description="Of a scan that is 0 everywhere")
    completeness_error: float = Field(description="The map's sum less the change of the logit")
    accounts: bool = Field(description="Whether the map's sum is the logit's change up to a fourth of it")
    start_frames: list[int]
    members: int
    steps: int
    peaks: list[PeakResponse]
    strongest: dict[FileName, float] = Field(description="The largest size in each map")
    volumes: list[FileName] = Field(description="A scan without a mean of its own has no `mean`")
    pictures: dict[FileName, PictureResponse]
    frames_per_column: int = Field(description="Of the carpet plot")
    global_signal: list[float] = Field(description="A frame, in standard deviations of a voxel")


class ExplanationResponse(BaseModel):
    """What of a scan drove a prediction: where the work stands and, at the end, what there is to see."""

    prediction_id: str
    status: ExplanationState
    progress: float = Field(ge=0, le=1)
    facts: ExplanationFacts | None
    error: PredictionError | None
    created_at: datetime
    finished_at: datetime | None


def explanation_facts(stored: dict[str, Any] | None) -> ExplanationFacts | None:
    """Read what a row keeps; None before the end."""
    return None if stored is None else ExplanationFacts.model_validate(stored)
