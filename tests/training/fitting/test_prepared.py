from types import SimpleNamespace

import numpy as np
import pytest

from tests.training.fitting.toy_cohort import SPEC
from training.cohort.subjects import Subject
from training.fitting.prepared import TrainingSubject


def subject(label=1):
    return Subject(subject_id="7", site="NYU", label=label, diagnosis="1")


def store(lengths):
    series = {name: np.zeros((length, 3), dtype=np.float16) for name, length in enumerate(lengths)}
    return SimpleNamespace(
        spec=SPEC, scans_of=lambda subject_id: list(series) if subject_id == "7" else [], series=series.get
    )


def test_a_subject_keeps_every_scan_of_the_store_unread():
    found = store([5, 9])
    trained = TrainingSubject.from_store(found, subject())
    assert (trained.subject_id, trained.site, trained.label) == ("7", "NYU", 1)
    assert [series is found.series(i) for i, series in enumerate(trained.series)] == [True, True]


@pytest.mark.parametrize(("lengths", "found"), [([], 0), ([9, 2], 2)])
def test_a_subject_that_no_window_can_be_cut_from_is_refused(lengths, found):
    with pytest.raises(ValueError, match=f"at least 3 frames, found {found}"):
        TrainingSubject.from_store(store(lengths), subject())


def test_a_subject_without_a_label_is_not_trained_on():
    with pytest.raises(ValueError, match="labelled subject"):
        TrainingSubject.from_store(store([5]), subject(label=None))
