"""A model's card: what it is, what it was trained on, and how its logits become a decision.

The card travels inside the checkpoint, in the safetensors header, and can be read without the weights and
without torch: the web side shows it, the registry stores it.
"""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from model.architecture import Architecture
from model.errors import (
    CheckpointCorruptError,
    CheckpointFormatError,
    CheckpointMethodError,
    CheckpointNotFoundError,
    MethodNeedsT1wError,
)
from model.methods.catalogue import METHODS
from model.population import Population

FORMAT_VERSION = 1
CARD_KEY = "card"
MAX_HEADER_BYTES = 16 * 1024 * 1024
CONFORMAL_KEYS = frozenset({"level", "control", "adhd"})
_LENGTH_BYTES = 8

DecisionRule = Literal["interval", "conformal"]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]


class RegionsRecord(BaseModel):
    """Which regions of the brain a method reads; their voxels travel with its weights.

    Attributes
    ----------
    name : str
        "cubes", "power264", or what an atlas was called.
    n_regions : int
        That have voxels on the cube.
    sha256 : str
        Over the region of each voxel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    n_regions: int = Field(ge=2, le=1000)
    sha256: str


class ModelCard(Architecture):
    """Everything that serving needs to know about a checkpoint, and what a reader should.

    A card is the architecture of every member, and more. A card from before the ablations had names is one
    with their defaults.

    Attributes
    ----------
    name, version : str
        What people call it.
    format_version : int
        Of the checkpoint file; this code knows version 1.
    network, rnn, width, space, bottleneck_channels, time, blocks, feature_norm, dropout, feature_dropout
        The architecture, the same for every member.
    method : str
        What every member is; the fields of the architecture are about "network" alone.
    regions : RegionsRecord or None
        That a method reads which reads regions.
    members : int
        Models in the ensemble, trained on different folds.
    preprocessing : dict
        The `PreprocessingSpec` as JSON; a scan prepared in another way is refused.
    threshold : float
        The calibrated probability above which the point estimate speaks for ADHD.
    temperature : float
        Logits are divided by it before the sigmoid.
    decision_rule : "interval" or "conformal"
        "interval": "uncertain" when the interval of the probability holds the threshold. "conformal":
        "uncertain" when the conformal set is not a single class.
    conformal_quantiles : dict or None
        For the rule "conformal": ``level``, the share of people whose set shall hold their class, and for
        each class, ``control`` and ``adhd``, the largest 1 - p(class) at which it is still in the set.
    cohort_fingerprint : str
        sha256 that names exactly the subjects it was trained on.
    trained_on : str
        In words, shown wherever a probability is.
    population : Population or None
        Who these are, in figures that a person and a scan are compared with; None in older cards.
    intended_use : "demonstration" or "research"
    metrics : dict
        Measured on subjects never trained on, with intervals.
    code_version : str
        Of the code that trained it.
    """

    name: str = Field(min_length=1, max_length=200)
    version: str = Field(min_length=1, max_length=200)
    format_version: Literal[1] = 1
    width: int = Field(ge=1, le=256)
    regions: RegionsRecord | None = Field(default=None, exclude_if=lambda regions: regions is None)
    members: int = Field(ge=1, le=64)
    preprocessing: dict[str, JsonValue]
    threshold: Probability = 0.5
    temperature: float = Field(default=1.0, gt=0.0, allow_inf_nan=False)
    decision_rule: DecisionRule = "interval"
    conformal_quantiles: dict[str, float] | None = None
    cohort_fingerprint: str
    trained_on: str = Field(min_length=1)
    population: Population | None = Field(default=None, exclude_if=lambda population: population is None)
    intended_use: Literal["demonstration", "research"]
    metrics: dict[str, JsonValue]
    code_version: str

    @model_validator(mode="after")
    def _quantiles_for_the_rule(self) -> "ModelCard":
        quantiles = self.conformal_quantiles
        if self.decision_rule == "conformal" and (quantiles is None or set(quantiles) != CONFORMAL_KEYS):
            raise ValueError(f"expected conformal_quantiles with {sorted(CONFORMAL_KEYS)}")
        return self


def require_served(card: ModelCard) -> None:
    """See that a scan to be classified brings all that a model reads.

    Raises
    ------
    MethodNeedsT1wError
    """
    if "tissues" in METHODS[card.method].reads:
        raise MethodNeedsT1wError(method=card.method)


def read_card(path: Path) -> ModelCard:
    """Read the card of a checkpoint from the first bytes of its file; no weight is touched.

    Parameters
    ----------
    path : Path

    Raises
    ------
    CheckpointNotFoundError
        If the file cannot be opened.
    CheckpointCorruptError
        If the header is not that of a safetensors file, or holds no valid card.
    CheckpointFormatError, CheckpointMethodError
        If the card is of a format version, or of a method, that this code does not know.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            header = file.read(min(length, MAX_HEADER_BYTES + 1))
    except OSError as error:
        raise CheckpointNotFoundError(name=path.name) from error
    if length > MAX_HEADER_BYTES or len(header) < length:
        raise CheckpointCorruptError(name=path.name, found="a header longer than the file or the cap")
    return parse_card(header, name=path.name)


def parse_card(header: bytes, *, name: str) -> ModelCard:
    """Read the card from the JSON bytes of a safetensors header.

    Parameters
    ----------
    header : bytes
        Without the eight bytes of its length.
    name : str
        The file's name, for messages.

    Raises
    ------
    CheckpointCorruptError, CheckpointFormatError, CheckpointMethodError
        As :func:`read_card`.
    """
    try:
        card = json.loads(json.loads(header)["__metadata__"][CARD_KEY])
        found = card["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointCorruptError(name=name, found="a header without a model card") from error
    if found != FORMAT_VERSION:
        raise CheckpointFormatError(expected=FORMAT_VERSION, found=found)
    method = card.get("method", "network")
    if not isinstance(method, str) or method not in METHODS:
        raise CheckpointMethodError(expected=tuple(METHODS), found=method)
    try:
        return ModelCard.model_validate(card)
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise CheckpointCorruptError(
            name=name, found=f"a model card with missing or invalid fields: {fields}"
        ) from error
