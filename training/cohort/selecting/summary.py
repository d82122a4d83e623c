"""Who is in a cohort, by site and class: the published table, and what a model could take for the condition.

Age, sex, handedness, repetition time and length stand beside the diagnosis at each site, because any of them
that differs between the classes is a shortcut.
"""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from imaging.words import printable
from training.cohort.subjects import Subject

CLASSES: tuple[int | None, ...] = (1, 0, None)
_FIELDS = ("age_years", "sex", "handedness", "iq")


class ScanFacts(Protocol):
    """What a summary needs of a stored scan: whose it is, its repetition time and its acquired frames."""

    @property
    def subject_id(self) -> str: ...  # noqa: D102

    @property
    def tr_s(self) -> float: ...  # noqa: D102

    @property
    def n_frames(self) -> int: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Some numbers in short; ``n`` are known, the others are None where ``n`` is 0 (the SD below 2)."""

    n: int
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class SiteRow:
    """A line of the published table: people with and without the condition, and their mean age in years.

    ``site`` is None for all sites together. ``n_total`` leaves ``n_unlabelled`` out, and so does the age.
    """

    site: str | None
    n_cases: int
    n_controls: int
    n_total: int
    n_unlabelled: int
    mean_age_years: float | None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The people of one class at one site.

    Attributes
    ----------
    site : str or None
        None for all sites together.
    label : int or None
        1 case, 0 control, None without a diagnosis.
    n_subjects, n_scans : int
    age_years : Spread
    sexes, handedness : dict of str to int
        People by value; "missing" where the table does not say.
    tr_s : dict of str to int
        Scans by repetition time in seconds, rounded to milliseconds.
    n_frames : Spread
        Of the scans as acquired.
    """

    site: str | None
    label: int | None
    n_subjects: int
    n_scans: int
    age_years: Spread
    sexes: dict[str, int]
    handedness: dict[str, int]
    tr_s: dict[str, int]
    n_frames: Spread


@dataclass(frozen=True, kw_only=True)
class CohortSummary:
    """A cohort, or a selection from it, in counts.

    Attributes
    ----------
    condition : str
        What label 1 means.
    table : tuple of SiteRow
        A site a row, by name, then all together.
    groups : tuple of Group
        By site, then class; all sites together last. Only groups with people.
    missing : dict of str to int
        People without a value, by field; "release" and the quality columns too.
    without_scans : int
        People who have no scan among those given.
    """

    condition: str
    table: tuple[SiteRow, ...]
    groups: tuple[Group, ...]
    missing: dict[str, int]
    without_scans: int

    def to_json(self) -> dict[str, Any]:
        """Give the summary as JSON values."""
        return asdict(self)


def summarise(
    subjects: Sequence[Subject], scans: Iterable[ScanFacts] = (), *, condition: str = "ADHD"
) -> CohortSummary:
    """Count who is in a cohort.

    Parameters
    ----------
    subjects : sequence of Subject
        Those without a label are counted apart.
    scans : iterable of objects with ``subject_id``, ``tr_s`` and ``n_frames``
        Scans of other people do not count.
    condition : str, optional
        What label 1 means.

    Returns
    -------
    CohortSummary
    """
    scans_of: dict[str, list[ScanFacts]] = defaultdict(list)
    for scan in scans:
        scans_of[scan.subject_id].append(scan)
    sites = sorted({subject.site for subject in subjects}, key=str.casefold)
    places = [*((site, [s for s in subjects if s.site == site]) for site in sites), (None, list(subjects))]
    return CohortSummary(
        condition=condition,
        table=tuple(_site_row(site, people) for site, people in places),
        groups=tuple(
            _group(site, label, members, scans_of)
            for site, people in places
            for label in CLASSES
            if (members := [subject for subject in people if subject.label == label])
        ),
        missing=_missing(subjects),
        without_scans=sum(not scans_of.get(subject.subject_id) for subject in subjects),
    )


def format_table(summary: CohortSummary) -> str:
    """Write the published table as text for people."""
    return _aligned(
        ["site", summary.condition, "control", "total", "mean age", "no diagnosis"],
        [
            [
                row.site or "all sites",
                str(row.n_cases),
                str(row.n_controls),
                str(row.n_total),
                _fixed(row.mean_age_years, 2),
                str(row.n_unlabelled),
            ]
            for row in summary.table
        ],
    )


def format_summary(summary: CohortSummary) -> str:
    """Write a summary as text for people: the published table first, the groups beneath it."""
    names = {1: summary.condition, 0: "control", None: "no diagnosis"}
    groups = _aligned(
        ["site", "class", "subjects", "age", "female/male", "right/left/both", "scans", "TR s", "frames"],
        [
            [
                group.site or "all sites",
                names[group.label],
                str(group.n_subjects),
                _spread(group.age_years),
                _counts(group.sexes, ("female", "male")),
                _counts(group.handedness, ("right", "left", "ambidextrous")),
                str(group.n_scans),
                ", ".join(group.tr_s) or "-",
                _range(group.n_frames),
            ]
            for group in summary.groups
        ],
    )
    gaps = ", ".join(f"{field} {count}" for field, count in summary.missing.items() if count) or "none"
    lines = [format_table(summary), "", groups, "", f"Not known (+n above): {gaps}."]
    if summary.without_scans:
        lines.append(f"Without a scan: {summary.without_scans}.")
    obstacle = obstacle_to_training(summary)
    if obstacle is not None:
        lines.append(obstacle)
    return "\n".join(lines) + "\n"


def obstacle_to_training(summary: CohortSummary) -> str | None:
    """Say why nothing can be trained on these people; None where both classes are there.

    Scans without a diagnosis may well be made ready, but nobody should learn of it only when training begins.
    """
    everybody = summary.table[-1]
    if not everybody.n_total:
        return (
            "Nobody here has a diagnosis: training on them will be refused. Where that is not meant, see "
            "--phenotypes, --label-column, --cases and --controls of `restnet cohort ingest`."
        )
    if not everybody.n_cases or not everybody.n_controls:
        missing = summary.condition if everybody.n_controls else "control"
        return (
            f"Nobody here has the diagnosis {missing}: training on them, which needs both, will be refused."
        )
    return None


def _site_row(site: str | None, people: Sequence[Subject]) -> SiteRow:
    labelled = [subject for subject in people if subject.label is not None]
    n_cases = sum(subject.label == 1 for subject in labelled)
    return SiteRow(
        site=site,
        n_cases=n_cases,
        n_controls=len(labelled) - n_cases,
        n_total=len(labelled),
        n_unlabelled=len(people) - len(labelled),
        mean_age_years=_ages(labelled).mean,
    )


def _group(
    site: str | None, label: int | None, members: Sequence[Subject], scans_of: Mapping[str, list[ScanFacts]]
) -> Group:
    scans = [scan for subject in members for scan in scans_of.get(subject.subject_id, ())]
    times = Counter(round(scan.tr_s, 3) for scan in scans)
    return Group(
        site=site,
        label=label,
        n_subjects=len(members),
        n_scans=len(scans),
        age_years=_ages(members),
        sexes=dict(Counter(subject.sex or "missing" for subject in members)),
        handedness=dict(Counter(subject.handedness or "missing" for subject in members)),
        tr_s={f"{tr_s:g}": times[tr_s] for tr_s in sorted(times)},
        n_frames=_spread_of([float(scan.n_frames) for scan in scans]),
    )


def _ages(people: Sequence[Subject]) -> Spread:
    return _spread_of([subject.age_years for subject in people if subject.age_years is not None])


def _spread_of(values: Sequence[float]) -> Spread:
    if not values:
        return Spread(n=0, mean=None, sd=None, low=None, high=None)
    return Spread(
        n=len(values),
        mean=statistics.fmean(values),
        sd=statistics.stdev(values) if len(values) > 1 else None,
        low=min(values),
        high=max(values),
    )


def _missing(subjects: Sequence[Subject]) -> dict[str, int]:
    missing = {field: sum(getattr(subject, field) is None for subject in subjects) for field in _FIELDS}
    missing["label"] = sum(subject.label is None for subject in subjects)
    missing["release"] = sum(subject.release is None for subject in subjects)
    columns = sorted({column for subject in subjects for column in subject.quality_passed})
    for column in columns:
        missing[column] = sum(subject.quality_passed.get(column) is None for subject in subjects)
    return missing


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    # A site's name is whatever stood in a cell.
    lines = [list(map(printable, cells)) for cells in (header, *rows)]
    widths = [max(len(cells[column]) for cells in lines) for column in range(len(header))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()
        for cells in lines
    )


def _counts(counts: Mapping[str, int], values: Sequence[str]) -> str:
    known = "/".join(str(counts.get(value, 0)) for value in values)
    return f"{known} +{counts['missing']}" if counts.get("missing") else known


def _fixed(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _spread(spread: Spread) -> str:
    return "-" if spread.mean is None else f"{spread.mean:.1f} ± {_fixed(spread.sd, 1)}"


def _range(spread: Spread) -> str:
    if spread.low is None or spread.high is None:
        return "-"
    return f"{spread.low:.0f}" if spread.low == spread.high else f"{spread.low:.0f}-{spread.high:.0f}"
