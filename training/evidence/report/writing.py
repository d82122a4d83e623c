"""A report's three files: all of them, or none."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from threadpoolctl import threadpool_limits

from training.errors import CohortError
from training.evidence.kept_connectivity import keep_connectivity
from training.evidence.report.as_json import run_json
from training.evidence.report.assembling import assemble
from training.evidence.report.contents import RunReport
from training.evidence.report.page import render
from training.evidence.report.reading import find_runs, read_run_data
from training.evidence.report.rows import figure_rows, to_csv
from training.evidence.report.side_by_side import Comparison, compare

PAGE_FILE = "report.html"
TABLE_FILE = "report.csv"
JSON_FILE = "report.json"

ReportProgress = Callable[[str, float], None]


class ReportNotWrittenError(CohortError):
    """A folder that the report cannot be written to; nothing of it is there."""

    code: ClassVar[str] = "report_not_written"

    def __init__(self, *, name: str, found: str) -> None:
        self.name = name
        self.found = found
        super().__init__(f"expected a folder with room that can be written at {name!r}, found: {found}")


@dataclass(frozen=True, kw_only=True)
class WrittenReport:
    """What was written, and where."""

    folder: Path
    reports: tuple[RunReport, ...]
    objects: tuple[dict[str, object], ...]
    comparison: Comparison | None


def write_report(
    folders: Sequence[Path],
    out: Path,
    *,
    cohort: Path | None = None,
    partial: bool = False,
    reference: str | None = None,
    progress: ReportProgress | None = None,
) -> WrittenReport:
    """Report runs: ``report.html``, ``report.csv`` and ``report.json`` in one folder.

    Parameters
    ----------
    folders : sequence of Path
        Run folders, or folders of runs.
    out : Path
        Made if it is not there; files of an earlier report in it are replaced.
    cohort : Path, optional
        The store that the runs were trained on: ridge on connectivity is computed from it where a run's
        folder does not keep it yet, and kept there.
    partial : bool
        Report the finished folds of unfinished runs, marked.
    reference : str, optional
        Folder or system of the run that several are compared with, as for `compare`.
    progress : callable, optional
        Told the stage and the fraction of the work done.

    Returns
    -------
    WrittenReport

    Raises
    ------
    CohortError
        If a run cannot be reported, or the folder cannot be written; nothing is written then.
    """
    tell = progress or _untold
    runs = find_runs(folders)
    read = [read_run_data(run, partial=partial) for run in runs]
    if cohort is not None:
        keep_connectivity(runs, cohort, progress=tell)
        read = [read_run_data(run, partial=partial) for run in runs]
    reports = []
    for number, data in enumerate(read):
        tell(data.name, number / (len(runs) + 1))
        # Regressions of a handful of columns lose most of their time to threads that wait for each other.
        with threadpool_limits(1):
            reports.append(assemble(data))
    tell("page", len(runs) / (len(runs) + 1))
    several = len(reports) > 1 or reference is not None
    comparison = compare(reports, reference=reference) if several else None
    objects = tuple(run_json(report, comparison=comparison) for report in reports)
    contents = {
        PAGE_FILE: render(reports, comparison=comparison),
        TABLE_FILE: to_csv(figure_rows(reports, comparison=comparison)),
        JSON_FILE: json.dumps(objects, indent=2, allow_nan=False, ensure_ascii=False) + "\n",
    }
    _write_all(out, contents)
    return WrittenReport(folder=out, reports=tuple(reports), objects=objects, comparison=comparison)


def _write_all(out: Path, contents: Mapping[str, str]) -> None:
    """Write every file aside before the first takes its place: figures and page are of one report."""
    made = _missing_folders(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=out, prefix=".report-") as aside:
            for name, text in contents.items():
                (Path(aside) / name).write_text(text, encoding="utf-8")
            for name in contents:
                (Path(aside) / name).replace(out / name)
    except BaseException as error:
        for folder in made:
            # Whatever keeps it from being removed, the reason to tell is the one above.
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            found = error.strerror or type(error).__name__
            raise ReportNotWrittenError(name=out.name, found=found) from error
        raise


def _missing_folders(path: Path) -> list[Path]:
    """Name the folders that would be made for a path, the innermost first."""
    return [folder for folder in (path, *path.parents) if not folder.exists()]


def _untold(_stage: str, _fraction: float) -> None:
    """Take progress that nobody follows."""
