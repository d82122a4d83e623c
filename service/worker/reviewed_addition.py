"""Of the reviewed scans, those that a run which is being planned is also trained on, with their counts."""

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.db.rows import TrainingRunRow
from service.worker.heartbeat import Heartbeat
from service.worker.reviewed_scans import gather_reviewed
from service.worker.runtime import Runtime
from training.cohort.store.cohort_store import CohortStore
from training.runs import Split
from training.validation.added import Addition, choose_added, n_frames_of


@dataclass(frozen=True)
class ReviewedAddition:
    """Who of them is added to a run's training, and how many scans are not.

    Attributes
    ----------
    addition : Addition or None
    left_out : mapping of str to int
        Scans by why; as in `Reviewed`, and ``site_unknown`` where sites are left out.
    """

    addition: Addition | None
    left_out: Mapping[str, int]

    @property
    def n_frames(self) -> int:
        """Stored frames of those who are added."""
        return 0 if self.addition is None else n_frames_of(self.addition)

    def to_json(self) -> dict[str, Any]:
        """Give the counts, for the run's plan: nobody is named."""
        people = () if self.addition is None else self.addition.people
        scans = 0
        if self.addition is not None:
            scans = sum(len(self.addition.store.scans_of(subject.subject_id)) for subject in people)
        return {
            "n_people": len(people),
            "n_cases": sum(subject.label == 1 for subject in people),
            "n_scans": scans,
            "n_left_out": sum(self.left_out.values()),
            "left_out": dict(self.left_out),
        }


def add_reviewed(
    runtime: Runtime, row: TrainingRunRow, cohort: CohortStore, heartbeat: Heartbeat, *, split: Split
) -> ReviewedAddition:
    """Choose whom a run that is planned now is also trained on, as the consents stand now.

    Raises
    ------
    StorageUnavailableError, EncryptionKeyMissingError, EnclosureUnavailableError
        If scans cannot be read now.
    CohortNotUsableError
        If it cannot be read now whom models are compared on.
    """
    # It was never planned to its end, or it would not be planned now.
    shutil.rmtree(Path(row.run_folder), ignore_errors=True)
    reviewed = gather_reviewed(runtime, row, cohort, heartbeat, progress=(0.3, 0.8))
    if reviewed.store is None:
        return ReviewedAddition(None, reviewed.left_out)
    addition = choose_added(cohort, reviewed.store, split=split)
    left_out = Counter(reviewed.left_out)
    for reason, ids in addition.left_out.items():
        left_out[reason] += sum(len(reviewed.store.scans_of(subject_id)) for subject_id in ids)
    return ReviewedAddition(addition, dict(left_out))
