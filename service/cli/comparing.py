"""``restnet compare``: a challenger beside the model in use, on people that neither was trained on."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from service.cli.output import NOT_PASSED, print_json, progress_bar, say
from service.cli.usage import AsJson

# As the table names them: what has an interval and a difference, and what is one number.
_FIGURES = {"auc": "AUC", "sensitivity": "sensitivity", "specificity": "specificity", "brier": "Brier"}
_NUMBERS = {"ece": "calibration", "uncertain_share": "uncertain", "seconds_per_scan": "s a scan"}


def compare(
    challenger: Annotated[Path, typer.Argument(help="Its checkpoint file, or the folder of its run.")],
    *,
    cohort: Annotated[
        Path, typer.Option(help="The people to judge by: a folder that `restnet cohort ingest` wrote.")
    ],
    champion: Annotated[
        Path | None,
        typer.Option("--with", help="The checkpoint in use.", show_default="the demonstration model"),
    ] = None,
    trained_on: Annotated[
        Path | None,
        typer.Option(help="The cohort that the challenger was trained on, to look for the same people."),
    ] = None,
    select: Annotated[
        str, typer.Option(help="Whom of the cohort: all, test, or another selection by name.")
    ] = "all",
    where: Annotated[
        list[str] | None, typer.Option(help="A filter, such as site=NYU,Peking or age<=18; repeatable.")
    ] = None,
    locked_as: Annotated[
        str | None, typer.Option(help="The fingerprint that these people must have.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the bootstrap, and of a selection that draws.")] = 0,
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto takes a GPU where there is one.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure two models on the same people, and say by stated rules whether one may replace the other.

    Whom a challenger was trained on is in its run: give the run's folder, and its cohort by --trained-on.

    The exit status is 0 where it may, and 3 where it was measured and may not.
    """
    from model import demonstration_checkpoint
    from training.challenge.challenge import Origin, challenge
    from training.challenge.people import EvaluationSet
    from training.cohort.selecting.selection import select as select_subjects
    from training.cohort.store.cohort_store import CohortStore
    from training.runs import CHECKPOINT_FILE

    if trained_on is not None and not challenger.is_dir():
        raise typer.BadParameter("expected the folder of the challenger's run with --trained-on")
    store = CohortStore.open(cohort)
    subjects = select_subjects(store.subjects, select, where=where or (), seed=seed)
    people = EvaluationSet.of(store, subjects, locked_as=locked_as)
    with progress_bar("compare", shown=not as_json) as tell:
        found = challenge(
            champion or demonstration_checkpoint(),
            challenger / CHECKPOINT_FILE if challenger.is_dir() else challenger,
            people,
            origin=None if trained_on is None else Origin(run=challenger, cohort=trained_on),
            seed=seed,
            device=device,
            progress=tell,
        )
    if as_json:
        print_json(found.to_json())
    else:
        show_challenge(found.to_json())
    if not found.passed:
        raise typer.Exit(NOT_PASSED)


def show_challenge(found: dict[str, Any]) -> None:
    """Print a `Challenge`, as it writes itself as JSON, for people."""
    people = found["evaluation_set"]
    kind = "simulated subjects" if people["simulated"] else "people"
    say(f"On {people['subjects']} {kind} of cohort {people['cohort']}, locked as", bold=True)
    say(people["fingerprint"])
    if found["together"] is not None:
        _show_figures(found["together"])
    for rule in found["rules"]:
        word, colour = ("passed", "green") if rule["passed"] else ("failed", "red")
        said = f"  {word}  {rule['name']}: expected {rule['expected']}, found {rule['found']}"
        say(said, fg=colour)
    may = "may" if found["passed"] else "may not"
    say(f"The challenger {may} take the champion's place.", bold=True)


def _show_figures(together: dict[str, Any]) -> None:
    say(f"  {'':<12} {'champion':<22} {'challenger':<22} difference")
    champion, challenger = together["champion"], together["challenger"]
    for name, words in _FIGURES.items():
        old, new = _estimate(champion[name]), _estimate(challenger[name])
        say(f"  {words:<12} {old:<22} {new:<22} {_estimate(together['differences'][name], sign='+')}")
    for name, words in _NUMBERS.items():
        difference = together["differences"].get(name)
        said = "" if difference is None else _estimate(difference, sign="+")
        say(f"  {words:<12} {champion[name]:<22.3f} {challenger[name]:<22.3f} {said}".rstrip())
    say(f"  Called otherwise by the two: {together['called_otherwise']}")


def _estimate(found: dict[str, Any], *, sign: str = "") -> str:
    value, low, high = (f"{found[name]:{sign}.3f}" for name in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"
