"""A run's folder: the one place where training leaves what evidence is made from.

::

    RUN/
      run.json               what was asked, on what, with which code         (RunRecord)
      subjects.tsv           who took part, in which fold, with confounds     (RunSubject)
      population.json        who they are together, for the card; none before (Population)
      added/                 people who are trained on beside every fold's own and stand in none, if any: a
                             small cohort (`training.validation.added`)
      folds/0/outcome.json   what one fold came to, once it is finished       (FoldOutcome)
      folds/0/epochs.csv     its losses by epoch, beside TensorBoard events   (EpochRecord)
      folds/0/...            its weights and what is needed to resume: `training.validation`'s own affair
      folds/0/*.tsv          its predictions and inner predictions, as below
      predictions.tsv        each subject by the model that never saw it      (Prediction)
      inner_predictions.tsv  the inner parts of every fold                    (InnerPrediction)
      checkpoint.safetensors the ensemble of the folds' models
      regions.npy            the region of each voxel, for a method that reads regions: `training.methods`'
      connectivity.json      ridge on connectivity, once a report has had the cohort beside it:
                             `training.evidence.kept_connectivity`'s own affair

Tables give a fold by its number, the place of its name among the record's ``fold_names``.

Every file is written whole or not at all, and read only where each value is one that training can have
written (`training.run_files`): the types of the fields say which. Nothing here needs torch.
"""

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
)

from model.architecture import NetworkName, RnnName
from model.card import RegionsRecord
from model.methods.catalogue import MethodName
from training.cohort.subjects import Handedness, Sex
from training.run_files import read_json

RUN_FILE = "run.json"
SUBJECTS_FILE = "subjects.tsv"
POPULATION_FILE = "population.json"
PREDICTIONS_FILE = "predictions.tsv"
INNER_PREDICTIONS_FILE = "inner_predictions.tsv"
OUTCOME_FILE = "outcome.json"
EPOCHS_FILE = "epochs.csv"
CHECKPOINT_FILE = "checkpoint.safetensors"
CONNECTIVITY_FILE = "connectivity.json"
REGIONS_FILE = "regions.npy"
ADDED_FOLDER = "added"

# What a prediction calls somebody, whatever the condition.
CASE: Final = "case"
CONTROL: Final = "control"

Protocol = Literal["nested", "paper"]
Split = Literal["stratified", "leave_site_out"]
InnerPart = Literal["stopping", "calibration"]
Called = Literal["case", "control"]
Decision = Literal["case", "control", "uncertain"]


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("a name")
    return text


Name = Annotated[str, AfterValidator(_not_empty)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Years = Annotated[float, Field(ge=0.0, le=120.0, allow_inf_nan=False)]
Iq = Annotated[float, Field(ge=0.0, le=250.0, allow_inf_nan=False)]
# What a scan measures is anybody's unit; its square must be a number too.
Measure = Annotated[float, Field(ge=0.0, le=1e15, allow_inf_nan=False)]
PositiveMeasure = Annotated[Measure, Field(gt=0.0)]
Label = Annotated[int, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Ordinal = Annotated[int, Field(ge=1)]

# A logit and its probability are both written in full; a network's own rounding is far finer than this.
_SAME_PROBABILITY = 1e-6


class _KnownSettings(BaseModel):
    """The settings that evidence reads, where they are there; a run may have others beside them."""

    model_config = ConfigDict(strict=True, extra="ignore")

    method: MethodName = "network"
    network: NetworkName = "C"
    rnn: RnnName = "lstm"
    protocol: Protocol = "nested"
    folds: Ordinal = 1
    epochs: Ordinal = 1
    batch_size: Ordinal = 1
    micro_batch: Ordinal | None = None


def _of_their_kinds(settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
    _KnownSettings.model_validate(settings)
    return settings


class AddedRecord(BaseModel):
    """People who are trained on in every fold and measured in none.

    Attributes
    ----------
    name : str
        Of the cohort that they come from.
    fingerprint : str
        Of exactly these, as the store gives it.
    n_subjects, n_cases : int
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    fingerprint: str
    n_subjects: Ordinal
    n_cases: Count


class RunRecord(BaseModel):
    """What a run was asked to do, and on what.

    Attributes
    ----------
    settings : dict
        ``TrainingSettings`` as JSON; ``network``, ``rnn``, ``protocol`` and the rest.
    recipe : dict or None
        What of the training no setting says (`model.methods.recipes.recipe_beside_settings`); written for
        methods that learn in epochs. A run of an earlier version lacks it.
    cohort_name, cohort_fingerprint : str
        The fingerprint is the sha256 over the subjects, labels and stored series that were selected.
    maps_fingerprint : str or None
        sha256 over the digests of their derived and tissue maps, as far as the method reads them; written for
        what reads some.
    condition : str
        What label 1 means, for example "ADHD" or "autism".
    simulated : bool
        Whether any of the cohort's people do not exist.
    mixed : bool
        Whether only some of its scans are known to be simulated; written where it is so.
    selection : str
        As asked for.
    preprocessing : dict
        The `PreprocessingSpec` as JSON.
    split : "stratified" or "leave_site_out"
    fold_names : list of str
        "0", "1", ... or the sites left out.
    n_parameters : int
        Of one model: of a network its weights, of a linear method one a feature and the intercept.
    machine : dict
        As planned: ``threads``, which workers keep to. What a fold was really trained with is in its
        `FoldOutcome`. Earlier versions also named a device and a precision, which a fold need not have had.
    regions : RegionsRecord or None
        That a method reads which reads regions; written for those alone.
    added : AddedRecord or None
        Whoever is trained on beside the cohort's people; written where there is somebody.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    settings: Annotated[dict[str, JsonValue], AfterValidator(_of_their_kinds)]
    recipe: dict[str, JsonValue] | None = Field(default=None, exclude_if=lambda recipe: recipe is None)
    cohort_name: str
    cohort_fingerprint: str
    maps_fingerprint: str | None = Field(default=None, exclude_if=lambda digest: digest is None)
    condition: str
    simulated: bool
    mixed: bool = Field(default=False, exclude_if=lambda mixed: not mixed)
    selection: str
    preprocessing: dict[str, JsonValue]
    split: Split
    fold_names: Annotated[list[str], Field(min_length=1)]
    n_parameters: Count
    machine: dict[str, JsonValue]
    code_version: str
    regions: RegionsRecord | None = Field(default=None, exclude_if=lambda regions: regions is None)
    added: AddedRecord | None = Field(default=None, exclude_if=lambda added: added is None)

    @property
    def method(self) -> MethodName:
        """What was trained, as `model.methods.catalogue` calls it; "network" is one of the eight."""
        return _KnownSettings.model_validate(self.settings).method

    @property
    def system(self) -> str:
        """What was trained, for example "C-lstm" or "ridge-connectivity"."""
        known = _KnownSettings.model_validate(self.settings)
        return f"{known.network}-{known.rnn}" if known.method == "network" else known.method

    @property
    def trained_fingerprint(self) -> str:
        """Names exactly whom the run was trained on: the cohort's people, and whoever was added."""
        if self.added is None:
            return self.cohort_fingerprint
        parts = json.dumps([self.cohort_fingerprint, self.added.fingerprint])
        return hashlib.sha256(parts.encode()).hexdigest()

    @property
    def people(self) -> str:
        """What a subject is called: nobody shall read "people" of simulated scans."""
        if self.mixed:
            return "subjects"
        return "simulated subjects" if self.simulated else "people"


def _that_was_run(epoch: int, info: ValidationInfo) -> int:
    if epoch > info.data.get("epochs_run", epoch):
        raise ValueError(f"at most epochs_run, {info.data['epochs_run']}")
    return epoch


def _as_in_the_card(quantiles: dict[str, float]) -> dict[str, float]:
    if quantiles.keys() != {"level", "control", "adhd"}:
        raise ValueError("a level and the quantiles of control and adhd")
    return quantiles


class FoldOutcome(BaseModel):
    """What one fold came to; every number but ``n_test`` is blind to the reported fold.

    Attributes
    ----------
    n_training, n_stopping, n_calibration, n_test : int
        Subjects of the cohort; the inner parts are empty under the protocol "paper".
    n_added : int
        People who were fitted beside ``n_training`` and stand in no fold; written where there are any.
    epochs_run, best_epoch : int
        From 1; the weights are those after ``best_epoch``.
    offset, temperature, threshold : float
        Fitted on the inner calibration part; 0, 1 and 0.5 under "paper". The stored weights and every logit
        of the run have offset and temperature in them already.
    conformal_quantiles : dict or None
        As in the card; None under "paper".
    seconds_per_epoch : float
    peak_memory_bytes : int
        Of the process while the fold was trained, or of the GPU where there is one.
    precision : "float32" or "bfloat16"
        Of the residual network in every epoch.
    device, device_name, threads, torch_version
        That the last epoch was computed on; one that was interrupted may have begun on others. ``device`` is
        "cpu" or "cuda", ``device_name`` the GPU's or the processor's architecture. These and ``precision``,
        but for ``device``, are None in what earlier versions wrote.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    fold: Count
    n_training: Count
    n_stopping: Count
    n_calibration: Count
    n_test: Count
    n_added: Count = Field(default=0, exclude_if=lambda n_added: not n_added)
    epochs_run: Ordinal
    best_epoch: Annotated[Ordinal, AfterValidator(_that_was_run)]
    offset: Number
    temperature: Positive
    threshold: Share
    conformal_quantiles: Annotated[dict[str, Share], AfterValidator(_as_in_the_card)] | None
    seconds_per_epoch: NotNegative
    peak_memory_bytes: Count
    device: str
    device_name: str | None = None
    threads: int | None = None
    precision: Literal["float32", "bfloat16"] | None = None
    torch_version: str | None = None

    @property
    def trained_on(self) -> str:
        """What it was trained with, in words, as far as that is known."""
        known = {
            "device": " ".join(filter(None, [self.device, self.device_name])),
            "threads": self.threads,
            "precision": self.precision,
            "torch": self.torch_version,
        }
        return ", ".join(f"{name} {value}" for name, value in known.items() if value is not None)


@dataclass(frozen=True, kw_only=True)
class RunSubject:
    """A subject of the run, with what a baseline may know; None is missing.

    ``tr_s`` and ``n_frames`` are the scan's own, before resampling, ``dvars_mean`` and ``spikes`` as in
    ``imaging.quality``; each is the mean over the subject's scans.
    """

    subject_id: Name
    site: Name
    label: Label
    fold: Count
    age_years: Years | None
    sex: Sex | None
    handedness: Handedness | None
    iq: Iq | None
    tr_s: PositiveMeasure
    n_frames: PositiveMeasure
    dvars_mean: Measure | None
    spikes: Measure | None


def _of_its_logit(probability: float, info: ValidationInfo) -> float:
    logit = info.data.get("logit")
    # A logistic function that cannot overflow.
    if logit is not None and abs(probability - (1 + math.tanh(logit / 2)) / 2) > _SAME_PROBABILITY:
        raise ValueError("the probability of its logit")
    return probability


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model that never saw a subject says of it.

    ``logit`` is the calibrated mean over windows; ``called`` is by the fold's threshold, "case" or "control";
    ``decision`` by its conformal sets, "uncertain" where these do not name one class, None where there are
    none. A case is whatever the run's ``condition`` says.
    """

    subject_id: str
    fold: Count
    logit: Number
    probability: Annotated[Share, AfterValidator(_of_its_logit)]
    called: Called
    decision: Decision | None


@dataclass(frozen=True, kw_only=True)
class InnerPrediction:
    """What a fold's model says of a subject of its inner parts; ``logit`` is calibrated."""

    subject_id: str
    fold: Count
    part: InnerPart
    logit: Number


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of one fold, from 1; ``stopping_loss`` is None where no inner part is watched."""

    epoch: Ordinal
    training_loss: NotNegative
    stopping_loss: NotNegative | None
    stopping_auc: Share | None
    learning_rate: NotNegative
    seconds: NotNegative


def fold_folder(run: Path, fold: int) -> Path:
    """Say where a fold keeps its files."""
    return run / "folds" / str(fold)


def read_run(run: Path) -> RunRecord:
    """Read what a run was asked to do.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    """
    return read_json(run, RUN_FILE, RunRecord)


def read_outcome(run: Path, fold: int) -> FoldOutcome:
    """Read what a finished fold came to.

    Raises
    ------
    RunFolderError
        If it is not finished.
    """
    return read_json(run, f"folds/{fold}/{OUTCOME_FILE}", FoldOutcome)
