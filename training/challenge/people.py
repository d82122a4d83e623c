"""The locked evaluation set: people kept from every training, on whom models are set side by side."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from imaging.words import counted
from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import Subject
from training.errors import CohortError
from training.evidence.shapes import Labels
from training.fitting.prepared import TrainingSubject

# With fewer of a class no margin that is worth stating can be shown, and one person is a tenth of the answer.
FEWEST_OF_A_CLASS = 10


class EvaluationSetTooSmallError(CohortError):
    """People that are too few to judge a model by."""

    code: ClassVar[str] = "evaluation_set_too_small"

    def __init__(self, *, n_cases: int, n_controls: int) -> None:
        self.expected = FEWEST_OF_A_CLASS
        self.n_cases = n_cases
        self.n_controls = n_controls
        super().__init__(
            f"expected at least {FEWEST_OF_A_CLASS} cases and {FEWEST_OF_A_CLASS} controls to judge models "
            f"by, found {counted(n_cases, 'case')} and {counted(n_controls, 'control')}"
        )


class EvaluationSetChangedError(CohortError):
    """People that are not those that were locked."""

    code: ClassVar[str] = "evaluation_set_changed"

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        self.name = name
        self.expected = expected
        self.found = found
        super().__init__(
            f"evaluation set of cohort {name!r}: expected the locked people and series ({expected[:12]}...), "
            f"found others ({found[:12]}...)"
        )


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """People with a diagnosis and their stored scans, named by a fingerprint.

    Attributes
    ----------
    store : CohortStore
    people : tuple of TrainingSubject
        Sorted by id; each with every scan of theirs.
    fingerprint : str
        sha256 over ids, diagnoses and stored series: the set is locked by comparing it.
    """

    store: CohortStore
    people: tuple[TrainingSubject, ...]
    fingerprint: str

    @classmethod
    def of(
        cls, store: CohortStore, subjects: Sequence[Subject], *, locked_as: str | None = None
    ) -> "EvaluationSet":
        """Take some labelled subjects of a store.

        Parameters
        ----------
        store : CohortStore
        subjects : sequence of Subject
            Of this store, labelled; in any order.
        locked_as : str, optional
            The fingerprint that it must have.

        Raises
        ------
        EvaluationSetTooSmallError
            If a class has fewer than ``FEWEST_OF_A_CLASS`` people.
        EvaluationSetChangedError
            If it is not the one that was locked.
        CohortError
            If a series is damaged.
        """
        classes = Counter(subject.label for subject in subjects)
        if min(classes[0], classes[1]) < FEWEST_OF_A_CLASS:
            raise EvaluationSetTooSmallError(n_cases=classes[1], n_controls=classes[0])
        fingerprint = store.fingerprint(subjects)
        if locked_as is not None and locked_as != fingerprint:
            raise EvaluationSetChangedError(name=store.name, expected=locked_as, found=fingerprint)
        in_order = sorted(subjects, key=lambda subject: subject.subject_id)
        people = tuple(TrainingSubject.from_store(store, subject) for subject in in_order)
        return cls(store=store, people=people, fingerprint=fingerprint)

    @property
    def labels(self) -> Labels:
        """0 control, 1 case, one a person."""
        return np.array([person.label for person in self.people])

    @property
    def sites(self) -> tuple[str, ...]:
        """One a person."""
        return tuple(person.site for person in self.people)

    def to_json(self) -> dict[str, Any]:
        """Say who they are, without naming anybody."""
        labels = self.labels
        return {
            "cohort": self.store.name,
            "fingerprint": self.fingerprint,
            "simulated": self.store.simulated,
            "subjects": len(labels),
            "cases": int(labels.sum()),
            "controls": int((labels == 0).sum()),
            "sites": dict(sorted(Counter(self.sites).items())),
        }
