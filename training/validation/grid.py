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
ReportFailed = Callable[[str, Exception], None]
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


def train_grid(
    grid: Mapping[str, TrainingSettings],
    *,
    out: Path,
    train: TrainOne,
    failed: ReportFailed | None = None,
) -> list[Path]:
    """Train every system of a grid, one after the other, or go on with them; one that fails stops no other.

    Nothing is kept of an error: what its traceback holds of a system's memory is free for the next one.

    Parameters
    ----------
    grid : mapping of str to TrainingSettings
        As `grid_settings` gives it.
    out : Path
        Gets a run's folder for each system.
    train : callable
        Called as ``train(settings, folder)``; `train_run` with everything else given.
    failed : callable, optional
        Called as ``failed(name, error)`` for each system that was not; what it raises stops the work. Without
        it the first error does.

    Returns
    -------
    list of Path
        The folders of the runs that did not fail.

    Raises
    ------
    RunFolderTakenError
        If the folder is a run itself.
    """
    if (out / RUN_FILE).exists():
        raise RunFolderTakenError(name=out.name, found="a single run in it")
    runs = []
    for name, settings in grid.items():
        try:
            runs.append(train(settings, out / name))
        except Exception as error:
            if failed is None:
                raise
            failed(name, error)
    return runs


def _method_of(system: str) -> str:
    return SYSTEMS[system].get("method", "network")
