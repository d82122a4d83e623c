"""The people that a model was trained on, in figures that single nobody out: a part of its card."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# With fewer people than this a tail of their distribution is a single person.
FEWEST_FOR_TAILS = 10

FigureName = Literal[
    "age_years",
    "tr_s",
    "n_frames",
    "duration_s",
    "tsnr",
    "dvars_mean",
    "dvars_max",
    "spike_share",
    "template_coverage",
    "in_band_power",
]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]

_TAILS = ("minimum", "p1", "p5", "p95", "p99", "maximum")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Spread(_Part):
    """How a figure is distributed over the people of whom it is known.

    Attributes
    ----------
    n_known : int
    minimum, p1, p5, p25, p50, p75, p95, p99, maximum : float or None
        Quantiles, in percent where they are named by a number. Fewer than ``FEWEST_FOR_TAILS`` people have
        the middle three alone, and none of whom nothing is known has any.
    """

    n_known: Count
    minimum: Number | None = None
    p1: Number | None = None
    p5: Number | None = None
    p25: Number | None = None
    p50: Number | None = None
    p75: Number | None = None
    p95: Number | None = None
    p99: Number | None = None
    maximum: Number | None = None

    @model_validator(mode="after")
    def _no_tails_of_few(self) -> "Spread":
        if self.n_known < FEWEST_FOR_TAILS and any(getattr(self, name) is not None for name in _TAILS):
            raise ValueError(f"expected no tails of fewer than {FEWEST_FOR_TAILS} people")
        given = [value for value in self.model_dump(exclude={"n_known"}).values() if value is not None]
        if given != sorted(given):
            raise ValueError("expected quantiles in their order")
        return self


class RepetitionTime(_Part):
    """A repetition time, and how many people have a scan with it."""

    tr_s: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    subjects: Count


class Population(_Part):
    """Who a model was trained on.

    Attributes
    ----------
    subjects, cases, controls : int
    sex : dict
        How many are ``female`` and ``male``; the others' is not known.
    sites : dict
        How many people are of each site that may be named: those of simulated people, and of ADHD-200.
    subjects_at_unnamed_sites : int
    repetition_times : tuple of RepetitionTime
        In order.
    figures : dict of Spread
        By name; a person with several scans counts once, with their mean. ``spike_share`` is the share of
        changes from frame to frame that stand out; the others are as in `imaging.quality`.
    """

    subjects: Count
    cases: Count
    controls: Count
    sex: dict[Literal["female", "male"], Count]
    sites: dict[str, Count]
    subjects_at_unnamed_sites: Count
    repetition_times: tuple[RepetitionTime, ...]
    figures: dict[FigureName, Spread]
