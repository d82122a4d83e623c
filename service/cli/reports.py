"""``restnet report``: what may be believed of training runs, and of a published claim."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.cli.output import print_json, progress_bar, say
from service.cli.usage import AsJson, named_path

if TYPE_CHECKING:
    from training.evidence.report.side_by_side import Comparison
    from training.evidence.report.writing import WrittenReport

Claim = tuple[str, str, str]
_FEWEST = 2


def report(
    runs: Annotated[
        list[Path] | None, typer.Argument(help="Folders that `restnet train` wrote, one or many.")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Where to write; `report` inside the folder named, if it is one.",
            parser=named_path,
            metavar="<path>",
        ),
    ] = None,
    cohort: Annotated[
        Path | None,
        typer.Option(
            help="The cohort trained on: measure ridge on connectivity from it, and keep it in the run."
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Report the finished folds of an unfinished run, marked.")
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Of several runs: the folder or system that the others are compared with.",
            show_default="C-lstm, or the first",
        ),
    ] = None,
    check_claim: Annotated[
        Claim | None,
        typer.Option(
            metavar="ACCURACY SENSITIVITY SPECIFICITY",
            help="Ask instead whether three percentages can come from one confusion table.",
        ),
    ] = None,
    n: Annotated[int | None, typer.Option(help="Of the claim: how many subjects.")] = None,
    positives: Annotated[int | None, typer.Option(help="Of the claim: how many of them are cases.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write the evidence of runs: one HTML page, a table and JSON, beside what is known without a scan."""
    if check_claim is not None:
        if runs or cohort or out or partial or reference or n is None or positives is None:
            raise typer.BadParameter(
                "expected --check-claim with --n and --positives, without a run and what belongs to one: "
                "nothing is written"
            )
        _check_claim(check_claim, n=n, positives=positives, as_json=as_json)
        return
    if not runs or n is not None or positives is not None:
        raise typer.BadParameter("expected a run's folder, or --check-claim with --n and --positives")
    from training.evidence.report.writing import write_report

    with progress_bar("report", shown=not as_json) as tell:
        written = write_report(
            runs,
            out or _default_folder(runs),
            cohort=cohort,
            partial=partial,
            reference=reference,
            progress=tell,
        )
    if as_json:
        print_json(written.objects)
    else:
        _show(written)


def _default_folder(runs: list[Path]) -> Path:
    return runs[0] / "report" if len(runs) == 1 else Path("restnet-report")


def _show(written: "WrittenReport") -> None:
    from training.evidence.report.banners import banners
    from training.evidence.report.judging import answer
    from training.evidence.report.writing import PAGE_FILE

    colours = {"danger": "red", "warning": "yellow", "note": "blue"}
    for one in written.reports:
        say(f"{one.data.name}: {one.title}", bold=True)
        for banner in banners(one):
            say(f"  {banner.title.upper()}. {banner.text}", fg=colours[banner.weight])
        for sentence in answer(one):
            say(f"  {sentence}")
    if written.comparison is not None and len(written.reports) > 1:
        _show_beside(written.comparison)
    say(f"Written: {written.folder / PAGE_FILE}, with the same figures as CSV and JSON beside it.")


def _show_beside(comparison: "Comparison") -> None:
    from training.evidence.report.wording import area, change

    say("Side by side", bold=True)
    for run in comparison.runs:
        minus = "" if run.above_reference is None else f", {change(run.above_reference)}"
        mark = ", reference" if run.is_reference else minus
        say(f"  {run.name}: AUC {area(run.report.overall.auc)}{mark}")
    for sentence in comparison.sentences:
        say(f"  {sentence}")


def _check_claim(claim: Claim, *, n: int, positives: int, as_json: bool) -> None:
    from dataclasses import asdict

    from training.evidence import claims

    accuracy, sensitivity, specificity = claim
    if n < _FEWEST:
        raise claims.ClaimInvalidError(what="n", expected="at least 2, one of each class", found=str(n))
    check = claims.check_claim(
        accuracy=accuracy, sensitivity=sensitivity, specificity=specificity, n=n, positives=positives
    )
    if as_json:
        print_json(
            {
                "claim": {
                    "accuracy": accuracy,
                    "sensitivity": sensitivity,
                    "specificity": specificity,
                    "n": n,
                    "positives": positives,
                },
                "possible": check.possible,
                "sentences": check.sentences,
                "tables": [asdict(table) for table in check.tables],
            }
        )
        return
    for sentence in check.sentences:
        say(sentence)
