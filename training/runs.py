"""A run's folder: the one place where training leaves what evidence is made from.

::

    RUN/
      run.json               what was asked, on what, with which code         (RunRecord)
      subjects.tsv           who took part, in which fold, with confounds     (RunSubject)
      folds/0/outcome.json   what one fold came to, once it is finished       (FoldOutcome)
      folds/0/epochs.csv     its losses by epoch, beside TensorBoard events   (EpochRecord)
      folds/0/...            its weights and what is needed to resume: `training.validation`'s own affair
      predictions.tsv        each subject by the model that never saw it      (Prediction)
      inner_predictions.tsv  the inner parts of every fold                    (InnerPrediction)
      checkpoint.safetensors the ensemble of the folds' models
      connectivity.json      ridge on connectivity, once a report has had the cohort beside it:
                             `training.evidence.kept_connectivity`'s own affair

Every file is written whole or not at all. Nothing here needs torch.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from model.files import replace_file
from training.errors import CohortError

RUN_FILE = "run.json"
SUBJECTS_FILE = "subjects.tsv"
PREDICTIONS_FILE = "predictions.tsv"
INNER_PREDICTIONS_FILE = "inner_predictions.tsv"
OUTCOME_FILE = "outcome.json"
EPOCHS_FILE = "epochs.csv"
CHECKPOINT_FILE = "checkpoint.safetensors"
CONNECTIVITY_FILE = "connectivity.json"

# What a prediction calls somebody, whatever the condition.
CASE, CONTROL = "case", "control"

Protocol = Literal["nested", "paper"]
Split = Literal["stratified", "leave_site_out"]
InnerPart = Literal["stopping", "calibration"]

Row = TypeVar("Row")


class RunFolderError(CohortError):
    """A folder that is not a run's, or a file in it that cannot be read as one."""

    code: ClassVar[str] = "run_folder_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"run {name!r}: expected {expected}, found {found}")


class RunRecord(BaseModel):
    """What a run was asked to do, and on what.

    Attributes
    ----------
    settings : dict
        ``TrainingSettings`` as JSON; ``network``, ``rnn``, ``protocol`` and the rest.
    cohort_name, cohort_fingerprint : str
        The fingerprint is the sha256 over the subjects, labels and stored series that were selected.
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
        Of one network.
    machine : dict
        As planned: ``threads``, which workers keep to. What a fold was really trained with is in its
        `FoldOutcome`. Earlier versions also named a device and a precision, which a fold need not have had.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    settings: dict[str, JsonValue]
    cohort_name: str
    cohort_fingerprint: str
    condition: str
    simulated: bool
    mixed: bool = Field(default=False, exclude_if=lambda mixed: not mixed)
    selection: str
    preprocessing: dict[str, JsonValue]
    split: Split
    fold_names: list[str]
    n_parameters: int
    machine: dict[str, JsonValue]
    code_version: str

    @property
    def people(self) -> str:
        """What a subject is called: nobody shall read "people" of simulated scans."""
        if self.mixed:
            return "subjects"
        return "simulated subjects" if self.simulated else "people"


class FoldOutcome(BaseModel):
    """What one fold came to; every number but ``n_test`` is blind to the reported fold.

    Attributes
    ----------
    n_training, n_stopping, n_calibration, n_test : int
        Subjects; the inner parts are empty under the protocol "paper".
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

    fold: int
    n_training: int
    n_stopping: int
    n_calibration: int
    n_test: int
    epochs_run: int
    best_epoch: int
    offset: float
    temperature: float
    threshold: float
    conformal_quantiles: dict[str, float] | None
    seconds_per_epoch: float
    peak_memory_bytes: int
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

    subject_id: str
    site: str
    label: int
    fold: int
    age_years: float | None
    sex: str | None
    handedness: str | None
    iq: float | None
    tr_s: float
    n_frames: float
    dvars_mean: float | None
    spikes: float | None


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What the model that never saw a subject says of it.

    ``logit`` is the calibrated mean over windows; ``called`` is by the fold's threshold, "case" or "control";
    ``decision`` by its conformal sets, "uncertain" where these do not name one class, None where there are
    none. A case is whatever the run's ``condition`` says.
    """

    subject_id: str
    fold: int
    logit: float
    probability: float
    called: str
    decision: str | None


@dataclass(frozen=True, kw_only=True)
class InnerPrediction:
    """What a fold's model says of a subject of its inner parts; ``logit`` is calibrated."""

    subject_id: str
    fold: int
    part: str
    logit: float


@dataclass(frozen=True, kw_only=True)
class EpochRecord:
    """One epoch of one fold, from 1; ``stopping_loss`` is None where no inner part is watched."""

    epoch: int
    training_loss: float
    stopping_loss: float | None
    stopping_auc: float | None
    learning_rate: float
    seconds: float


def fold_folder(run: Path, fold: int) -> Path:
    """Say where a fold keeps its files."""
    return run / "folds" / str(fold)


def write_json(path: Path, record: BaseModel) -> None:
    """Write a record whole or not at all."""
    replace_file(path, (record.model_dump_json(indent=2) + "\n").encode())


def read_run(run: Path) -> RunRecord:
    """Read what a run was asked to do.

    Raises
    ------
    RunFolderError
        If the folder holds no readable run.
    """
    return _read_json(run, RUN_FILE, RunRecord)


def read_outcome(run: Path, fold: int) -> FoldOutcome:
    """Read what a finished fold came to.

    Raises
    ------
    RunFolderError
        If it is not finished.
    """
    return _read_json(run, f"folds/{fold}/{OUTCOME_FILE}", FoldOutcome)


def write_rows(path: Path, rows: Sequence[Any], *, row_class: type[Any] | None = None) -> None:
    """Write dataclass rows as a table, header first, whole or not at all; None is an empty cell.

    Parameters
    ----------
    path : Path
        ``.tsv`` is separated by tabs, anything else by commas.
    rows : sequence of dataclass instances
        All of one class.
    row_class : type, optional
        Needed where there may be no rows: the table is then its header alone.
    """
    text = io.StringIO()
    names = [field.name for field in fields(row_class or rows[0])]
    writer = csv.DictWriter(text, fieldnames=names, delimiter=_delimiter(path), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    replace_file(path, text.getvalue().encode())


def read_rows(run: Path, name: str, row_class: type[Row]) -> list[Row]:
    """Read the rows of one of a run's tables.

    Parameters
    ----------
    run : Path
    name : str
        For example ``SUBJECTS_FILE``.
    row_class : type
        ``RunSubject`` for that file.

    Raises
    ------
    RunFolderError
        If the table is not there, or a cell is not of its column's type.
    """
    try:
        text = (run / name).read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(name=run.name, expected=f"a readable {name}", found="none") from error
    hints = get_type_hints(row_class)
    # csv decides where a line ends: a name may hold what str.splitlines takes for an end.
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_delimiter(Path(name)))
    if reader.fieldnames is None or set(reader.fieldnames) != set(hints):
        raise RunFolderError(
            name=run.name,
            expected=f"{name} with the columns {', '.join(hints)}",
            found=", ".join(reader.fieldnames or ["no header"]),
        )
    rows = []
    for cells in reader:
        try:
            rows.append(row_class(**{column: _value(cells.pop(column), hints[column]) for column in hints}))
            _require_nothing_left(cells)
        except (TypeError, ValueError) as error:
            expected = f"a cell of its kind in every column of {name}"
            found = f"another in line {reader.line_num}"
            raise RunFolderError(name=run.name, expected=expected, found=found) from error
    return rows


_Record = TypeVar("_Record", bound=BaseModel)


def _read_json(run: Path, name: str, record_class: type[_Record]) -> _Record:
    try:
        text = (run / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RunFolderError(name=run.name, expected=f"a readable {name}", found="none") from error
    try:
        return record_class.model_validate_json(text)
    except ValidationError as error:
        wrong = ", ".join(sorted({".".join(map(str, problem["loc"])) for problem in error.errors()}))
        raise RunFolderError(
            name=run.name, expected=f"a valid {name}", found=f"missing or invalid: {wrong or 'its JSON'}"
        ) from error


def _require_nothing_left(cells: dict[Any, Any]) -> None:
    if cells:
        raise ValueError("expected as many cells as columns, found more")


def _value(cell: str | None, hint: Any) -> Any:
    if cell is None:
        raise TypeError("expected as many cells as columns, found fewer")
    optional = get_origin(hint) in (Union, UnionType)
    if optional and cell == "":
        return None
    kind = next(kind for kind in get_args(hint) if kind is not type(None)) if optional else hint
    return kind(cell)


def _delimiter(path: Path) -> str:
    return "\t" if path.suffix == ".tsv" else ","
