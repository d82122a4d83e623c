import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.training.evidence.report.made_up_runs import made_up_run, store_of
from training.evidence import kept_connectivity
from training.evidence.connectivity import connectivity_features
from training.evidence.kept_connectivity import (
    ReportCohortDiffersError,
    find_connectivity,
    keep_connectivity,
)
from training.evidence.ridge import ridge_probabilities
from training.run_files import RunFolderError, read_rows, write_json
from training.runs import CONNECTIVITY_FILE, RUN_FILE, SUBJECTS_FILE, RunSubject, read_run


def ground(run):
    return read_run(run), tuple(read_rows(run, SUBJECTS_FILE, RunSubject))


@pytest.fixture
def run(tmp_path):
    return made_up_run(tmp_path / "run", n=40, folds=4, connectivity_auc=None)


@pytest.fixture
def store(run, tmp_path):
    return store_of(run, tmp_path / "cohort")


def test_what_is_kept_is_the_regression_on_the_runs_own_folds(run, store):
    record, subjects = ground(run)
    assert find_connectivity(run, record, subjects) is None
    keep_connectivity([run], store.folder)
    kept = find_connectivity(run, record, subjects)
    features = connectivity_features(store, [subject.subject_id for subject in subjects])
    labels, folds = (np.array([getattr(one, name) for one in subjects]) for name in ("label", "fold"))
    assert np.array_equal(kept.of(subjects), ridge_probabilities(features, labels, folds))
    assert roc_auc_score(labels, kept.of(subjects)) > 0.9
    turned = subjects[::-1]
    assert np.array_equal(kept.of(turned), kept.of(subjects)[::-1])


def test_it_is_measured_once(run, store, monkeypatch):
    keep_connectivity([run], store.folder)
    before = (run / CONNECTIVITY_FILE).stat().st_mtime_ns
    monkeypatch.setattr(kept_connectivity, "connectivity_probabilities", None)
    keep_connectivity([run], store.folder)
    assert (run / CONNECTIVITY_FILE).stat().st_mtime_ns == before


def test_runs_of_one_ground_share_one_reading_of_the_scans(run, store, tmp_path):
    other = made_up_run(tmp_path / "other", n=40, folds=4, network="A", connectivity_auc=None)
    write_json(other / RUN_FILE, read_run(run).model_copy(update={"settings": read_run(other).settings}))
    told = []
    keep_connectivity([run, other], store.folder, progress=lambda _, done: told.append(done))
    assert len(told) == 40
    assert (run / CONNECTIVITY_FILE).read_bytes() == (other / CONNECTIVITY_FILE).read_bytes()


@pytest.mark.parametrize("change", ["fold", "label", "cohort", "method"])
def test_on_another_ground_what_is_kept_is_not_shown(change, run, store, monkeypatch):
    keep_connectivity([run], store.folder)
    record, subjects = ground(run)
    if change == "method":
        monkeypatch.setattr(kept_connectivity, "METHOD", kept_connectivity.METHOD + 1)
    elif change == "cohort":
        record = record.model_copy(update={"cohort_fingerprint": "0" * 64})
    else:
        other = 1 - subjects[0].label if change == "label" else (subjects[0].fold + 1) % 4
        subjects = (replace(subjects[0], **{change: other}), *subjects[1:])
    assert find_connectivity(run, record, subjects) is None


@pytest.mark.parametrize("content", [b"", b"\xff", b"{}", b'{"format_version": 2}'])
def test_a_damaged_file_is_made_again(content, run, store):
    record, subjects = ground(run)
    keep_connectivity([run], store.folder)
    whole = (run / CONNECTIVITY_FILE).read_bytes()
    (run / CONNECTIVITY_FILE).write_bytes(content)
    assert find_connectivity(run, record, subjects) is None
    keep_connectivity([run], store.folder)
    assert (run / CONNECTIVITY_FILE).read_bytes() == whole


def test_a_file_that_lacks_somebody_is_not_shown(run, store):
    record, subjects = ground(run)
    keep_connectivity([run], store.folder)
    fields = json.loads((run / CONNECTIVITY_FILE).read_text())
    del fields["probabilities"][subjects[0].subject_id]
    (run / CONNECTIVITY_FILE).write_text(json.dumps(fields))
    assert find_connectivity(run, record, subjects) is None


@pytest.mark.parametrize("value", [-0.1, 5, float("nan")])
def test_a_file_with_an_impossible_probability_is_not_shown(value, run, store):
    record, subjects = ground(run)
    keep_connectivity([run], store.folder)
    fields = json.loads((run / CONNECTIVITY_FILE).read_text())
    fields["probabilities"][subjects[0].subject_id] = value
    (run / CONNECTIVITY_FILE).write_text(json.dumps(fields))
    assert find_connectivity(run, record, subjects) is None


def test_another_cohort_is_refused_before_anything_is_kept(run, store, tmp_path):
    stranger = made_up_run(tmp_path / "stranger", n=40, folds=4, connectivity_auc=None)
    with pytest.raises(ReportCohortDiffersError, match="'stranger': expected the cohort") as refusal:
        keep_connectivity([run, stranger], store.folder)
    assert refusal.value.expected == read_run(stranger).cohort_fingerprint
    assert refusal.value.found == read_run(run).cohort_fingerprint
    assert not (run / CONNECTIVITY_FILE).exists()


def test_a_full_disk_is_told_by_the_runs_name(run, store, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(kept_connectivity, "replace_file", full)
    with pytest.raises(RunFolderError, match=r"run 'run': expected room .*No space left"):
        keep_connectivity([run], store.folder)
