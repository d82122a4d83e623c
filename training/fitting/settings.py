"""Every choice of a training, in one place: defaults, a TOML file, options, in rising order of precedence."""

import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType, NoneType
from typing import Annotated, Any, ClassVar, Literal, cast, get_args, get_origin

from pydantic import Field, ValidationError, ValidationInfo, field_validator

from model.architecture import Architecture, NetworkName, RnnName
from model.methods.catalogue import METHODS, MethodName
from model.methods.recipes import recipe_of
from training.errors import CohortError
from training.obeyed import obeyed_by_other
from training.runs import Protocol

Precision = Literal["auto", "float32", "bfloat16"]
Sensitivity = Annotated[float, Field(gt=0.0, lt=1.0)]
_NO_FILE = "the options"
_KINDS = MappingProxyType({int: "a whole number", float: "a number"})
_BOUNDS = MappingProxyType({"ge": "at least", "gt": "above", "le": "at most", "lt": "below"})
# Options of `restnet train` that are no settings: no file of these says them.
OPTIONS_ALONE = frozenset(
    {
        "out",
        "select",
        "where",
        "leave_site_out",
        "add_training",
        "regions",
        "device",
        "config",
        "processes",
        "threads",
        "distributed",
        "data_dir",
    }
)
_AUGMENTATION = ("noise_sd", "frame_dropout", "amplitude_jitter")


_INNER = frozenset({"inner_stopping", "inner_calibration"})
# A method that is solved at once watches nobody: whom it does not calibrate on, it is fitted to.
_SOLVED_AT_ONCE: Mapping[str, Any] = MappingProxyType({"inner_stopping": 0.0, "epochs": 1})
_INNER_AT_MOST = 0.5
_OF_A_RECIPE = (
    "inner_stopping",
    "epochs",
    "batch_size",
    "learning_rate",
    "schedule",
    "weight_decay",
)


class TrainingSettingsError(CohortError):
    """A setting that does not exist, or a value that it cannot take."""

    code: ClassVar[str] = "training_settings_invalid"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(f"training settings in {name}: expected {expected}, found {found}")


class TrainingSettings(Architecture):
    """What a network is and how it is trained; docs/training-settings.md is the table of these fields.

    Attributes
    ----------
    method, network, rnn, width, space, bottleneck_channels, time, blocks, feature_norm, dropout,
    feature_dropout
        The architecture, as in the card.
    protocol, folds, seed, epochs, patience, batch_size, ...
        Each described by its field.
    """

    network: NetworkName = Field(default="C", description="Residual network: one to four stages.")
    rnn: RnnName = Field(
        default="lstm", description="Recurrent layer that reads the frames in both directions."
    )

    protocol: Protocol = Field(
        default="nested",
        description=(
            "Early stop on an inner part of the training folds, or, as published, on the training loss."
        ),
    )
    folds: int = Field(default=5, ge=2, le=100, description="Folds of the cross-validation.")
    seed: int = Field(
        default=0, ge=0, lt=2**32, description="Of the folds, the first weights and everything drawn."
    )
    watch: Literal["loss", "auc"] = Field(
        default="loss",
        description="What of the inner part decides the early stop: the lowest loss, or the highest AUC.",
    )
    inner_stopping: float = Field(
        default=0.15,
        ge=0.0,
        lt=0.5,
        description=(
            "Share of the training folds watched for the early stop; with 0 every epoch is run and the last "
            "weights are kept."
        ),
    )
    inner_calibration: float = Field(
        default=0.15,
        gt=0.0,
        lt=0.5,
        description="Share of the training folds kept for temperature, threshold and conformal quantiles.",
    )

    epochs: int = Field(
        default=100, ge=1, le=100_000, description="Epochs at most; an early stop comes sooner."
    )
    patience: int = Field(
        default=5, ge=1, le=100_000, description="Stop after this many epochs without a better watched value."
    )
    batch_size: int = Field(default=32, ge=1, le=4096, description="Windows a step of the optimiser.")
    micro_batch: int | None = Field(
        default=None,
        ge=1,
        le=4096,
        description=(
            "Windows at once on the device, gradients added up; the whole batch when not set. Normalisation "
            "then sees only these windows, so another value is another training."
        ),
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

    noise_sd: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Augmentation: standard deviation of noise added to every voxel, in the scan's own.",
    )
    frame_dropout: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Augmentation: share of a window's frames set to zero."
    )
    amplitude_jitter: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="Augmentation: a window is scaled by up to this share, up or down.",
    )

    encoder: Literal["trained", "frozen"] = Field(
        default="trained",
        description=(
            "Whether the residual network is trained, or keeps its random first weights: frames are then "
            "encoded once, and only the recurrent layer and what follows is fitted."
        ),
    )
    precision: Precision = Field(
        default="auto",
        description="Of the residual network in training; auto takes bfloat16 where the device has it.",
    )
    threshold_rule: Literal["youden"] | Sensitivity = Field(
        default="youden",
        description="How the threshold is chosen: by Youden's index, or for a sensitivity.",
    )
    conformal_level: float = Field(
        default=0.9, gt=0.0, lt=1.0, description="Share of people whose conformal set shall hold their class."
    )
    weights_dtype: Literal["float16", "float32"] = Field(
        default="float32", description="How the checkpoint stores the members' weights."
    )

    @field_validator("micro_batch")
    @classmethod
    def _part_of_a_batch(cls, micro_batch: int | None, info: ValidationInfo) -> int | None:
        batch_size = info.data.get("batch_size")
        if micro_batch is not None and batch_size is not None and micro_batch > batch_size:
            raise ValueError(f"at most batch_size, {batch_size}")
        return micro_batch

    @field_validator("watch")
    @classmethod
    def _watch_an_inner_part(cls, watch: str, info: ValidationInfo) -> str:
        if watch == "auc" and info.data.get("protocol") == "paper":
            raise ValueError("'loss' under the protocol 'paper', which watches the training loss")
        return watch

    @field_validator("encoder")
    @classmethod
    def _augment_no_features(cls, encoder: str, info: ValidationInfo) -> str:
        asked = [name for name in _AUGMENTATION if info.data.get(name)]
        if encoder == "frozen" and asked:
            raise ValueError(
                f"'trained' with {asked[0]}, because augmentation changes frames before they are encoded"
            )
        return encoder


def _has_a_bottleneck(settings: TrainingSettings) -> bool:
    return settings.space == "bottleneck"


def _has_inner_parts(settings: TrainingSettings) -> bool:
    return settings.protocol == "nested"


def _stops_early(settings: TrainingSettings) -> bool:
    return settings.protocol == "paper" or settings.inner_stopping > 0


# What is passed over unless another setting, which is named, makes use of it.
_NEEDS: Mapping[str, tuple[str, Callable[[TrainingSettings], bool]]] = MappingProxyType(
    {
        "bottleneck_channels": ("space", _has_a_bottleneck),
        "inner_stopping": ("protocol", _has_inner_parts),
        "inner_calibration": ("protocol", _has_inner_parts),
        "threshold_rule": ("protocol", _has_inner_parts),
        "conformal_level": ("protocol", _has_inner_parts),
        "watch": ("inner_stopping", _stops_early),
        "patience": ("inner_stopping", _stops_early),
    }
)


def read_settings(
    path: Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
) -> TrainingSettings:
    """Put defaults, a TOML file and options together; the later wins.

    Parameters
    ----------
    path : Path, optional
        TOML file with settings at its top level; none reads only the defaults.
    overrides : mapping, optional
        By the settings' names; what is None is left as it was.
    only : collection of str, optional
        Pass over what is asked for of other settings, which are known all the same.

    Raises
    ------
    TrainingSettingsError
        If the file cannot be read, a name is unknown, a value is not allowed, or can have no effect beside
        the others, or the inner parts leave less than half of a fold's training subjects to train on.
    """
    name, table = _NO_FILE, {}
    if path is not None:
        name, table = repr(path.name), _read_toml(path)
    given = {key: value for key, value in (overrides or {}).items() if value is not None}
    _refuse_unknown(table, name=name)
    _refuse_unknown(given, name=_NO_FILE)
    if only is not None:
        table, given = ({key: one[key] for key in one if key in only} for one in (table, given))
    defaults = method_defaults((table | given).get("method", "network"))
    try:
        # TOML knows its types: true is no number of epochs, and "2" none of folds.
        settings = TrainingSettings.model_validate({**defaults, **table, **given}, strict=True)
    except ValidationError as error:
        problem = error.errors()[0]
        field = str(problem["loc"][0])
        # A validator above says what it expects in words of its own.
        own = problem.get("ctx", {}).get("error")
        raise TrainingSettingsError(
            name=_NO_FILE if field in given else name,
            expected=f"{field} to be {own or allowed_values(field)}",
            found=_as_toml((table | given)[field]),
        ) from error
    _refuse_of_others(settings, defaults=defaults, given=given, name=name)
    _refuse_without_effect(settings, table=table, given=given, name=name)
    _leave_half_to_train_on(settings, name=_NO_FILE if _INNER & given.keys() else name)
    return settings


def method_defaults(method: str) -> dict[str, Any]:
    """Give what a method has for default where it is not what a network has.

    Parameters
    ----------
    method : str
        Of `model.methods.catalogue`; one that is not known has none.
    """
    known = METHODS.get(cast("MethodName", method))
    if known is None or known.name == "network":
        return {}
    if not known.learns_in_epochs:
        return dict(_SOLVED_AT_ONCE)
    recipe = recipe_of(known.name)
    stated = {name: getattr(recipe, name) for name in _OF_A_RECIPE}
    return {name: value for name, value in stated.items() if value is not None}


def obeyed_by(method: str) -> frozenset[str]:
    """Name the settings that a method of `model.methods.catalogue` obeys."""
    if method == "network":
        return frozenset(TrainingSettings.model_fields)
    return obeyed_by_other(METHODS[cast("MethodName", method)])


def _refuse_of_others(
    settings: TrainingSettings, *, defaults: Mapping[str, Any], given: Mapping[str, Any], name: str
) -> None:
    """Refuse what only other methods obey; a default that is spelled out asks for nothing."""
    if settings.method == "network":
        return
    obeyed = obeyed_by(settings.method)
    for field, info in TrainingSettings.model_fields.items():
        value = getattr(settings, field)
        if field not in obeyed and value != defaults.get(field, info.default):
            raise TrainingSettingsError(
                name=_NO_FILE if field in given else name,
                expected=f"{field} to be left out, because the method {settings.method!r} does not obey it",
                found=_as_toml(value),
            )


def allowed_values(field: str) -> str:
    """Say in words what a setting may be, from its type and its bounds.

    Parameters
    ----------
    field : str
        Of :class:`TrainingSettings`.

    Returns
    -------
    str
        For example ``a whole number, at least 1, at most 256``.
    """
    info = TrainingSettings.model_fields[field]
    return _in_words(info.annotation, info.metadata)


def _refuse_without_effect(
    settings: TrainingSettings, *, table: Mapping[str, Any], given: Mapping[str, Any], name: str
) -> None:
    """Refuse what was asked for and would be passed over.

    A default that is spelled out asks for nothing, and an option may overrule what its file is about.
    """
    for field, (cause, makes_use) in _NEEDS.items():
        asked = field in given or (field in table and cause not in given)
        value, default = getattr(settings, field), TrainingSettings.model_fields[field].default
        if asked and value != default and not makes_use(settings):
            raise TrainingSettingsError(
                name=_NO_FILE if field in given else name,
                expected=f"{field} to be left out, because it has no effect with "
                f"{cause} = {getattr(settings, cause)!r}",
                found=_as_toml(value),
            )


def _leave_half_to_train_on(settings: TrainingSettings, *, name: str) -> None:
    """Refuse inner parts that take more than half; runs that were begun with them go on.

    A part of 0.49 each would leave 2 of 100 people, without a word.
    """
    taken = round(settings.inner_stopping + settings.inner_calibration, 9)
    if settings.protocol == "nested" and taken > _INNER_AT_MOST:
        raise TrainingSettingsError(
            name=name,
            expected="inner_stopping and inner_calibration to leave at least half of the training folds' "
            f"subjects to train on, together at most {_INNER_AT_MOST}",
            found=f"{settings.inner_stopping} and {settings.inner_calibration}",
        )


def _as_toml(value: Any) -> str:
    """Write a value as the file has it, where that is not as Python writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return "a section" if isinstance(value, dict) else repr(value)


def _in_words(annotation: Any, metadata: Sequence[Any]) -> str:
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Literal:
        return " or ".join(map(repr, parts))
    if kind is Annotated:
        return _in_words(
            parts[0], [one for given in parts[1:] for one in getattr(given, "metadata", [given])]
        )
    if parts:  # what is not set is told by leaving it out
        return " or ".join(_in_words(part, metadata) for part in parts if part is not NoneType)
    bounds = [
        f"{word} {value:g}" if isinstance(value, float) else f"{word} {value}"
        for name, word in _BOUNDS.items()
        for bound in metadata
        if (value := getattr(bound, name, None)) is not None
    ]
    return ", ".join([_KINDS[annotation], *bounds])


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingSettingsError(
            name=repr(path.name), expected="a readable file", found=error.strerror or "none"
        ) from error
    except UnicodeDecodeError as error:
        raise TrainingSettingsError(
            name=repr(path.name), expected="text in UTF-8", found=f"another byte at place {error.start}"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise TrainingSettingsError(name=repr(path.name), expected="TOML", found=str(error)) from error


def _refuse_unknown(table: Mapping[str, Any], *, name: str) -> None:
    known = list(TrainingSettings.model_fields)
    for key, value in table.items():
        if key not in known and isinstance(value, dict):
            raise TrainingSettingsError(
                name=name,
                expected="settings at the top level, without sections",
                found=f"the section [{key}]",
            )
        if key in OPTIONS_ALONE:
            raise TrainingSettingsError(
                name=name,
                expected=f"settings (the option --{key.replace('_', '-')} of `restnet train` says this)",
                found=repr(key),
            )
        if key not in known:
            nearest = get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise TrainingSettingsError(
                name=name, expected=f"known names (the nearest is {nearest!r})", found=repr(key)
            )
