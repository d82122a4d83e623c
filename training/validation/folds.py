"""Who is reported by which fold, and which of the others watch and calibrate it.

Only whole subjects are dealt out: their scans, sessions, file variants and windows follow them, so none of
these can stand in two folds. Everything is decided by the set of subjects and a seed; the order in which they
are given does not matter.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import ClassVar, Generic, Protocol, TypeVar

import numpy as np
from numpy.random import Generator

from imaging.words import counted
from training.errors import CohortError

_CLASSES = {0: "control", 1: "case"}
_SCANNER_NUMBER = re.compile(r"_\d$")


class Labelled(Protocol):
    """What a split must know of a subject; `Subject` and `RunSubject` both say it."""

    @property
    def subject_id(self) -> str:
        """Name of the subject, once in a cohort."""
        ...

    @property
    def site(self) -> str:
        """Name of the scanner site."""
        ...

    @property
    def label(self) -> int | None:
        """0 control, 1 case."""
        ...


Person = TypeVar("Person", bound=Labelled)


class FoldCountError(CohortError):
    """A number of folds that is no cross-validation."""

    code: ClassVar[str] = "too_few_folds"

    def __init__(self, *, found: int) -> None:
        self.found = found
        super().__init__(f"expected at least 2 folds, found {found}")


class OneClassError(CohortError):
    """Subjects of one class only: there is nothing to tell apart."""

    code: ClassVar[str] = "one_class_only"

    def __init__(self, *, n_cases: int, n_controls: int) -> None:
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            "expected subjects of both classes, "
            f"found {counted(n_cases, 'case')} and {counted(n_controls, 'control')}"
        )


class FoldWithoutClassError(CohortError):
    """A fold that would be reported, or trained, without one of the classes."""

    code: ClassVar[str] = "fold_without_class"

    def __init__(self, *, fold: str, expected: str, found: str) -> None:
        self.fold = fold
        self.expected = expected
        self.found = found
        super().__init__(f"fold {fold}: expected {expected}, found {found}")


class TooFewSitesError(CohortError):
    """Nothing is left to train on when the only site is left out."""

    code: ClassVar[str] = "too_few_sites"

    def __init__(self, *, found: Sequence[str]) -> None:
        self.found = list(found)
        super().__init__(f"expected at least 2 institutions to leave one out, found {', '.join(found)}")


class InnerPartWithoutClassError(CohortError):
    """Too few subjects of a class for the inner parts of a fold."""

    code: ClassVar[str] = "inner_part_without_class"

    def __init__(self, *, label: int, needed: int, found: int) -> None:
        self.label = label
        self.needed = needed
        self.found = found
        super().__init__(
            f"expected at least {counted(needed, _CLASSES[label])} among a fold's training subjects, "
            f"so that each inner part has one, found {found}; the protocol 'paper' needs no inner parts"
        )


@dataclass(frozen=True)
class Folds:
    """A split of subjects.

    Attributes
    ----------
    names : tuple of str
        By fold: "0", "1", ... or the institution left out.
    fold_of : mapping of str to int
        By subject_id.
    """

    names: tuple[str, ...]
    fold_of: Mapping[str, int]


@dataclass(frozen=True)
class InnerSplit(Generic[Person]):
    """A fold's training subjects, parted.

    Attributes
    ----------
    training : tuple
        The weights are fitted to these.
    stopping : tuple
        Watched to choose the epoch.
    calibration : tuple
        Temperature, threshold and conformal quantiles come from these.
    """

    training: tuple[Person, ...]
    stopping: tuple[Person, ...]
    calibration: tuple[Person, ...]


def split_folds(subjects: Sequence[Labelled], *, n_folds: int, seed: int) -> Folds:
    """Deal subjects into folds, stratified by site and label.

    The subjects of a class are lined up site by site, shuffled within a site, and dealt out in turn. So every
    cell of site and label, every class, and the whole have fold sizes within one of each other.

    Parameters
    ----------
    subjects : sequence of Labelled
        All labelled, each once.
    n_folds : int
    seed : int

    Raises
    ------
    FoldCountError
        If there are fewer than two folds.
    OneClassError
        If a class is missing.
    FoldWithoutClassError
        If a class has fewer subjects than there are folds.
    """
    if n_folds < 2:
        raise FoldCountError(found=n_folds)
    for label, found in _require_both_classes(subjects).items():
        if found < n_folds:
            raise FoldWithoutClassError(
                fold=str(found),
                expected=f"a {_CLASSES[label]} in each of {n_folds} folds",
                found=f"{counted(found, _CLASSES[label])} in all",
            )
    generator = np.random.default_rng(seed)
    # Which folds get one more is left to chance, not to their number.
    turn = generator.permutation(n_folds).tolist()
    lined_up = _line_up(subjects, generator)
    fold_of = {subject.subject_id: turn[place % n_folds] for place, subject in enumerate(lined_up)}
    return Folds(names=tuple(map(str, range(n_folds))), fold_of=fold_of)


def institution_of(site: str) -> str:
    """Name the institution behind a site code: a trailing ``_digit`` counts its scanners (``UCLA_1``)."""
    return _SCANNER_NUMBER.sub("", site)


def leave_site_out(subjects: Sequence[Labelled]) -> Folds:
    """Make each institution, as :func:`institution_of` names it, a fold of its own, in the order of names.

    The fold that is left out may have one class only, as Pittsburgh's and WashU's have; the others together
    need both.

    Parameters
    ----------
    subjects : sequence of Labelled
        All labelled, each once.

    Raises
    ------
    OneClassError
        If a class is missing.
    TooFewSitesError
        If all subjects are of one institution.
    FoldWithoutClassError
        If nobody of a class is left to train on.
    """
    _require_both_classes(subjects)
    home = {subject.site: institution_of(subject.site) for subject in subjects}
    names = sorted(set(home.values()))
    if len(names) < 2:
        raise TooFewSitesError(found=names)
    for name in names:
        others = {subject.label for subject in subjects if home[subject.site] != name}
        for label in _CLASSES.keys() - others:
            raise FoldWithoutClassError(
                fold=name, expected=f"{_CLASSES[label]}s at the other sites to train on", found="none"
            )
    fold_of = {subject.subject_id: names.index(home[subject.site]) for subject in subjects}
    return Folds(names=tuple(names), fold_of=fold_of)


def split_inner(
    training: Sequence[Person], *, stopping: float, calibration: float, seed: int
) -> InnerSplit[Person]:
    """Part a fold's training subjects into those fitted, those watched and those kept for calibration.

    Stratified as :func:`split_folds`: each part takes its share of a class, spread evenly over the sites.

    Parameters
    ----------
    training : sequence of Labelled
        None of the reported fold.
    stopping, calibration : float
        Shares of the subjects, together below 1; a share of 0 leaves its part empty.
    seed : int

    Raises
    ------
    OneClassError
        If a class is missing.
    InnerPartWithoutClassError
        If a class has too few subjects for one in each part.
    """
    counts = _require_both_classes(training)
    shares = (stopping, calibration)
    parts: tuple[list[Person], list[Person], list[Person]] = ([], [], [])
    generator = np.random.default_rng(seed)
    for label, found in counts.items():
        needed = 1 + sum(share > 0 for share in shares)
        if found < needed:
            raise InnerPartWithoutClassError(label=label, needed=needed, found=found)
        inner = [max(1, round(share * found)) if share > 0 else 0 for share in shares]
        while sum(inner) >= found:  # rounded up on few subjects: somebody must be left to fit
            inner[inner.index(max(inner))] -= 1
        lined_up = _line_up([subject for subject in training if subject.label == label], generator)
        for part, subject in zip(_spread((found - sum(inner), *inner)), lined_up, strict=True):
            parts[part].append(subject)
    return InnerSplit(*(tuple(sorted(part, key=lambda subject: subject.subject_id)) for part in parts))


def _line_up(subjects: Iterable[Person], generator: Generator) -> list[Person]:
    """Put subjects in a row: class by class, site by site, by chance within a site."""

    def cell(subject: Labelled) -> tuple[int, str]:
        return subject.label or 0, subject.site

    row: list[Person] = []
    ordered = sorted(subjects, key=lambda subject: (*cell(subject), subject.subject_id))
    for _, group in groupby(ordered, key=cell):
        members = list(group)
        row += [members[place] for place in generator.permutation(len(members))]
    return row


def _spread(counts: Sequence[int]) -> Iterator[int]:
    """Yield each index as often as its count says, as evenly as can be (smooth weighted round robin)."""
    credit = [0] * len(counts)
    for _ in range(sum(counts)):
        credit = [owed + count for owed, count in zip(credit, counts, strict=True)]
        chosen = max(range(len(counts)), key=credit.__getitem__)
        credit[chosen] -= sum(counts)
        yield chosen


def _require_both_classes(subjects: Sequence[Labelled]) -> dict[int, int]:
    """Count the classes; a subject without a label, or twice, is a mistake of the caller."""
    if len({subject.subject_id for subject in subjects}) < len(subjects):
        raise ValueError("expected each subject once")
    if not {subject.label for subject in subjects} <= _CLASSES.keys():
        raise ValueError("expected labelled subjects only")
    counts = {label: sum(subject.label == label for subject in subjects) for label in _CLASSES}
    if not all(counts.values()):
        raise OneClassError(n_cases=counts[1], n_controls=counts[0])
    return counts
