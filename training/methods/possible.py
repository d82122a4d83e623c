"""What a method needs of the people that it shall be trained on, asked before anything is written."""

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np

from model.errors import MethodsNotInstalledError, TooFewTimePointsError
from model.methods.catalogue import METHODS
from model.published.packaged import PACKAGE
from model.published.systems import SYSTEMS
from model.published.training_recipes import training_of
from training.classical.inner import require_enough
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.subjects import Subject
from training.fitting.settings import TrainingSettings, TrainingSettingsError


def require_possible(settings: TrainingSettings, store: CohortStore, subjects: Sequence[Subject]) -> None:
    """See that a method can read every scan of some people.

    Parameters
    ----------
    settings : TrainingSettings
        Its ``method`` is asked about.
    store : CohortStore
    subjects : sequence of Subject
        Of this store.

    Raises
    ------
    MethodsNotInstalledError
        If the method is of a package that is not installed.
    MapsNotStoredError
        If it reads derived maps, and a scan was stored without.
    TissuesNotStoredError
        If it reads tissue maps, and a scan was stored without.
    TooFewTimePointsError
        If a scan, or a window, is shorter than it can read.
    TrainingSettingsError
        If its batches are smaller than a step can be taken on.
    """
    chosen = {subject.subject_id for subject in subjects}
    scans = [scan for scan in store.scans if scan.subject_id in chosen]
    if "maps" in METHODS[settings.method].reads:
        for scan in scans:
            store.require_maps(scan)
    if "tissues" in METHODS[settings.method].reads:
        for scan in scans:
            store.require_tissues(scan)
    _require_published(settings, scans, window_frames=store.spec.window_frames)


def require_solvable(settings: TrainingSettings, labels: Sequence[int | None]) -> None:
    """See that a fold's training people can be parted once more, by which penalties are chosen.

    Raises
    ------
    TooFewToSplitError
        If a method that is solved at once has fewer than two of a class.
    """
    if METHODS[settings.method].is_linear:
        require_enough(np.array(labels), method=settings.method)


def _require_published(
    settings: TrainingSettings, scans: Sequence[StoredScan], *, window_frames: int
) -> None:
    system = next((one for one in SYSTEMS if one.name == settings.method), None)
    if system is None:
        return
    if system.packaged and find_spec(PACKAGE) is None:
        raise MethodsNotInstalledError(package=PACKAGE)
    least = training_of(system.name).least_batch
    if settings.batch_size < least:
        raise TrainingSettingsError(
            name="the options",
            expected=f"batch_size to be at least {least} for {system.title}, which normalises over a batch",
            found=str(settings.batch_size),
        )
    if system.reads == "maps":
        return
    shortest = min((scan.n_stored_frames for scan in scans), default=window_frames)
    # Of frames a window is read, of regions the whole scan.
    found = window_frames if system.reads == "frames" else shortest
    if found < system.min_time_points:
        raise TooFewTimePointsError(network=system.title, expected=system.min_time_points, found=found)
