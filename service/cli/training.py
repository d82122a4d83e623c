"""``restnet train``: cross-validate one system, or several on the same folds, on a cohort."""

from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imaging.words import counted
from service.cli.database import DataDir, load_settings
from service.cli.failures import end_with_failures, tell_failure
from service.cli.output import STOPPED, print_json, refusal_of, say
from service.cli.training_display import FoldDisplay
from service.cli.usage import AsJson, named_path

if TYPE_CHECKING:
    from model.predictor import Device
    from service.cli.training_watch import FailedFold
    from training.cohort.store.cohort_store import CohortStore
    from training.fitting.settings import TrainingSettings
    from training.runs import Split
    from training.validation.added import Addition
    from training.validation.grid import LeftOut

_ALL = "all"
_MEANT_AT_MOST = 3
_FIGURES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc")


def train(
    cohort: Annotated[Path, typer.Argument(help="A folder that `restnet cohort ingest` wrote.")],
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="The run's folder: new, empty, or one to go on with.", parser=named_path, metavar="<path>"
        ),
    ],
    method: Annotated[
        str | None,
        typer.Option(
            help="A network by its short name (C-lstm), another system of docs/methods.md, or all.",
            show_default="C-lstm",
        ),
    ] = None,
    network: Annotated[
        Literal["A", "B", "C", "D", "all"] | None, typer.Option(help="Residual network.", show_default="C")
    ] = None,
    rnn: Annotated[
        Literal["lstm", "gru", "all"] | None, typer.Option(help="Recurrent layer.", show_default="lstm")
    ] = None,
    folds: Annotated[int | None, typer.Option(help="Of the cross-validation.", show_default="5")] = None,
    protocol: Annotated[
        Literal["nested", "paper"] | None,
        typer.Option(
            help="Early stop on an inner part, or, as published, on the training loss.", show_default="nested"
        ),
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="At most.", show_default="100")] = None,
    width: Annotated[int | None, typer.Option(help="Channels of the stem.", show_default="16")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of the selection, the folds and the training.", show_default="0")
    ] = None,
    select: Annotated[
        str | None,
        typer.Option(
            help="Who takes part: all, train or seed430.",
            show_default="train where the cohort knows the official releases, otherwise all",
        ),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="A filter, such as site=NYU,Peking or age<=18; repeatable.")
    ] = None,
    leave_site_out: Annotated[
        bool, typer.Option("--leave-site-out", help="A fold for each institution instead.")
    ] = False,
    add_training: Annotated[
        Path | None,
        typer.Option(
            "--add-training",
            help="A second cohort, whose people every fold is also fitted to; none of them is measured.",
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            help="Regions of the brain, for a method that reads them: cubes, power264, or an atlas (NIfTI).",
            show_default="cubes",
        ),
    ] = None,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    config: Annotated[
        Path | None, typer.Option(help="TOML file of settings; what is given here wins over it.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="Folds that are trained side by side.", min=1, show_default="1")
    ] = None,
    threads: Annotated[
        int | None,
        typer.Option(help="Of each process; 1 when there are several, otherwise every core.", min=1),
    ] = None,
    distributed: Annotated[
        Literal["celery"] | None,
        typer.Option(
            help="Let workers train all folds: `restnet worker --queue training`, on any number of machines "
            "that share the folders, the database and the broker.",
            show_default="here",
        ),
    ] = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Cross-validate, and write a run's folder with predictions, curves and the ensemble's checkpoint.

    The same command given again goes on where it stopped.
    """
    from training.cohort.selecting.selection import default_selection
    from training.cohort.selecting.selection import select as select_subjects
    from training.cohort.store.cohort_store import CohortStore
    from training.methods.run_regions import CUBES
    from training.runs import read_outcome
    from training.validation.cross_validation import plan_run, require_trainable, train_run
    from training.validation.grid import train_grid

    if distributed and processes:
        raise typer.BadParameter("--processes is for folds trained here; with --distributed start workers")
    if leave_site_out and folds is not None:
        raise typer.BadParameter(
            "--folds has no effect with --leave-site-out, which makes one fold an institution"
        )
    if data_dir and not distributed:
        raise typer.BadParameter("--data-dir is for --distributed: nothing else of training is kept there")
    given = {"folds": folds, "protocol": protocol, "epochs": epochs, "width": width, "seed": seed}
    grid, is_grid = _systems(method, network, rnn, config=config, given=given)
    settings = next(iter(grid.values()))
    store = CohortStore.open(cohort)
    _require_regions(regions, grid.values(), grid_size=store.spec.grid_size)
    select = select or default_selection(
        store.subjects, cohort=store.name, release_unknown=store.release_unknown
    )
    subjects = select_subjects(store.subjects, select, where=where or (), seed=settings.seed)
    split: Split = "leave_site_out" if leave_site_out else "stratified"
    selection = _in_words(select, where or (), seed=settings.seed)
    added = _added(store, add_training, split=split, quiet=as_json)
    left_out: LeftOut = {}
    if is_grid:
        grid, left_out = _leave_out(
            grid,
            lambda of_system: require_trainable(
                store, subjects, settings=of_system, device=device, split=split, added=added
            ),
            quiet=as_json,
        )

    failed: list[dict[str, object]] = []

    def each_system(train_one: "Callable[[TrainingSettings, Path], Path]") -> list[Path]:
        if not is_grid:
            return [train_one(settings, out)]
        return train_grid(
            grid,
            out=out,
            train=train_one,
            failed=lambda name, error: failed.append(tell_failure(out / name, error, quiet=as_json)),
        )

    def train_here(of_system: "TrainingSettings", folder: Path) -> Path:
        with FoldDisplay(shown=not as_json).live() as display:
            run = train_run(
                store,
                subjects,
                settings=of_system,
                out=folder,
                device=device,
                split=split,
                selection=selection,
                added=added,
                regions=regions or CUBES,
                processes=processes or 1,
                threads=threads,
                progress=partial(display.update, folder),
                finished=lambda fold: display.finish(folder, fold, read_outcome(folder, fold)),
            )
        if not as_json:
            _show(_summary(run))
        return run

    def plan(of_system: "TrainingSettings", folder: Path) -> Path:
        # As many threads as here, so that the weights are those of a training here.
        plan_run(
            store,
            subjects,
            settings=of_system,
            out=folder,
            device=device,
            split=split,
            selection=selection,
            added=added,
            regions=regions or CUBES,
            threads=threads,
        )
        return folder

    try:
        if distributed:
            runs, failed_folds = _train_by_workers(
                lambda: each_system(plan), cohort=cohort, device=device, data_dir=data_dir, as_json=as_json
            )
        else:
            runs, failed_folds = each_system(train_here), []
    except KeyboardInterrupt:
        say("Stopped. The same command goes on where it stopped.", err=True)
        raise typer.Exit(STOPPED) from None
    if failed or failed_folds:
        end_with_failures(failed, failed_folds, as_json=as_json)
    _tell(runs, left_out if is_grid else None, as_json=as_json)


def _systems(
    method: str | None,
    network: str | None,
    rnn: str | None,
    *,
    config: Path | None,
    given: dict[str, Any],
) -> "tuple[dict[str, TrainingSettings], bool]":
    """Give the settings of each system that is asked for, and whether they are a grid: a folder for each."""
    from training.fitting.settings import read_settings
    from training.validation.grid import NETWORKS, RNNS, SYSTEMS, grid_settings

    if method is not None and (network or rnn):
        raise typer.BadParameter(
            "--network and --rnn choose among the eight networks, and --method names one system or all: "
            f"leave out one or the other, found both with {method!r}"
        )
    if method == _ALL:
        return grid_settings(list(SYSTEMS), config=config, overrides=given), True
    if method is not None and method not in SYSTEMS:
        meant = " or ".join(map(repr, _meant_by(method, [*SYSTEMS, _ALL])))
        perhaps = f", perhaps {meant} is meant" if meant else ""
        raise typer.BadParameter(f"--method takes {', '.join(SYSTEMS)} or all, found {method!r}{perhaps}")
    if _ALL in (network, rnn):
        networks = NETWORKS if network == _ALL else (network,)
        rnns = RNNS if rnn == _ALL else (rnn,)
        asked = read_settings(config, overrides=given)
        systems = [f"{one or asked.network}-{other or asked.rnn}" for other in rnns for one in networks]
        return grid_settings(systems, config=config, overrides=given), True
    single = SYSTEMS[method] if method else {"network": network, "rnn": rnn}
    settings = read_settings(config, overrides=given | dict(single))
    return {settings.system: settings}, False


def _meant_by(asked: str, names: Sequence[str]) -> list[str]:
    """Give the names that begin with what was typed, whatever its case, or else hold it, or the nearest."""
    folded = {name.casefold(): name for name in names}
    typed = asked.casefold()
    begun = [one for one in folded if typed and one.startswith(typed)]
    holding = [one for one in folded if typed and typed in one]
    found = begun or holding or get_close_matches(typed, folded, n=1)
    return [folded[one] for one in found[:_MEANT_AT_MOST]]


def _train_by_workers(
    plan: Callable[[], list[Path]],
    *,
    cohort: Path,
    device: "Device",
    data_dir: Path | None,
    as_json: bool,
) -> "tuple[list[Path], list[FailedFold]]":
    """Plan the runs, have workers train them, and tell what became of them; some of their folds may fail."""
    from service.cli.distributed_training import workers_of

    with workers_of(load_settings(data_dir)) as workers:
        runs = plan()
        if not runs:
            return [], []
        finished: list[Path] = []
        with FoldDisplay(shown=not as_json).live() as display:
            try:
                failed = workers.train(
                    runs, cohort=cohort, device=device, display=display, finished=finished.append
                )
            except KeyboardInterrupt:
                display.say("Stopping the workers' folds ...")
                if not workers.cancel(runs):
                    display.say("Some folds are still being trained; they stop at their next batch.")
                raise
    if not as_json:
        for run in finished:
            _show(_summary(run))
    return runs, failed


def _in_words(select: str, where: Sequence[str], *, seed: int) -> str:
    words = select if select != "seed430" else f"{select} (seed {seed})"
    return f"{words} where {' and '.join(where)}" if where else words


def _added(store: "CohortStore", folder: Path | None, *, split: "Split", quiet: bool) -> "Addition | None":
    """Choose who of a second cohort every fold is also fitted to, and say how many."""
    from training.cohort.store.cohort_store import CohortStore
    from training.validation.added import choose_added

    if folder is None:
        return None
    added = choose_added(store, CohortStore.open(folder), split=split)
    if not quiet:
        left_out = ", ".join(f"{len(ids)} ({why})" for why, ids in sorted(added.left_out.items()))
        say(f"Added to every fold's training: {len(added.people)}; left out: {left_out or 'nobody'}")
    return added


def _require_regions(regions: str | None, systems: "Iterable[TrainingSettings]", *, grid_size: int) -> None:
    """Refuse regions that nobody reads, and what is no atlas, before the first system of many is trained."""
    from model.methods.catalogue import METHODS
    from training.methods.run_regions import choose_regions

    if regions is None:
        return
    if not any("regions" in METHODS[one.method].reads for one in systems):
        raise typer.BadParameter("--regions has no effect: no system that was asked for reads regions")
    choose_regions(regions, grid_size=grid_size)


def _leave_out(
    grid: "dict[str, TrainingSettings]", require: "Callable[[TrainingSettings], None]", *, quiet: bool
) -> "tuple[dict[str, TrainingSettings], LeftOut]":
    """Leave out the systems of several that cannot be trained on these people, and say why."""
    from training.validation.grid import leave_out_impossible

    possible, left_out = leave_out_impossible(grid, require=require)
    if not quiet:
        for name, why in left_out.items():
            say(f"Left out: {name}: {why} ({why.code})", err=True)
    return possible, left_out


def _tell(runs: Sequence[Path], left_out: "LeftOut | None", *, as_json: bool) -> None:
    """Tell a machine what the runs came to, and a person what comes next; of one nothing is left out."""
    if not as_json:
        say(f"Beside its baselines: restnet report {' '.join(map(str, runs))}")
        return
    summaries = [_summary(run) for run in runs]
    if left_out is None:
        print_json(summaries[0])
    else:
        why = {name: refusal_of(error) for name, error in left_out.items()}
        print_json({"runs": summaries, "left_out": why})


def _summary(run: Path) -> dict[str, Any]:
    """Say what a finished run came to, from its folder alone."""
    from model.card import read_card
    from training.run_files import read_rows
    from training.runs import CHECKPOINT_FILE, SUBJECTS_FILE, RunSubject, read_outcome, read_run

    record = read_run(run)
    card = read_card(run / CHECKPOINT_FILE)
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    outcomes = [read_outcome(run, fold).model_dump(mode="json") for fold in range(len(record.fold_names))]
    return {
        "run": str(run),
        "cohort": record.cohort_name,
        "selection": record.selection,
        "split": record.split,
        "n_subjects": len(subjects),
        "n_cases": sum(subject.label for subject in subjects),
        "added": None if record.added is None else record.added.model_dump(),
        "system": record.system,
        "settings": record.settings,
        "machine": record.machine,
        "n_parameters": record.n_parameters,
        "folds": [
            {"name": name, **outcome} for name, outcome in zip(record.fold_names, outcomes, strict=True)
        ],
        "metrics": card.metrics,
        "checkpoint": {
            "file": CHECKPOINT_FILE,
            "name": card.name,
            "version": card.version,
            "members": card.members,
            "trained_on": card.trained_on,
            "intended_use": card.intended_use,
        },
    }


def _show(summary: dict[str, Any]) -> None:
    metrics = summary["metrics"]
    say(f"{summary['run']}: {summary['system']}, {metrics['measured_on']}", bold=True)
    for name in _FIGURES:
        figure = metrics[name]
        interval = f"95 % {figure['low']:.3f} to {figure['high']:.3f}"
        say(f"  {name.replace('_', ' '):<18} {figure['value']:.3f}  ({interval})")
    table = metrics["confusion"]
    say(f"  tp {table['tp']}, fn {table['fn']}, fp {table['fp']}, tn {table['tn']}")
    checkpoint = summary["checkpoint"]
    members = counted(checkpoint["members"], "member")
    say(f"  {checkpoint['file']}: {members}, {checkpoint['trained_on']} ({checkpoint['intended_use']})")
