"""What a plan is filled in from: the run, its model, the one before, and what was found of both together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from service.api.model_payloads import ModelVersionDetail, ModelVersionResponse
from service.api.training_payloads import TrainingRunDetailResponse


@dataclass(frozen=True)
class Compared:
    """Two models on the same people, as an evaluation found them.

    Attributes
    ----------
    set_name : str
    evaluation_set : mapping
        Who they are, without naming anybody.
    together : mapping
        Figures of both and the differences.
    """

    set_name: str
    evaluation_set: Mapping[str, Any]
    together: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The records that fill a plan in.

    Attributes
    ----------
    run : TrainingRunDetailResponse
    model : ModelVersionDetail or None
        That the run has made, with the gate as it stands beside the model before; None before it has.
    before : ModelVersionResponse or None
        That answers now or, where the run's model does, that answered before it; None where there is none.
    compared : Compared or None
        Of these two; None where nobody has set them side by side.
    """

    run: TrainingRunDetailResponse
    model: ModelVersionDetail | None
    before: ModelVersionResponse | None
    compared: Compared | None

    @property
    def card(self) -> Mapping[str, Any]:
        """Of the model that the run has made; empty before it has."""
        return {} if self.model is None else self.model.card

    @property
    def card_before(self) -> Mapping[str, Any]:
        """Of the model before; empty where there is none."""
        return {} if self.before is None else self.before.card
