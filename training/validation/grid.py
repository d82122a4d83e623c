"""Several systems on the same subjects, folds and seeds: a folder of run folders, one a system."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from model.architecture import NetworkName, RnnName
from model.errors import ModelError
from model.methods.catalogue import METHODS
from training.errors import CohortError
from training.fitting.settings import TrainingSettings, obeyed_by, read_settings
from training.runs import RUN_FILE
from training.validation.run_folder import RunFolderTakenError

NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
RNNS: tuple[RnnName, ...] = get_args(RnnName)

SYSTEMS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {f"{network}-{rnn}": {"network": network, "rnn": rnn} for rnn in RNNS for network in NETWORKS}
    | {name: {"method": name} for name in METHODS if name != "network"}
)
"""What makes the settings of each system: the eight networks, and every other method."""

TrainOne = Callable[[TrainingSettings, Path], Path]
LeftOut = dict[str, CohortError | ModelError]
"""Systems by their names, each with why it cannot be trained."""


def grid_settings(
    systems: Sequence[str], *, config: Path | None = None, overrides: Mapping[str, Any] | None = None
) -> dict[str, TrainingSettings]:
    """Give each system its settings; of what is asked for it takes what it obeys.

    Folds and seeds follow from the settings' seed alone, so every system has the same.

    Parameters
    ----------
    systems : sequence of str
        Of `SYSTEMS`.
    config, overrides
        As for `read_settings`.

    Returns
    -------
    dict of str to TrainingSettings
        By the name of the run's folder, for example ``C-lstm``.

    Raises
    ------
    TrainingSettingsError
        As `read_settings`.
    """
    return {
        system: read_settings(
            config, overrides={**(overrides or {}), **SYSTEMS[system]}, only=obeyed_by(_method_of(system))
        )
        for system in systems
    }


def leave_out_impossible(
    grid: Mapping[str, TrainingSettings], *, require: Callable[[TrainingSettings], None]
) -> tuple[dict[str, TrainingSettings], LeftOut]:
    """Part the systems that can be trained from those that cannot, before the first of them is.

    Parameters
    ----------
    grid : mapping of str to TrainingSettings
    require : callable
        Raises what speaks against a system; `training.validation.cross_validation.require_trainable` with
        everything else given.

    Returns
    -------
    dict of str to TrainingSettings
    dict of str to CohortError or ModelError

    Raises
    ------
    CohortError, ModelError
        What speaks against the first system, where something does against every one.
    """
    left_out: LeftOut = {}
    for name, settings in grid.items():
        try:
            require(settings)
        except (CohortError, ModelError) as error:
            left_out[name] = error
    if left_out and len(left_out) == len(grid):
        raise next(iter(left_out.values()))
    return {name: settings for name, settings in grid.items() if name not in left_out}, left_out


def train_grid(grid: Mapping[str, TrainingSettings], *, out: Path, train: TrainOne) -> list[Path]:
    """Train every system of a grid, one after the other, or go on with them.

    Parameters
    ----------
    grid : mapping of str to TrainingSettings
        As `grid_settings` gives it.
    out : Path
        Gets a run's folder for each system.
    train : callable
        Called as ``train(settings, folder)``; `train_run` with everything else given.

    Returns
    -------
    list of Path
        The runs' folders.

    Raises
    ------
    RunFolderTakenError
        If the folder is a run itself.
    """
    if (out / RUN_FILE).exists():
        raise RunFolderTakenError(name=out.name, found="a single run in it")
    return [train(settings, out / name) for name, settings in grid.items()]


def _method_of(system: str) -> str:
    return SYSTEMS[system].get("method", "network")
