"""What a training needs to go on after being killed: one file, written whole or not at all.

A safetensors file, so nothing is unpickled: the weights after the last whole epoch, what the optimiser
remembers of each of them, the best weights so far where they are others, and, in the header, the history as
JSON. There is no state of a random generator in it: everything random follows from the seed and the epoch.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from training.errors import CohortError
from training.fitting.machine import Machine
from training.fitting.precision import Used
from training.fitting.prepared import TrainingSubject
from training.fitting.settings import TrainingSettings
from training.runs import EpochRecord

STATE_FILE = "state.safetensors"

Weights = dict[str, Tensor]

_KEY = "training"
_NETWORK, _BEST, _MOMENTS = "network.", "best.", "moments."
_STEP = "step"


class TrainingStateError(CohortError):
    """A state that is damaged, or that another training left."""

    code: ClassVar[str] = "training_state_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"{name!r}: expected {expected}, found {found}")


class TrainingStateNotSavedError(CohortError):
    """A state that could not be written, for example on a full disk; the one before is still there."""

    code: ClassVar[str] = "training_state_not_saved"

    def __init__(self, *, name: str, epoch: int, found: str) -> None:
        self.name = name
        self.epoch = epoch
        self.found = found
        super().__init__(
            f"{name!r}: expected room to save epoch {epoch}, found: {found}; "
            f"the same command goes on from the epoch before"
        )


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """A training after a whole number of epochs.

    Attributes
    ----------
    identity : str
        Of what is trained, on whom and how; see :func:`identify`.
    records : list of EpochRecord
        One an epoch so far.
    finished : bool
        ``network`` holds the chosen weights then, and there are no moments.
    peak_memory_bytes : int
    precision : "float32" or "bfloat16"
        That every epoch was computed in.
    machine : Machine or None
        That the last epoch was computed on; None where it was saved before this was kept.
    network : dict of tensors
        Weights and buffers.
    best : dict of tensors or None
        Those of the best epoch so far; None where that is the last one.
    moments : dict of dict of tensors
        The optimiser's, by the weight's name.
    """

    identity: str
    records: list[EpochRecord]
    finished: bool
    peak_memory_bytes: int
    precision: Used
    network: Weights
    machine: Machine | None = None
    best: Weights | None = None
    moments: dict[str, Weights] = field(default_factory=dict)


def identify(
    settings: TrainingSettings,
    *,
    seed: int,
    training: Sequence[TrainingSubject],
    stopping: Sequence[TrainingSubject],
) -> str:
    """Name a training: the sha256 of its settings, its seed, and its subjects with labels and lengths."""
    people = [
        [[subject.subject_id, subject.label, [len(series) for series in subject.series]] for subject in part]
        for part in (training, stopping)
    ]
    spec = training[0].spec.to_json()
    text = json.dumps([settings.model_dump(mode="json"), spec, seed, people], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save_state(path: Path, state: TrainingState) -> None:
    """Replace the state in one step.

    Parameters
    ----------
    path : Path
        Its folder must exist.
    state : TrainingState

    Raises
    ------
    TrainingStateNotSavedError
        If it cannot be written; the file there before is untouched.
    """
    tensors = {_NETWORK + name: tensor for name, tensor in state.network.items()}
    tensors |= {_BEST + name: tensor for name, tensor in (state.best or {}).items()}
    for name, moments in state.moments.items():
        tensors |= {f"{_MOMENTS}{name}.{kind}": tensor for kind, tensor in moments.items()}
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    facts = {
        "identity": state.identity,
        "records": [asdict(record) for record in state.records],
        "finished": state.finished,
        "peak_memory_bytes": state.peak_memory_bytes,
        "precision": state.precision,
        "machine": None if state.machine is None else asdict(state.machine),
    }
    # One name, so that what a kill leaves behind is overwritten by the next attempt.
    partial = path.with_suffix(".partial")
    try:
        save_file(stored, partial, metadata={_KEY: json.dumps(facts)})
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        reason = error.strerror if isinstance(error, OSError) else None
        raise TrainingStateNotSavedError(
            name=path.name, epoch=len(state.records), found=reason or str(error)
        ) from error


def load_state(path: Path, *, identity: str) -> TrainingState | None:
    """Read the state of this very training; None where it has not been saved yet.

    Raises
    ------
    TrainingStateError
        If the file is damaged, or belongs to a training on other subjects or with other settings.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads(file.metadata()[_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
        records = [EpochRecord(**record) for record in facts["records"]]
        machine = facts.get("machine")
        state = TrainingState(
            identity=facts["identity"],
            records=records,
            finished=facts["finished"],
            peak_memory_bytes=facts["peak_memory_bytes"],
            precision=_one_of_those_used(facts["precision"]),
            machine=None if machine is None else Machine(**machine),
            network=_under(_NETWORK, tensors),
            best=_under(_BEST, tensors) or None,
            moments=_moments(_under(_MOMENTS, tensors)),
        )
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise TrainingStateError(
            name=path.name, expected="a state to go on from", found="a damaged file"
        ) from error
    if state.identity != identity:
        raise TrainingStateError(
            name=path.name,
            expected="the state of this training",
            found="one of other settings, another seed or other subjects",
        )
    return state


def optimiser_moments(module: torch.nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Weights]:
    """Take the state of Adam, or of SGD with momentum, out of the optimiser, by the weights' names."""
    return {
        name: {kind: value for kind, value in optimiser.state[parameter].items() if value is not None}
        for name, parameter in module.named_parameters()
        if parameter in optimiser.state
    }


def restore_moments(
    module: torch.nn.Module, optimiser: torch.optim.Optimizer, moments: Mapping[str, Weights]
) -> None:
    """Put the optimiser's state back, laid out in memory as each weight is."""
    for name, parameter in module.named_parameters():
        if name in moments:
            optimiser.state[parameter] = {
                kind: value.to(parameter.device)
                if kind == _STEP
                else torch.empty_like(parameter).copy_(value)
                for kind, value in moments[name].items()
            }


def _one_of_those_used(precision: Used) -> Used:
    if precision not in get_args(Used):
        raise ValueError(f"expected one of {get_args(Used)}, found {precision!r}")
    return precision


def _under(prefix: str, tensors: Mapping[str, Tensor]) -> Weights:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _moments(tensors: Mapping[str, Tensor]) -> dict[str, Weights]:
    moments: dict[str, Weights] = {}
    for name, tensor in tensors.items():
        weight, kind = name.rsplit(".", 1)
        moments.setdefault(weight, {})[kind] = tensor
    return moments
