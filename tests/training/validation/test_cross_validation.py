import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tests.training.validation.tiny_cohorts import QUICK, tiny_store
from training.cohort.store.cohort_store import CohortStore
from training.fitting.state import STATE_FILE
from training.run_files import read_rows
from training.runs import (
    CHECKPOINT_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    InnerPrediction,
    Prediction,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)
from training.validation.cross_validation import HeldOutReleaseError, plan_run, train_run
from training.validation.fold import WEIGHTS_FILE
from training.validation.folds import FoldWithoutClassError, InnerPartWithoutClassError, OneClassError
from training.validation.run_folder import RunDiffersError, RunFolderTakenError

SAME_EVERY_TIME = (
    SUBJECTS_FILE,
    PREDICTIONS_FILE,
    INNER_PREDICTIONS_FILE,
    CHECKPOINT_FILE,
    f"folds/0/{WEIGHTS_FILE}",
    f"folds/1/{WEIGHTS_FILE}",
)


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> CohortStore:
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort")


@pytest.fixture(scope="module")
def run(store, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    return train_run(store, store.subjects, settings=QUICK, out=out, device="cpu", threads=1)


class Stopped(Exception):  # noqa: N818 - not an error
    """As if Ctrl-C had been pressed here."""


def test_everybody_is_predicted_once_by_the_fold_that_left_them_out(store, run):
    subjects = read_rows(run, SUBJECTS_FILE, RunSubject)
    predictions = read_rows(run, PREDICTIONS_FILE, Prediction)
    assert {one.subject_id for one in subjects} == {one.subject_id for one in store.subjects}
    assert [(p.subject_id, p.fold) for p in predictions] == [(s.subject_id, s.fold) for s in subjects]
    for fold in range(2):
        of_fold = read_rows(run, f"folds/{fold}/{PREDICTIONS_FILE}", Prediction)
        assert [row for row in predictions if row.fold == fold] == of_fold
    inner = read_rows(run, INNER_PREDICTIONS_FILE, InnerPrediction)
    fold_of = {one.subject_id: one.fold for one in subjects}
    assert inner
    assert all(fold_of[row.subject_id] != row.fold for row in inner)


def test_the_record_says_what_was_asked_and_on_what(store, run):
    record = read_run(run)
    assert record.settings == QUICK.model_dump(mode="json")
    assert (record.cohort_name, record.condition, record.simulated) == ("tiny", "ADHD", True)
    assert record.cohort_fingerprint == store.fingerprint(store.subjects)
    assert record.preprocessing == store.spec.to_json()
    assert (record.split, record.fold_names) == ("stratified", ["0", "1"])
    assert record.machine == {"threads": 1}, "what else a fold is trained with is known when it has been"
    assert {read_outcome(run, fold).threads for fold in range(2)} == {1}
    # The count of model.networks for C at width 1 with the Bi-LSTM: 1,000 features a frame instead of 8,000.
    from model.networks import build_network

    built = build_network("C", "lstm", width=1)
    assert record.n_parameters == sum(weights.numel() for weights in built.parameters())


def test_subjects_carry_what_a_baseline_may_know(store, run):
    first = read_rows(run, SUBJECTS_FILE, RunSubject)[0]
    table = next(one for one in store.subjects if one.subject_id == first.subject_id)
    assert (first.site, first.label, first.age_years) == (table.site, table.label, table.age_years)
    assert (first.sex, first.iq, first.dvars_mean, first.spikes) == (None, None, None, None)
    assert (first.tr_s, first.n_frames) == (2.0, 6.0)


def test_a_run_that_was_stopped_goes_on_and_ends_bit_for_bit_the_same(store, run, tmp_path):
    heard = []

    def stop(fold, progress):
        heard.append((fold, progress.epoch))
        if (fold, progress.epoch) == (1, 2):
            raise Stopped

    arguments = {"settings": QUICK, "out": tmp_path / "run", "device": "cpu", "threads": 1}
    with pytest.raises(Stopped):
        train_run(store, store.subjects, **arguments, progress=stop)
    assert not (tmp_path / "run" / CHECKPOINT_FILE).exists()
    so_far = read_rows(tmp_path / "run", PREDICTIONS_FILE, Prediction)
    assert {row.fold for row in so_far} == {0}, "what is finished can be reported already"
    heard.clear()
    done = []
    train_run(
        store,
        store.subjects[::-1],
        **arguments,
        progress=lambda fold, progress: heard.append((fold, progress.epoch)),
        finished=done.append,
    )
    assert heard == [(1, 2)], "the finished fold and the finished epoch are not done again"
    assert done == [0, 1]
    for name in SAME_EVERY_TIME:
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.slow
def test_processes_of_their_own_end_bit_for_bit_the_same(store, run, tmp_path):
    heard, done = set(), []
    train_run(
        store,
        store.subjects,
        settings=QUICK,
        out=tmp_path / "run",
        device="cpu",
        processes=2,
        progress=lambda fold, progress: heard.add((fold, progress.epoch)),
        finished=done.append,
    )
    assert heard == {(0, 1), (0, 2), (1, 1), (1, 2)}
    assert sorted(done) == [0, 1]
    for name in SAME_EVERY_TIME:
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


@pytest.mark.parametrize(
    ("changed", "field"),
    [({"learning_rate": 1e-2}, "learning_rate"), ({"seed": 1}, "seed"), ({"network": "D"}, "network")],
)
def test_another_run_is_not_mixed_into_the_folder(changed, field, store, run):
    before = (run / RUN_FILE).read_bytes()
    other = QUICK.model_copy(update=changed)
    with pytest.raises(RunDiffersError, match=field) as refusal:
        train_run(store, store.subjects, settings=other, out=run, device="cpu")
    named = {one["field"]: (one["expected"], one["found"]) for one in refusal.value.differences}
    assert named[field] == (changed[field], getattr(QUICK, field))
    assert (run / RUN_FILE).read_bytes() == before


def test_a_difference_is_told_by_the_setting_and_not_by_what_follows_from_it(store, run):
    for changed in ({"folds": 4}, {"width": 3}, {"method": "ridge-connectivity"}):
        (field, value), *_ = changed.items()
        other = QUICK.model_copy(update=changed)
        with pytest.raises(RunDiffersError) as refusal:
            train_run(store, store.subjects, settings=other, out=run, device="cpu")
        assert [one["field"] for one in refusal.value.differences] == [field]
        assert str(refusal.value).endswith(f": {field} expected {value}, found {getattr(QUICK, field)}")


def test_fewer_subjects_are_another_run(store, run):
    with pytest.raises(RunDiffersError, match="cohort_fingerprint"):
        train_run(store, store.subjects[:-2], settings=QUICK, out=run, device="cpu")


def test_another_machine_is_the_same_run(store, run):
    """Only what was asked for counts; a run may begin on one machine and go on on another."""
    done = []
    train_run(store, store.subjects, settings=QUICK, out=run, device="cpu", threads=2, finished=done.append)
    assert done == [0, 1]


def test_a_state_that_a_kill_left_in_a_finished_fold_goes(store, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    state = fold_folder(copy, 1) / STATE_FILE
    state.write_bytes(b"Adam's moments")
    train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu", threads=1)
    assert not state.exists()


def test_what_is_gone_on_with_on_other_threads_says_so(store, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (fold_folder(copy, 1) / OUTCOME_FILE).unlink()
    train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu", threads=2)
    assert [read_outcome(copy, fold).threads for fold in range(2)] == [1, 2]


def test_linear_algebra_takes_no_more_threads_than_are_asked_for(store, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    (fold_folder(copy, 1) / OUTCOME_FILE).unlink()
    seen = []

    def look(_fold):
        seen.append({pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"})

    with threadpool_limits(limits=2, user_api="blas"):
        train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu", threads=1, finished=look)
    assert seen[-1] == {1}


def test_another_folds_table_is_refused(store, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    text = (copy / SUBJECTS_FILE).read_text()
    (copy / SUBJECTS_FILE).write_text(text.replace("KKI\t0\t0", "KKI\t0\t1"))
    assert (copy / SUBJECTS_FILE).read_text() != text
    with pytest.raises(RunDiffersError, match=SUBJECTS_FILE):
        train_run(store, store.subjects, settings=QUICK, out=copy, device="cpu")


def test_a_folder_with_something_else_is_left_alone(store, tmp_path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(RunFolderTakenError, match="thesis"):
        train_run(store, store.subjects, settings=QUICK, out=tmp_path, device="cpu")
    with pytest.raises(RunFolderTakenError, match="a file"):
        train_run(store, store.subjects, settings=QUICK, out=tmp_path / "thesis.txt", device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_killed_while_it_wrote_its_first_file_can_begin_again(store, tmp_path):
    (tmp_path / f".{RUN_FILE}.abc").write_text("{")
    plan_run(store, store.subjects, settings=QUICK, out=tmp_path, device="cpu")
    assert len(read_rows(tmp_path, SUBJECTS_FILE, RunSubject)) == len(store.subjects)


@pytest.mark.parametrize(
    ("chosen", "settings", "refusal"),
    [
        (slice(0, None, 2), QUICK, OneClassError),
        (slice(0, 8), QUICK.model_copy(update={"folds": 5}), FoldWithoutClassError),
        (slice(0, 8), QUICK.model_copy(update={"folds": 2}), InnerPartWithoutClassError),
    ],
)
def test_what_cannot_be_split_leaves_nothing_behind(chosen, settings, refusal, store, tmp_path):
    with pytest.raises(refusal):
        train_run(store, store.subjects[chosen], settings=settings, out=tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_site_can_be_left_out(store, tmp_path):
    """KKI_1 and KKI_2 are one institution, whose subjects are all reported by one model."""
    sites = {"KKI": "KKI_1", "NYU": "NYU"}
    renamed = [replace(one, site=sites[one.site]) for one in store.subjects]
    renamed[0] = replace(renamed[0], site="KKI_2")
    settings = QUICK.model_copy(update={"epochs": 1, "protocol": "paper"})
    out = tmp_path / "run"
    train_run(store, renamed, settings=settings, out=out, device="cpu", split="leave_site_out")
    assert (read_run(out).split, read_run(out).fold_names) == ("leave_site_out", ["KKI", "NYU"])
    for one in read_rows(out, SUBJECTS_FILE, RunSubject):
        assert one.fold == (0 if one.site.startswith("KKI") else 1)
    for fold in range(2):
        assert read_outcome(out, fold).n_test == 8
        assert (fold_folder(out, fold) / WEIGHTS_FILE).exists()


def test_the_official_test_release_is_never_trained_on(store, tmp_path):
    kept = replace(store.subjects[3], release="test")
    subjects = [kept if one.subject_id == kept.subject_id else one for one in store.subjects]
    with pytest.raises(HeldOutReleaseError) as refused:
        plan_run(store, subjects, settings=QUICK, out=tmp_path / "run", device="cpu")
    assert refused.value.n_subjects == 1
    assert list(tmp_path.iterdir()) == []
