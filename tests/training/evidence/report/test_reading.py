import shutil
from dataclasses import replace

import pytest

from tests.training.evidence.report.made_up_runs import made_up_run
from training.evidence.report.reading import RunUnfinishedError, find_runs, read_run_data
from training.run_files import RunFolderError, read_rows, write_json, write_rows
from training.runs import (
    EPOCHS_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    SUBJECTS_FILE,
    RunSubject,
    read_outcome,
)


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


def edit(table, change):
    table.write_text("\n".join(change(table.read_text().splitlines())) + "\n")


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda lines: lines[:-1], "1 without one"),
        (lambda lines: [*lines, lines[-1]], "61 rows"),
        (
            lambda lines: [*lines[:-1], lines[-1].replace("\t0\t", "\t1\t", 1)],
            r"expected fold in folds/0/predictions\.tsv to be 0, found another fold",
        ),
        (lambda lines: [*lines[:-1], lines[-1].replace("\t", "\tx", 1)], "no whole number in line"),
    ],
)
def test_tables_that_do_not_belong_together_are_refused(tmp_path, damage, found):
    run = made_up_run(tmp_path / "run", n=60)
    edit(run / "folds" / "0" / PREDICTIONS_FILE, damage)
    with pytest.raises(RunFolderError, match=found):
        read_run_data(run)


@pytest.mark.parametrize("name", [PREDICTIONS_FILE, INNER_PREDICTIONS_FILE])
@pytest.mark.parametrize("damage", [lambda lines: lines[:-1], lambda lines: [*lines, lines[1]]])
def test_a_run_s_own_table_that_is_not_of_its_folds_is_refused(tmp_path, name, damage):
    run = made_up_run(tmp_path / "run", n=60)
    edit(run / name, damage)
    with pytest.raises(RunFolderError, match=rf"expected {name} to hold the rows of every folds/N/{name}"):
        read_run_data(run)
    (run / name).unlink()
    with pytest.raises(RunFolderError, match=f"expected a readable {name}, found none"):
        read_run_data(run)


def test_a_finished_fold_of_an_unfinished_run_needs_no_gathered_table(tmp_path):
    run = made_up_run(tmp_path / "run", n=60, unfinished=(1,))
    assert not (run / PREDICTIONS_FILE).exists()
    assert read_run_data(run, partial=True).missing == ("fold 1",)


def test_inner_parts_hold_nobody_of_the_reported_fold(tmp_path):
    run = made_up_run(tmp_path / "run", n=60)
    reported = next(one for one in read_run_data(run).subjects if one.fold == 0).subject_id
    table = run / "folds" / "0" / INNER_PREDICTIONS_FILE
    for stranger in (reported, "nobody"):
        edit(table, lambda lines, who=stranger: [*lines[:-1], f"{who}\t" + lines[-1].split("\t", 1)[1]])
        with pytest.raises(RunFolderError, match="of a subject of another fold, found 1 row of others"):
            read_run_data(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_test": 9999}, r"n_test in folds/2/outcome\.json to be 12, as in subjects\.tsv, found 9999"),
        ({"n_training": 1}, r"n_training, n_stopping and n_calibration together in .* to be 48"),
        ({"fold": 3}, r"fold in folds/2/outcome\.json to be 2, as in .*, found 3"),
    ],
)
def test_an_outcome_of_other_subjects_is_refused(tmp_path, change, said):
    run = made_up_run(tmp_path / "run", n=60)
    path = run / "folds" / "2" / OUTCOME_FILE
    write_json(path, read_outcome(run, 2).model_copy(update=change))
    with pytest.raises(RunFolderError, match=said):
        read_run_data(run)


@pytest.mark.parametrize(
    ("damage", "found"),
    [(lambda lines: lines[:-1], "14 rows"), (lambda lines: [*lines[:-1], lines[1]], "others")],
)
def test_epochs_that_were_not_run_are_refused(tmp_path, damage, found):
    run = made_up_run(tmp_path / "run", n=60)
    assert read_outcome(run, 1).epochs_run == 15
    edit(run / "folds" / "1" / EPOCHS_FILE, damage)
    with pytest.raises(RunFolderError, match=rf"epochs 1 to 15 in folds/1/epochs\.csv.*, found {found}"):
        read_run_data(run)


def test_a_subject_of_a_fold_that_the_run_has_not_is_refused(tmp_path):
    run = made_up_run(tmp_path / "run", n=60)
    rows = read_rows(run, SUBJECTS_FILE, RunSubject)
    write_rows(run / SUBJECTS_FILE, [replace(rows[0], fold=9), *rows[1:]])
    with pytest.raises(RunFolderError, match=r"the 5 that run\.json names, found 1 subject in another"):
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


@pytest.mark.parametrize("found", ["no such folder", "a folder without run.json", "a file"])
def test_what_is_no_run_is_refused_with_what_it_is(tmp_path, found):
    folder = tmp_path / "scans"
    if found == "a file":
        folder.write_text("")
    elif found != "no such folder":
        folder.mkdir()
    with pytest.raises(RunFolderError, match=f"found {found}$"):
        find_runs([folder])


def test_a_run_without_inner_tables_is_refused_by_name(tmp_path):
    run = made_up_run(tmp_path / "run", n=40)
    shutil.rmtree(run / "folds" / "3")
    with pytest.raises(RunUnfinishedError, match="fold 3 missing"):
        read_run_data(run)
