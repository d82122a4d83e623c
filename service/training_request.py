"""What a training is asked for: the form of the request over REST, on the page and by the command.

The web side loads neither torch nor `training`, so the settings that may be given stand here once more, with
the bounds of `training.fitting.settings.TrainingSettings`; a test holds the two together, and planning reads
them by the original.
"""

from collections.abc import Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

MAX_RUNS: Final = 40
# As many as there are of the whole grid of eight, five seeds each.
MAX_FILTERS: Final = 20
_INNER_AT_MOST = 0.5

# A zero byte is nothing that a database may be asked for.
_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]*$"

Network = Literal["A", "B", "C", "D"]
Rnn = Literal["lstm", "gru"]

# What is passed over beside a certain value of another setting.
_WITHOUT_EFFECT: Mapping[str, tuple[str, Any]] = MappingProxyType(
    {
        "folds": ("split", "leave_site_out"),
        "inner_stopping": ("protocol", "paper"),
        "inner_calibration": ("protocol", "paper"),
    }
)


class NotTogetherError(ValueError):
    """Parts of a request that cannot be beside each other.

    Attributes
    ----------
    kind : str
        Which rule it is, for whoever says it in other words.
    values : dict
        What the sentence names.
    """

    def __init__(self, kind: str, sentence: str, **values: Any) -> None:
        self.kind = kind
        self.values = values
        super().__init__(sentence.format(**values))


class TrainingRequest(BaseModel):
    """A cohort, who of it takes part, and networks: a run for each network, recurrent layer and seed."""

    # JSON knows its types: true is no number of epochs, and "2" none of folds.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    cohort: str = Field(
        min_length=1, max_length=255, pattern=_PRINTABLE, description="Id or name of a cohort."
    )
    selection: Literal["all", "train", "seed430"] | None = Field(
        default=None,
        description="Who takes part; not given: the training release where the cohort knows it, else all.",
    )
    where: list[Annotated[str, Field(max_length=200, pattern=_PRINTABLE)]] = Field(
        default=[], max_length=MAX_FILTERS, description="Filters such as `site=NYU,Peking` or `age<=18`."
    )
    networks: list[Network] = Field(default=["C"], min_length=1, description="Residual networks.")
    rnns: list[Rnn] = Field(default=["lstm"], min_length=1, description="Recurrent layers.")
    seeds: list[Annotated[int, Field(ge=0, lt=2**32)]] = Field(
        default=[0], min_length=1, max_length=MAX_RUNS, description="A run each."
    )
    split: Literal["stratified", "leave_site_out"] = Field(
        default="stratified", description="`leave_site_out` makes a fold for each institution."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where the folds are trained; `auto` takes a GPU where there is one."
    )

    reviewed_scans: bool = Field(
        default=False,
        description="Train also on scans whose people agreed to it and whose diagnosis a review confirms; "
        "none of them is measured.",
    )

    protocol: Literal["nested", "paper"] = Field(
        default="nested",
        description="Early stop on an inner part of the training folds, or on the training loss (paper).",
    )
    folds: int = Field(default=5, ge=2, le=100, description="Folds of the cross-validation.")
    epochs: int = Field(default=100, ge=1, le=100_000, description="Epochs at most.")
    patience: int = Field(
        default=5, ge=1, le=100_000, description="Stop after this many epochs without a better watched value."
    )
    width: int = Field(default=16, ge=1, le=256, description="Channels of the stem; each stage doubles them.")
    batch_size: int = Field(default=32, ge=1, le=4096, description="Windows a step of the optimiser.")
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description="Windows at once on the device; not given: the batch.",
    )
    windows_per_subject: int = Field(
        default=1, ge=1, le=1000, description="Random windows a subject gives in an epoch."
    )
    learning_rate: float = Field(
        default=1e-4, gt=0.0, le=1.0, allow_inf_nan=False, description="Of Adam, at the start."
    )
    schedule: Literal["constant", "cosine"] = Field(
        default="constant", description="The learning rate stays, or falls to zero over all epochs."
    )
    weight_decay: float = Field(
        default=0.0, ge=0.0, le=10.0, allow_inf_nan=False, description="Decoupled (AdamW); 0 is plain Adam."
    )
    dropout: float = Field(
        default=0.5, ge=0.0, lt=1.0, description="Share of the time-pooled states that training drops."
    )
    feature_norm: Literal["none", "batch"] = Field(
        default="none", description="Whether features are standardised over the batch's frames."
    )
    encoder: Literal["trained", "frozen"] = Field(
        default="trained",
        description="Whether the residual network is trained, or keeps its random first weights.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="Of the residual network in training."
    )
    inner_stopping: float = Field(
        default=0.15, ge=0.0, lt=0.5, description="Share of the training folds watched for the early stop."
    )
    inner_calibration: float = Field(
        default=0.15, gt=0.0, lt=0.5, description="Share of the training folds kept for calibration."
    )

    @field_validator("networks", "rnns", "seeds")
    @classmethod
    def _each_once(cls, given: list[Any]) -> list[Any]:
        if len(set(given)) < len(given):
            twice = next(one for one in given if given.count(one) > 1)
            raise ValueError(f"expected each once, found {twice!r} more often")
        return given

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for name, (cause, value) in _WITHOUT_EFFECT.items():
            if getattr(self, cause) == value:
                self._leave_out(name, cause=cause)
        if self.protocol == "nested" and not self.inner_stopping:
            self._leave_out("patience", cause="inner_stopping")
        if self.micro_batch is not None and self.micro_batch > self.batch_size:
            raise NotTogetherError(
                "micro_batch",
                "expected micro_batch to be at most batch_size, {limit}, found {found}",
                limit=self.batch_size,
                found=self.micro_batch,
            )
        taken = round(self.inner_stopping + self.inner_calibration, 9)
        if self.protocol == "nested" and taken > _INNER_AT_MOST:
            raise NotTogetherError(
                "inner_parts",
                "expected inner_stopping and inner_calibration to be together at most {limit}, found {found}",
                limit=_INNER_AT_MOST,
                found=taken,
            )
        if self.n_runs > MAX_RUNS:
            raise NotTogetherError(
                "too_many_runs",
                "expected at most {limit} runs, a network, recurrent layer and seed each, found {found}",
                limit=MAX_RUNS,
                found=self.n_runs,
            )
        return self

    def _leave_out(self, name: str, *, cause: str) -> None:
        found, default = getattr(self, name), type(self).model_fields[name].default
        if found != default:
            raise NotTogetherError(
                "without_effect",
                "expected {name} to be left out, because it has no effect with {cause}, found {found}",
                name=name,
                cause=f"{cause} = {getattr(self, cause)!r}",
                found=found,
                default=default,
            )

    @property
    def n_runs(self) -> int:
        """How many runs are asked for."""
        return len(self.networks) * len(self.rnns) * len(self.seeds)

    def of_each(self) -> Iterator[dict[str, Any]]:
        """Write what each run is asked for, as JSON: who takes part, and settings by their own names.

        Yields
        ------
        dict
            ``selection``, ``where``, ``split``, ``device``, ``reviewed_scans`` and ``settings``; only those
            settings that are not the default, so that what has no effect is not asked for.
        """
        about = self.model_dump(include={"selection", "where", "split", "device", "reviewed_scans"})
        fields = type(self).model_fields
        apart = {"cohort", "networks", "rnns", "seeds", *about}
        shared = {
            name: value
            for name, value in self.model_dump(exclude=apart).items()
            if value != fields[name].default
        }
        for seed, rnn, network in product(self.seeds, self.rnns, self.networks):
            yield about | {"settings": {"network": network, "rnn": rnn, "seed": seed, **shared}}


def shared_settings() -> tuple[str, ...]:
    """Name the settings that stand here and in `TrainingSettings`."""
    apart = {"cohort", "selection", "where", "networks", "rnns", "seeds", "split", "device", "reviewed_scans"}
    return tuple(name for name in TrainingRequest.model_fields if name not in apart)
