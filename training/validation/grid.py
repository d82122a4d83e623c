"""Several networks on the same subjects, folds and seeds: a folder of run folders, one a network."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from model.architecture import NetworkName, RnnName
from training.fitting.settings import TrainingSettings
from training.runs import RUN_FILE
from training.validation.run_folder import RunFolderTakenError

NETWORKS: tuple[NetworkName, ...] = get_args(NetworkName)
RNNS: tuple[RnnName, ...] = get_args(RnnName)

TrainOne = Callable[[TrainingSettings, Path], Path]


def train_grid(
    settings: TrainingSettings,
    *,
    networks: Sequence[NetworkName],
    rnns: Sequence[RnnName],
    out: Path,
    train: TrainOne,
) -> list[Path]:
    """Train every network of a grid, one after the other, or go on with them.

    Parameters
    ----------
    settings : TrainingSettings
        Of each, but for ``network`` and ``rnn``.
    networks : sequence of "A", "B", "C" or "D"
    rnns : sequence of "lstm" or "gru"
    out : Path
        Gets a run's folder for each network.
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
    grid = grid_settings(settings, networks=networks, rnns=rnns)
    return [train(of_network, out / name) for name, of_network in grid.items()]


def grid_settings(
    settings: TrainingSettings, *, networks: Sequence[NetworkName], rnns: Sequence[RnnName]
) -> dict[str, TrainingSettings]:
    """Give each network of a grid its settings, which differ in nothing else.

    Folds and seeds follow from the settings' seed alone, so every network has the same.

    Parameters
    ----------
    settings : TrainingSettings
    networks : sequence of "A", "B", "C" or "D"
    rnns : sequence of "lstm" or "gru"

    Returns
    -------
    dict of str to TrainingSettings
        By the name of the run's folder, for example ``C-lstm``.
    """
    return {
        f"{network}-{rnn}": settings.model_copy(update={"network": network, "rnn": rnn})
        for rnn in rnns
        for network in networks
    }
