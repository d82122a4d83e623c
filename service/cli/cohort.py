"""``restnet cohort``: from downloaded scans to the store that training reads, and who is in it."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from service.cli.output import STOPPED, print_json, progress_bar, say
from service.cli.usage import AsJson, named_path
from service.errors import ServiceError

if TYPE_CHECKING:
    from training.cohort.ingest import IngestReport
    from training.cohort.phenotypes.labels import LabelRule
    from training.cohort.phenotypes.table import PhenotypeTable
    from training.cohort.sources.source import ScanSource
    from training.cohort.store.cohort_store import CohortStore

app = typer.Typer(no_args_is_help=True)

_ADHD_COLUMN = "DX"
_SHOWN = 70  # characters of an example


class CohortOptionMissingError(ServiceError):
    """An option that this source cannot do without."""

    code: ClassVar[str] = "cohort_option_missing"

    def __init__(self, *, option: str, expected: str) -> None:
        self.option = option
        self.expected = expected
        super().__init__(f"expected {option}, {expected}, found none")


@app.command()
def ingest(
    source: Annotated[Path, typer.Argument(help="The downloaded folder, .tar or .npz.")],
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="The cohort's folder: new, empty, or one to go on with.", parser=named_path, metavar="<path>"
        ),
    ],
    phenotypes: Annotated[
        Path | None,
        typer.Option(
            help="Table of the subjects; participants.tsv and .npz archives are found by themselves."
        ),
    ] = None,
    test_ids: Annotated[
        Path | None, typer.Option(help="Ids of the official test release, one a line.")
    ] = None,
    kind: Annotated[
        Literal["auto", "athena", "bids", "raw-bids", "parcels"],
        typer.Option("--source", help="What SOURCE is."),
    ] = "auto",
    atlas: Annotated[Path | None, typer.Option(help="Image of the parcels, for parcel series.")] = None,
    tr: Annotated[
        float | None, typer.Option(help="Repetition time in seconds of parcel tables that do not say.")
    ] = None,
    label_column: Annotated[
        str | None, typer.Option(help="Column of the diagnosis.", show_default=_ADHD_COLUMN)
    ] = None,
    cases: Annotated[str | None, typer.Option(help="Its values for label 1.", show_default="1,2,3")] = None,
    controls: Annotated[str | None, typer.Option(help="Its values for label 0.", show_default="0")] = None,
    condition: Annotated[
        str | None, typer.Option(help="What label 1 means.", show_default="ADHD for DX")
    ] = None,
    variant: Annotated[
        Literal["filtered", "unfiltered", "both"] | None,
        typer.Option(
            help="Which of Athena's files of a run; where only the other is there, that one.",
            show_default="filtered",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="That share the work.", min=1, show_default="one a core")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Preprocess every scan once and write a cohort.

    The same command given again goes on where it stopped.
    """
    from training.cohort.ingest import ingest as ingest_scans
    from training.cohort.sources.recognition import open_source

    table_path = _find_table(source, phenotypes)
    # The cohort itself may lie inside the download.
    known = [path for path in (table_path, test_ids, out) if path is not None]
    scans = open_source(source, kind=kind, variant=variant, atlas=atlas, tr_s=tr, ignored=known)
    table, rule = _read_table(
        scans,
        table_path,
        test_ids=test_ids,
        condition=condition,
        codes={"--label-column": label_column, "--cases": cases, "--controls": controls},
    )
    try:
        with progress_bar(source.name, shown=not as_json) as report:
            outcome = ingest_scans(
                scans,
                table,
                out,
                label_rule=rule,
                processes=processes or len(os.sched_getaffinity(0)),
                progress=report,
            )
    except KeyboardInterrupt:
        say("Stopped. The same command goes on where it stopped.", err=True)
        raise typer.Exit(STOPPED) from None
    if as_json:
        print_json(_as_json(outcome))
    else:
        _show(outcome, out)


@app.command()
def summary(
    cohort: Annotated[Path, typer.Argument(help="A folder that `restnet cohort ingest` wrote.")],
    *,
    select: Annotated[
        str | None, typer.Option(help="all, train, test or seed430: labelled people only.")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="A filter, such as site=NYU,Peking or age<=18; repeatable.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draw in seed430.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Count who is in a cohort, by site and class: the published table first."""
    from training.cohort.selecting.selection import select as select_subjects
    from training.cohort.selecting.summary import format_summary, summarise
    from training.cohort.store.cohort_store import CohortStore

    store = CohortStore.open(cohort)
    subjects: Sequence[Any] = store.subjects
    if select is not None or where:
        subjects = select_subjects(store.subjects, select or "all", where=where or (), seed=seed)
    counted = summarise(subjects, store.scans, condition=store.condition)
    if as_json:
        print_json(
            {
                "cohort": store.name,
                "simulated": store.simulated,
                "fingerprint": store.fingerprint(subjects),
                **counted.to_json(),
            }
        )
    else:
        say(f"{store.name}{f' ({_people(store)})' if store.simulated else ''}", bold=True)
        typer.echo(format_summary(counted), nl=False)


@app.command()
def verify(
    cohort: Annotated[Path, typer.Argument(help="A folder that `restnet cohort ingest` wrote.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Read every stored series and all maps again and compare them with their checksums."""
    from training.cohort.store.cohort_store import CohortStore

    store = CohortStore.open(cohort)
    with progress_bar(store.name, shown=not as_json) as report:
        store.verify(progress=report)
    if as_json:
        print_json({"cohort": store.name, "n_scans": len(store.scans), "intact": True})
    else:
        say(f"{store.name}: {len(store.scans)} scans, every one as it was stored")


def _find_table(source: Path, phenotypes: Path | None) -> Path | None:
    from training.cohort.sources.recognition import PARTICIPANTS

    participants = source / PARTICIPANTS
    return participants if phenotypes is None and participants.is_file() else phenotypes


def _read_table(
    scans: "ScanSource",
    path: Path | None,
    *,
    test_ids: Path | None,
    condition: str | None,
    codes: Mapping[str, str | None],
) -> "tuple[PhenotypeTable, LabelRule]":
    """Read who the scans are of: the named table, or the one that an archive of series holds itself.

    ``codes`` are the options about a table's column of the diagnosis, None where they are not given.
    """
    from training.cohort.phenotypes.labels import ADHD_RULE, LabelRule
    from training.cohort.phenotypes.table import read_phenotypes, read_test_ids, with_releases
    from training.cohort.sources.parcel_archive import ARCHIVE_CODES, ParcelArchive
    from training.cohort.sources.source import OptionWithoutEffectError

    column = codes["--label-column"]
    column = ADHD_RULE.column if column is None else column.strip()
    if not column:
        raise CohortOptionMissingError(option="--label-column", expected="the name of a column")
    own = path is None and isinstance(scans, ParcelArchive)
    if path is None and not own:
        raise CohortOptionMissingError(option="--phenotypes", expected="the table of the subjects")
    if condition is None and not own and column == ADHD_RULE.column:
        condition = ADHD_RULE.condition
    if not (condition or "").strip():
        raise CohortOptionMissingError(option="--condition", expected="a name for what label 1 means")
    meaning = str(condition).strip()
    ids = read_test_ids(test_ids) if test_ids is not None else None
    if path is None and isinstance(scans, ParcelArchive):
        for option, value in codes.items():
            if value is not None:
                raise OptionWithoutEffectError(
                    option=option,
                    expected="a table named by --phenotypes",
                    found="an archive that holds its own labels",
                )
        table = scans.phenotypes()
        table = table if ids is None else with_releases(table, ids)
        return table, LabelRule(**ARCHIVE_CODES, condition=meaning)
    labels = LabelRule(
        column=column,
        cases=_values(codes["--cases"], ADHD_RULE.cases),
        controls=_values(codes["--controls"], ADHD_RULE.controls),
        condition=meaning,
    )
    return read_phenotypes(Path(str(path)), label_rule=labels, test_ids=ids), labels


def _values(text: str | None, default: tuple[str, ...]) -> tuple[str, ...]:
    return default if text is None else tuple(filter(None, (value.strip() for value in text.split(","))))


def _as_json(outcome: "IngestReport") -> dict[str, Any]:
    from dataclasses import asdict

    from training.cohort.selecting.summary import summarise

    store = outcome.store
    return {
        "cohort": {
            "name": store.name,
            "condition": store.condition,
            "simulated": store.simulated,
            "n_subjects": len(store.subjects),
            "n_labelled": sum(subject.label is not None for subject in store.subjects),
            "n_scans": len(store.scans),
            "fingerprint": store.fingerprint(store.subjects),
        },
        "n_new": outcome.n_new,
        "n_kept": outcome.n_kept,
        "sites": [asdict(row) for row in summarise(store.subjects, condition=store.condition).table],
        "left_out": outcome.counts,
        "findings": [asdict(finding) for finding in outcome.findings],
    }


def _show(outcome: "IngestReport", out: Path) -> None:
    from training.cohort.selecting.summary import format_table, obstacle_to_training, summarise
    from training.cohort.store.index import COHORT_FILE

    store = outcome.store
    kept = f", {outcome.n_kept} of them from before" if outcome.n_kept else ""
    say(f"{store.name}: {len(store.subjects)} {_people(store)}, {len(store.scans)} scans{kept}", bold=True)
    counted = summarise(store.subjects, condition=store.condition)
    typer.echo(format_table(counted))
    obstacle = obstacle_to_training(counted)
    if obstacle is not None:
        say(obstacle, fg="yellow")
    if not outcome.findings:
        say("Nothing was left out.")
        return
    say("Left out, or odd:")
    for code, count in outcome.counts.items():
        first = next(finding for finding in outcome.findings if finding.code == code)
        example = f"{first.name}: {first.message}"
        short = example if len(example) <= _SHOWN else f"{example[: _SHOWN - 3]}..."
        say(f"  {count:>5}  {code:<24} {short}")
    say(f"All of them, by name: {out / COHORT_FILE}")


def _people(store: "CohortStore") -> str:
    if store.mixed:
        return "subjects, simulated and others"
    return "simulated people" if store.simulated else "subjects"
