"""Which subjects of a cohort take part: by the name of a selection, and by filters.

``seed430`` is our reading of the published 430 subjects, not their list: the counts of its 215 people with
ADHD are reached by one rule exactly (training release, four sites, QC_NIAK not 0); who the 215 controls were
cannot be known, and they are drawn by a seed with the published counts.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar

from training.cohort.selecting.filters import parse_filters
from training.cohort.subjects import Subject
from training.errors import CohortError

SELECTIONS = ("all", "train", "test", "seed430")

SEED430_CASES: Mapping[str, int] = MappingProxyType(
    {"NYU": 113, "NeuroIMAGE": 24, "Peking": 78, "Pittsburgh": 0}
)
# The paper gives the controls of Peking and Pittsburgh alone; the other two sites share the rest.
SEED430_CONTROLS: Mapping[tuple[str, ...], int] = MappingProxyType(
    {("Peking",): 88, ("Pittsburgh",): 49, ("NYU", "NeuroIMAGE"): 78}
)
_QUALITY = "QC_NIAK"


class SelectionNameError(CohortError):
    """A selection that nobody defined."""

    code: ClassVar[str] = "selection_unknown"

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.known = list(SELECTIONS)
        super().__init__(f"expected a selection out of {', '.join(SELECTIONS)}, found {name!r}")


class ReleaseUnknownError(CohortError):
    """A selection by official release in a cohort that does not know who is in which."""

    code: ClassVar[str] = "selection_needs_release"

    def __init__(self, *, name: str, n_subjects: int) -> None:
        self.name = name
        self.n_subjects = n_subjects
        super().__init__(
            f"selection {name!r}: expected to know the official release of the subjects "
            f"(ingest the cohort with --test-ids), found it for none of {n_subjects}"
        )


class SelectionMissingError(CohortError):
    """A cohort of ADHD-200 with nobody's release known, to be trained on without a selection by name."""

    code: ClassVar[str] = "selection_needed"

    def __init__(self, *, name: str, n_subjects: int) -> None:
        self.name = name
        self.n_subjects = n_subjects
        super().__init__(
            f"cohort {name!r}: expected to know who is in the official test release, which is kept for the "
            f"end, found it for none of {n_subjects}: ingest it again with --test-ids, or train on everybody "
            "by --select all"
        )


class SelectionPoolError(CohortError):
    """A cohort that cannot fill the cells of ``seed430``."""

    code: ClassVar[str] = "selection_pool_too_small"

    def __init__(self, *, name: str, cells: Sequence[Mapping[str, object]], without_quality: int) -> None:
        self.name = name
        self.cells = [dict(cell) for cell in cells]
        self.without_quality = without_quality
        expected = ", ".join(f"{cell['expected']} {cell['cell']}" for cell in cells)
        found = ", ".join(str(cell["found"]) for cell in cells)
        hint = f"; {_QUALITY} is unknown for all {without_quality} of its pool" if without_quality else ""
        super().__init__(f"selection {name!r}: expected {expected}, found {found}{hint}")


class SelectionEmptyError(CohortError):
    """A selection that nobody is in."""

    code: ClassVar[str] = "selection_empty"

    def __init__(self, *, name: str, where: Sequence[str], n_labelled: int) -> None:
        self.name = name
        self.where = list(where)
        self.n_labelled = n_labelled
        filters = f" with {' and '.join(where)}" if where else ""
        super().__init__(
            f"selection {name!r}{filters}: expected at least one subject, "
            f"found none among the cohort's {n_labelled} with a diagnosis"
        )


def default_selection(subjects: Sequence[Subject], *, cohort: str, release_unknown: bool) -> str:
    """Name the selection to train on where none is asked for.

    Parameters
    ----------
    subjects : sequence of Subject
        A whole cohort.
    cohort : str
        Its name, for the message.
    release_unknown : bool
        Whether people of ADHD-200's test release may be among them.

    Returns
    -------
    "train" or "all"
        The training release where it is known.

    Raises
    ------
    SelectionMissingError
        If people of the official test release may be in the cohort, and nobody knows who.
    """
    if any(subject.release for subject in subjects):
        return "train"
    if release_unknown:
        raise SelectionMissingError(name=cohort, n_subjects=len(subjects))
    return "all"


def select(
    subjects: Sequence[Subject], name: str = "all", *, where: Sequence[str] = (), seed: int = 0
) -> list[Subject]:
    """Choose who takes part.

    Parameters
    ----------
    subjects : sequence of Subject
        A whole cohort.
    name : "all", "train", "test" or "seed430"
        "train" and "test" are the official releases.
    where : sequence of str
        Conditions as in `training.cohort.selecting.filters`; they thin out the named selection.
    seed : int
        Of the draw of controls in "seed430"; the same people for the same seed, in whatever order they come.

    Returns
    -------
    list of Subject
        In the order of the cohort; only people with a label.

    Raises
    ------
    SelectionNameError
        If there is no selection of this name.
    FilterError
        If a condition cannot be understood.
    ReleaseUnknownError
        If it is by release, and nobody's is known.
    SelectionPoolError
        If the cohort has too few people for a cell of "seed430".
    SelectionEmptyError
        If nobody is left.
    """
    if name not in SELECTIONS:
        raise SelectionNameError(name=name)
    filters = parse_filters(where, subjects)
    labelled = [subject for subject in subjects if subject.label is not None]
    chosen = _named(labelled, name, seed=seed)
    chosen = [subject for subject in chosen if all(condition.holds(subject) for condition in filters)]
    if not chosen:
        raise SelectionEmptyError(name=name, where=where, n_labelled=len(labelled))
    return chosen


def _named(labelled: Sequence[Subject], name: str, *, seed: int) -> list[Subject]:
    if name == "all":
        return list(labelled)
    if labelled and all(subject.release is None for subject in labelled):
        raise ReleaseUnknownError(name=name, n_subjects=len(labelled))
    release = "test" if name == "test" else "train"
    released = [subject for subject in labelled if subject.release == release]
    return _seed430(released, seed=seed) if name == "seed430" else released


def _seed430(training_release: Sequence[Subject], *, seed: int) -> list[Subject]:
    pool = [
        subject
        for subject in training_release
        if subject.site in SEED430_CASES and subject.quality_passed.get(_QUALITY) is not False
    ]
    _require_cells(pool)
    chosen = {subject.subject_id for subject in pool if subject.label == 1}
    for sites, n_controls in SEED430_CONTROLS.items():
        controls = [subject.subject_id for subject in pool if subject.label == 0 and subject.site in sites]
        chosen.update(sorted(controls, key=lambda subject_id: _lot(seed, subject_id))[:n_controls])
    return [subject for subject in pool if subject.subject_id in chosen]


def _lot(seed: int, subject_id: str) -> bytes:
    # A hash, not a generator: the draw depends on no library's version and on nobody else in the table.
    return hashlib.sha256(f"seed430 {seed} {subject_id}".encode()).digest()


def _require_cells(pool: Sequence[Subject]) -> None:
    counts = Counter((subject.site, subject.label) for subject in pool)
    found = [
        {"cell": f"with ADHD at {site}", "expected": expected, "found": counts[site, 1]}
        for site, expected in SEED430_CASES.items()
    ]
    wrong = [cell for cell in found if cell["found"] != cell["expected"]]
    for sites, expected in SEED430_CONTROLS.items():
        n_controls = sum(counts[site, 0] for site in sites)
        if n_controls < expected:
            cell = f"controls at {' and '.join(sites)}"
            wrong.append({"cell": cell, "expected": expected, "found": n_controls})
    if wrong:
        rated = any(subject.quality_passed.get(_QUALITY) is not None for subject in pool)
        raise SelectionPoolError(name="seed430", cells=wrong, without_quality=0 if rated else len(pool))
