"""A whole run: folds, a model for each, predictions of everybody by a model that never saw them, an ensemble.

``run.json`` is written first. Given the same command again, a run goes on where it stopped: finished folds
are kept, the fold that was under way goes on from its last whole epoch, and what is made of the folds is made
again. Given another command, the folder is refused.
"""

from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import torch

from model.card import ModelCard, RegionsRecord
from model.methods.building import build_method
from model.methods.catalogue import METHODS
from model.methods.recipes import recipe_beside_settings
from model.networks import RestNetwork
from model.predictor import Device, choose_device
from training.cohort.population import describe_population
from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.fitting.settings import TrainingSettings
from training.fitting.threads import on_threads
from training.methods.possible import require_possible, require_solvable
from training.methods.run_regions import CUBES, choose_regions, keep_regions
from training.runs import RunRecord, RunSubject, Split
from training.validation.added import Addition, keep_added
from training.validation.ensemble import write_ensemble
from training.validation.fold import ReportFold, forget_state, split_fold, train_fold
from training.validation.fold_processes import train_folds
from training.validation.folds import Folds, leave_site_out, split_folds
from training.validation.run_folder import begin_run, gather_predictions, is_finished, run_subjects, saving

ReportFinished = Callable[[int], None]


class HeldOutReleaseError(CohortError):
    """People of the official test release among those to be trained on."""

    code: ClassVar[str] = "test_release_in_training"

    def __init__(self, *, n_subjects: int) -> None:
        self.n_subjects = n_subjects
        super().__init__(
            f"expected nobody of the official test release, which is kept for a last look, "
            f"found {n_subjects} (select train, or seed430)"
        )


def train_run(
    store: CohortStore,
    subjects: Sequence[Subject],
    *,
    settings: TrainingSettings,
    out: Path,
    device: Device = "auto",
    split: Split = "stratified",
    selection: str = "all",
    added: Addition | None = None,
    regions: str = CUBES,
    processes: int = 1,
    threads: int | None = None,
    progress: ReportFold | None = None,
    finished: ReportFinished | None = None,
) -> Path:
    """Cross-validate one system on some subjects of a cohort, or go on with it.

    Parameters
    ----------
    store : CohortStore
    subjects : sequence of Subject
        Of this store, labelled; in any order.
    settings : TrainingSettings
    out : Path
        The run's folder: new, empty, or this very run's.
    device : "auto", "cpu" or "cuda"
    split : "stratified" or "leave_site_out"
        The latter has a fold for each institution, whatever ``settings.folds`` says.
    selection : str
        How the subjects were asked for, for the record.
    added : Addition, optional
        People who are fitted in every fold and measured in none.
    regions : str
        That a method reads which reads regions: "cubes", "power264", or the path of an atlas.
    processes : int
        Above 1 the folds are trained side by side, each in a process of its own.
    threads : int, optional
        Of each process; 1 if there are several, otherwise what torch takes. On a CPU the weights are the
        same, bit for bit, for the same number of threads.
    progress : callable, optional
        Called as ``progress(fold, FitProgress)`` after every batch; what it raises stops the work.
    finished : callable, optional
        Called as ``finished(fold)`` for every finished fold, also those that were before.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    CohortError
        If somebody is of the official test release (:class:`HeldOutReleaseError`), the subjects cannot be
        split (`training.validation.folds`), the folder holds something else
        (`training.validation.run_folder`), or a fold is refused (`training.validation.fold`). All but the
        last leave nothing behind.
    CohortError, ModelError, ScanError
        If the method cannot be trained on these people (`training.methods.possible`) or its regions are no
        atlas (`training.methods.run_regions`); nothing is left behind either.
    """
    threads = threads or (1 if processes > 1 else torch.get_num_threads())
    record = plan_run(
        store,
        subjects,
        settings=settings,
        out=out,
        device=device,
        split=split,
        selection=selection,
        added=added,
        regions=regions,
        threads=threads,
    )
    _train_folds(
        out,
        len(record.fold_names),
        cohort=store.folder,
        device=device,
        processes=processes,
        threads=threads,
        progress=progress,
        finished=finished,
    )
    finish_run(out)
    return out


def require_trainable(
    store: CohortStore,
    subjects: Sequence[Subject],
    *,
    settings: TrainingSettings,
    device: Device = "auto",
    split: Split = "stratified",
    added: Addition | None = None,
) -> None:
    """See that a run of one system can be planned: of several, all are asked before the first is trained.

    Parameters
    ----------
    store, subjects, settings, device, split, added
        As for :func:`train_run`.

    Raises
    ------
    CohortError, ModelError
        As :func:`plan_run`, but for what lies in the run's folder and for the regions.
    """
    _split_trainable(store, subjects, settings=settings, device=device, split=split, added=added)


def plan_run(
    store: CohortStore,
    subjects: Sequence[Subject],
    *,
    settings: TrainingSettings,
    out: Path,
    device: Device = "auto",
    split: Split = "stratified",
    selection: str = "all",
    added: Addition | None = None,
    regions: str = CUBES,
    threads: int | None = None,
) -> RunRecord:
    """Split the subjects and begin the run's folder; `train_fold` can then train each fold, anywhere.

    Parameters
    ----------
    store, subjects, settings, out, device, split, selection, added, regions, threads
        As for :func:`train_run`.

    Returns
    -------
    RunRecord
        As written; a fold for each of its ``fold_names``.

    Raises
    ------
    CohortError, ModelError, ScanError
        As :func:`train_run`; nothing is left behind then.
    """
    folds, rows = _split_trainable(
        store, subjects, settings=settings, device=device, split=split, added=added
    )
    chosen = None
    if "regions" in METHODS[settings.method].reads:
        chosen = choose_regions(regions, grid_size=store.spec.grid_size)
    record = _record(
        store,
        subjects,
        folds,
        settings=settings,
        split=split,
        selection=selection,
        added=added,
        regions=None if chosen is None else chosen.record,
        threads=threads or torch.get_num_threads(),
    )
    others = (added.store, added.people) if added and added.people else None
    begin_run(out, record, rows, describe_population(store, subjects, added=others))
    if added is not None and record.added is not None:
        with saving(out):
            keep_added(out, added)
    if chosen is not None:
        with saving(out):
            keep_regions(out, chosen, grid_size=store.spec.grid_size)
    return record


def _split_trainable(
    store: CohortStore,
    subjects: Sequence[Subject],
    *,
    settings: TrainingSettings,
    device: Device,
    split: Split,
    added: Addition | None,
) -> tuple[Folds, list[RunSubject]]:
    """Split the subjects, and see that the system can be trained in every fold."""
    _keep_test_release([*subjects, *(added.people if added else ())])
    require_possible(settings, store, subjects)
    if added is not None:
        require_possible(settings, added.store, added.people)
    folds = _split(subjects, settings=settings, split=split)
    rows = run_subjects(store, subjects, folds)
    # Both refuse now what would be refused hours later.
    choose_device(device)
    others_labels = [person.label for person in added.people] if added else []
    for fold in range(len(folds.names)):
        training = split_fold(rows, fold, settings=settings).training
        require_solvable(settings, [*(person.label for person in training), *others_labels])
    return folds, rows


def _keep_test_release(subjects: Sequence[Subject]) -> None:
    n_subjects = sum(subject.release == "test" for subject in subjects)
    if n_subjects:
        raise HeldOutReleaseError(n_subjects=n_subjects)


def finish_run(run: Path) -> ModelCard:
    """Make of a run's finished folds what is made of all of them: the predictions and the ensemble.

    Raises
    ------
    RunFolderError
        If a fold is not finished.
    RunNotSavedError
        If a file cannot be written.
    """
    finished = gather_predictions(run)
    card = write_ensemble(run)
    # A process that was killed between a fold's outcome and this left it to us.
    for fold in finished:
        forget_state(run, fold)
    return card


def _train_folds(
    run: Path,
    n_folds: int,
    *,
    cohort: Path,
    device: Device,
    processes: int,
    threads: int,
    progress: ReportFold | None,
    finished: ReportFinished | None,
) -> None:
    def gather(fold: int) -> None:
        gather_predictions(run)
        if finished is not None:
            finished(fold)

    left = []
    for fold in range(n_folds):
        if is_finished(run, fold):
            gather(fold)
        else:
            left.append(fold)
    if processes > 1:
        train_folds(
            run,
            left,
            cohort=cohort,
            device=device,
            processes=processes,
            threads=threads,
            progress=progress,
            finished=gather,
        )
        return
    with on_threads(threads):
        for fold in left:
            train_fold(run, fold, cohort=cohort, device=device, progress=progress)
            gather(fold)


def _split(subjects: Sequence[Subject], *, settings: TrainingSettings, split: Split) -> Folds:
    if split == "leave_site_out":
        return leave_site_out(subjects)
    return split_folds(subjects, n_folds=settings.folds, seed=settings.seed)


def _record(
    store: CohortStore,
    subjects: Sequence[Subject],
    folds: Folds,
    *,
    settings: TrainingSettings,
    split: Split,
    selection: str,
    added: Addition | None,
    regions: RegionsRecord | None,
    threads: int,
) -> RunRecord:
    return RunRecord(
        settings=settings.model_dump(mode="json"),
        recipe=recipe_beside_settings(settings.method),
        cohort_name=store.name,
        cohort_fingerprint=store.fingerprint(subjects),
        maps_fingerprint=store.maps_fingerprint(
            (subject.subject_id for subject in subjects), reads=METHODS[settings.method].reads
        ),
        condition=store.condition,
        simulated=store.simulated,
        mixed=store.mixed,
        selection=selection,
        preprocessing=store.spec.to_json(),
        split=split,
        fold_names=list(folds.names),
        n_parameters=_count_parameters(settings, regions, grid_size=store.spec.grid_size),
        machine={"threads": threads},
        code_version=version("restnet"),
        regions=regions,
        added=None if added is None else added.record(),
    )


def _count_parameters(settings: TrainingSettings, regions: RegionsRecord | None, *, grid_size: int) -> int:
    with torch.device("meta"):
        if settings.method == "network":
            return sum(parameter.numel() for parameter in RestNetwork(settings).parameters())
        n_regions = 0 if regions is None else regions.n_regions
        return build_method(settings.method, grid_size=grid_size, n_regions=n_regions).n_parameters()
