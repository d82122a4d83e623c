import shutil

import pytest

from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence.report.reading import RunUnfinishedError, find_runs, read_run_data
from training.runs import PREDICTIONS_FILE, SUBJECTS_FILE, RunFolderError


def test_subjects_and_predictions_stand_in_one_order(tmp_path):
    data = read_run_data(made_up_run(tmp_path / "run", n=60))
    ids = [subject.subject_id for subject in data.reported_subjects]
    assert ids == [prediction.subject_id for prediction in data.predictions]
    assert len(ids) == 60
    assert data.labels.tolist() == [subject.label for subject in data.subjects]


def test_an_unfinished_run_is_refused_with_the_folds_that_are_missing(tmp_path):
    run = made_up_run(tmp_path / "half", n=60, unfinished=(1, 4))
    with pytest.raises(
        RunUnfinishedError, match=r"found 3 finished and fold 1, fold 4 missing.*--partial"
    ) as error:
        read_run_data(run)
    assert error.value.details() == {"name": "half", "missing": ["fold 1", "fold 4"], "finished": 3}


def test_a_partial_reading_holds_the_finished_folds_only(tmp_path):
    data = read_run_data(made_up_run(tmp_path / "half", n=60, unfinished=(1, 4)), partial=True)
    assert {prediction.fold for prediction in data.predictions} == {0, 2, 3}
    assert {row.fold for row in data.inner_predictions} == {0, 2, 3}
    assert data.reported.sum() == len(data.predictions) < len(data.subjects)
    assert data.missing == ("fold 1", "fold 4")


def test_a_run_without_a_finished_fold_has_nothing_to_report(tmp_path):
    run = made_up_run(tmp_path / "begun", n=60, unfinished=(0, 1, 2, 3, 4))
    with pytest.raises(RunUnfinishedError, match="found 0 finished") as error:
        read_run_data(run, partial=True)
    assert "--partial" not in str(error.value)


def test_the_run_s_own_table_stands_in_for_its_folds(tmp_path):
    run = made_up_run(tmp_path / "run", n=60)
    whole = read_run_data(run)
    (run / "folds" / "2" / PREDICTIONS_FILE).unlink()
    assert read_run_data(run).predictions == whole.predictions


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda lines: lines[:-1], "1 without one"),
        (lambda lines: [*lines[:-1], lines[-1].replace("\t", "\tx", 1)], "another in line"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(tmp_path, damage, found):
    run = made_up_run(tmp_path / "run", n=60)
    table = run / "folds" / "0" / PREDICTIONS_FILE
    table.write_text("\n".join(damage(table.read_text().splitlines())) + "\n")
    with pytest.raises(RunFolderError, match=found):
        read_run_data(run)


def test_a_subject_in_two_folds_is_refused(tmp_path):
    run = made_up_run(tmp_path / "run", n=60)
    table = run / SUBJECTS_FILE
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(RunFolderError, match="a subject twice"):
        read_run_data(run)


def test_runs_are_found_as_named_and_inside_a_folder_of_runs_once(tmp_path):
    made = [made_up_run(tmp_path / "grid" / name, n=40) for name in ("B-gru", "A-lstm")]
    assert find_runs([made[0], tmp_path / "grid"]) == [made[0], made[1]]


@pytest.mark.parametrize("found", ["no such folder", "a folder without run.json"])
def test_what_is_no_run_is_refused_with_what_it_is(tmp_path, found):
    folder = tmp_path / "scans"
    if found != "no such folder":
        folder.mkdir()
    with pytest.raises(RunFolderError, match=found):
        find_runs([folder])


def test_a_run_without_inner_tables_is_refused_by_name(tmp_path):
    run = made_up_run(tmp_path / "run", n=40)
    shutil.rmtree(run / "folds" / "3")
    with pytest.raises(RunUnfinishedError, match="fold 3 missing"):
        read_run_data(run)
