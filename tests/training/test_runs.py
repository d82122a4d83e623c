import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from training.run_files import RunFolderError, read_rows, write_json, write_rows
from training.runs import (
    EPOCHS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    FoldOutcome,
    InnerPrediction,
    Prediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_run,
)

RECORD = RunRecord(
    settings={"network": "C", "learning_rate": 1e-4, "threshold_rule": "youden"},
    cohort_name="tiny",
    cohort_fingerprint="0" * 64,
    condition="ADHD",
    simulated=True,
    selection="all",
    preprocessing={"tr_s": 2.0},
    split="stratified",
    fold_names=["0", "1"],
    n_parameters=7,
    machine={"device": "cpu"},
    code_version="0.1.0",
)
OUTCOME = FoldOutcome(
    fold=1,
    n_training=3,
    n_stopping=2,
    n_calibration=2,
    n_test=2,
    epochs_run=9,
    best_epoch=4,
    offset=-0.25,
    temperature=1.25,
    threshold=0.5,
    conformal_quantiles={"level": 0.9, "control": 0.7, "adhd": 1.0},
    seconds_per_epoch=0.5,
    peak_memory_bytes=10,
    device="cuda",
    device_name="NVIDIA H100",
    threads=2,
    precision="bfloat16",
    torch_version="2.13.0",
)
SUBJECT = RunSubject(
    subject_id="1",
    site="NYU",
    label=1,
    fold=0,
    age_years=9.5,
    sex=None,
    handedness="right",
    iq=None,
    tr_s=2.0,
    n_frames=172.0,
    dvars_mean=None,
    spikes=2.5,
)

PREDICTION = Prediction(
    subject_id="1", fold=0, logit=0.0, probability=0.5, called="control", decision="uncertain"
)
EPOCH = EpochRecord(
    epoch=1, training_loss=0.7, stopping_loss=0.7, stopping_auc=0.5, learning_rate=1e-4, seconds=2.0
)

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
NOT_NEGATIVE = st.floats(0.0, allow_infinity=False)
MEASURE = st.floats(0.0, 1e15)
POSITIVE = st.floats(0.0, 1e15, exclude_min=True)
SHARE = st.floats(0.0, 1.0)
# An empty text cannot be told from a missing one; separators, quotes and odd spaces of names can be kept.
TEXT = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"), min_size=1, max_size=5
)
ROWS = {
    RunSubject: st.builds(
        RunSubject,
        subject_id=TEXT,
        site=TEXT,
        label=st.sampled_from([0, 1]),
        fold=st.integers(0, 9),
        age_years=st.none() | st.floats(0.0, 120.0),
        sex=st.none() | st.sampled_from(["female", "male"]),
        handedness=st.none() | st.sampled_from(["right", "left", "ambidextrous"]),
        iq=st.none() | st.floats(0.0, 250.0),
        tr_s=POSITIVE,
        n_frames=POSITIVE,
        dvars_mean=st.none() | MEASURE,
        spikes=st.none() | MEASURE,
    ),
    Prediction: st.builds(
        lambda logit, **others: Prediction(logit=logit, probability=float(expit(logit)), **others),
        subject_id=TEXT,
        fold=st.integers(0, 9),
        logit=NUMBER,
        called=st.sampled_from(["case", "control"]),
        decision=st.none() | st.sampled_from(["case", "control", "uncertain"]),
    ),
    InnerPrediction: st.builds(
        InnerPrediction,
        subject_id=TEXT,
        fold=st.integers(0, 9),
        part=st.sampled_from(["stopping", "calibration"]),
        logit=NUMBER,
    ),
    EpochRecord: st.builds(
        EpochRecord,
        epoch=st.integers(1, 100),
        training_loss=NOT_NEGATIVE,
        stopping_loss=st.none() | NOT_NEGATIVE,
        stopping_auc=st.none() | SHARE,
        learning_rate=NOT_NEGATIVE,
        seconds=NOT_NEGATIVE,
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.mark.parametrize(
    ("told", "people"),
    [
        ({"simulated": False}, "people"),
        ({"simulated": True}, "simulated subjects"),
        ({"simulated": True, "mixed": True}, "subjects"),
    ],
)
def test_a_run_keeps_what_its_subjects_are(run, told, people):
    write_json(run / RUN_FILE, RECORD.model_copy(update=told))
    assert read_run(run).people == people
    # Where nothing is mixed, the file is what an earlier version reads and writes.
    assert ("mixed" in (run / RUN_FILE).read_text()) is ("mixed" in told)


@pytest.mark.parametrize("row_class", ROWS)
@pytest.mark.parametrize("name", ["rows.tsv", "rows.csv"])
def test_rows_come_back_bit_for_bit(row_class, name, run):
    @settings(max_examples=40)
    @given(rows=st.lists(ROWS[row_class], max_size=3))
    def round_trip(rows):
        write_rows(run / name, rows, row_class=row_class)
        assert read_rows(run, name, row_class) == rows

    round_trip()


def test_the_tables_are_what_a_spreadsheet_expects(run):
    write_rows(run / SUBJECTS_FILE, [SUBJECT])
    header, row = (run / SUBJECTS_FILE).read_text().splitlines()
    assert header.split("\t") == [field.name for field in fields(RunSubject)]
    assert row == "1\tNYU\t1\t0\t9.5\t\tright\t\t2.0\t172.0\t\t2.5"


def test_records_come_back(run):
    write_json(run / RUN_FILE, RECORD)
    assert read_run(run) == RECORD
    fold_folder(run, 1).mkdir(parents=True)
    write_json(fold_folder(run, 1) / OUTCOME_FILE, OUTCOME)
    assert read_outcome(run, 1) == OUTCOME
    assert OUTCOME.trained_on == "device cuda NVIDIA H100, threads 2, precision bfloat16, torch 2.13.0"


def test_an_outcome_from_before_its_machine_was_kept_is_read(tmp_path):
    later = {"device_name", "threads", "precision", "torch_version"}
    fold_folder(tmp_path, 1).mkdir(parents=True)
    (fold_folder(tmp_path, 1) / OUTCOME_FILE).write_text(OUTCOME.model_dump_json(exclude=later))
    outcome = read_outcome(tmp_path, 1)
    assert outcome == OUTCOME.model_copy(update=dict.fromkeys(later))
    assert outcome.trained_on == "device cuda"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("1\tNYU\t1\t0\tnine\t\tright\t\t2.0\t172.0\t\t2.5", "line 3"),
        ("1\tNYU\t1\t0\t9.5\t\tright\t\t2.0\t172.0", "line 3"),
        ("1\tNYU\t1\t0\t9.5\t\tright\t\t2.0\t172.0\t\t2.5\tmore", "line 3"),
        ("1\tNYU\t\t0\t9.5\t\tright\t\t2.0\t172.0\t\t2.5", "line 3"),
    ],
)
def test_a_cell_that_is_none_of_its_column_is_refused_with_its_line(line, where, run):
    write_rows(run / SUBJECTS_FILE, [SUBJECT])
    with (run / SUBJECTS_FILE).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunFolderError, match=where) as refusal:
        read_rows(run, SUBJECTS_FILE, RunSubject)
    assert SUBJECTS_FILE in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "row", "column", "cell", "said"),
    [
        (
            PREDICTIONS_FILE,
            PREDICTION,
            "probability",
            "nan",
            "a finite number, found a number that is not fin",
        ),
        (PREDICTIONS_FILE, PREDICTION, "probability", "inf", "a finite number, found"),
        (PREDICTIONS_FILE, PREDICTION, "probability", "1e999", "a finite number, found"),
        (PREDICTIONS_FILE, PREDICTION, "probability", "5", "less than or equal to 1, found a larger number"),
        (PREDICTIONS_FILE, PREDICTION, "probability", "-0.1", "greater than or equal to 0, found a smaller"),
        (PREDICTIONS_FILE, PREDICTION, "probability", "0.35", "the probability of its logit, found another"),
        (PREDICTIONS_FILE, PREDICTION, "logit", "inf", "a finite number, found"),
        (PREDICTIONS_FILE, PREDICTION, "fold", "-1", "greater than or equal to 0, found"),
        (PREDICTIONS_FILE, PREDICTION, "called", "banana", "'case' or 'control', found another word"),
        (PREDICTIONS_FILE, PREDICTION, "called", "", "'case' or 'control', found an empty cell"),
        (PREDICTIONS_FILE, PREDICTION, "decision", "banana", "'case', 'control' or 'uncertain', found"),
        (SUBJECTS_FILE, SUBJECT, "label", "2", "less than or equal to 1, found a larger number"),
        (SUBJECTS_FILE, SUBJECT, "label", "", "a valid integer, found an empty cell"),
        (SUBJECTS_FILE, SUBJECT, "age_years", "nan", "a finite number, found"),
        (SUBJECTS_FILE, SUBJECT, "age_years", "-1e9", "greater than or equal to 0, found a smaller number"),
        (SUBJECTS_FILE, SUBJECT, "age_years", "nine", "a valid number, found no number"),
        (SUBJECTS_FILE, SUBJECT, "site", "", "a name, found an empty cell"),
        (SUBJECTS_FILE, SUBJECT, "sex", "banana", "'female' or 'male', found another word"),
        (SUBJECTS_FILE, SUBJECT, "iq", "1e300", "less than or equal to 250, found a larger number"),
        (
            SUBJECTS_FILE,
            SUBJECT,
            "spikes",
            "1e300",
            "less than or equal to 1000000000000000, found a larger number",
        ),
        (SUBJECTS_FILE, SUBJECT, "tr_s", "0", "greater than 0, found a number that is not"),
        (EPOCHS_FILE, EPOCH, "training_loss", "nan", "a finite number, found"),
        (EPOCHS_FILE, EPOCH, "training_loss", "-1", "greater than or equal to 0, found a smaller number"),
        (EPOCHS_FILE, EPOCH, "epoch", "1.5", "a valid integer, found no whole number"),
    ],
)
def test_a_cell_that_training_cannot_have_written_is_refused(name, row, column, cell, said, run):
    write_rows(run / name, [row, row])
    separator = "\t" if name.endswith(".tsv") else ","
    header, first, second = (run / name).read_text().splitlines()
    cells = second.split(separator)
    cells[header.split(separator).index(column)] = cell
    (run / name).write_text("\n".join([header, first, separator.join(cells)]) + "\n")
    with pytest.raises(RunFolderError) as refusal:
        read_rows(run, name, type(row))
    assert f"expected {column} in {name} to be {said}" in str(refusal.value)
    assert str(refusal.value).endswith(" in line 3")


@pytest.mark.parametrize(("logit", "probability"), [(800.0, 1.0), (-800.0, 0.0), (40.0, 1.0)])
def test_a_network_may_be_certain(logit, probability, run):
    certain = replace(PREDICTION, logit=logit, probability=probability, decision=None)
    write_rows(run / PREDICTIONS_FILE, [certain])
    assert read_rows(run, PREDICTIONS_FILE, Prediction) == [certain]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "no header"),
        (b"subject_id\tsite\n", "subject_id, site"),
        (b"\xff\xfe", "one that is not UTF-8 text"),
        (b"x" * 200_000, "field larger than field limit (131072)"),
        (None, "none"),
    ],
)
def test_another_table_is_refused(content, found, tmp_path):
    if content is not None:
        (tmp_path / SUBJECTS_FILE).write_bytes(content)
    with pytest.raises(RunFolderError, match=SUBJECTS_FILE) as refusal:
        read_rows(tmp_path, SUBJECTS_FILE, RunSubject)
    assert refusal.value.found == found


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "found none"),
        (b"\xff\xfe", "found one that is not UTF-8 text"),
        ("{", "found one that is not JSON"),
        (RECORD.model_dump_json().replace('"tiny"', "7"), "cohort_name in run.json to be .*, found 7"),
        (RECORD.model_dump_json().replace('"condition":"ADHD",', ""), "condition in run.json, found none"),
        (RECORD.model_dump_json().replace('"condition"', '"x":1,"condition"'), "knows in run.json, found x"),
        (RECORD.model_dump_json().replace('"C"', '"Z"'), "settings.network in run.json to be .*, found 'Z'"),
        (
            RECORD.model_dump_json().replace('"network"', '"folds":"x","network"'),
            "settings.folds in run.json to be a valid integer, found 'x'",
        ),
        (RECORD.model_dump_json().replace('["0","1"]', "[]"), "fold_names in run.json"),
        (RECORD.model_dump_json().replace('"format_version":1', '"format_version":2'), "format_version"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_by_what_is_wrong(content, found, tmp_path):
    if content is not None:
        (tmp_path / RUN_FILE).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(RunFolderError, match=found):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("threshold", "NaN", "threshold in folds/1/outcome.json to be a finite number, found nan"),
        ("threshold", "1.5", "less than or equal to 1, found 1.5"),
        ("temperature", "-3", "temperature in folds/1/outcome.json to be greater than 0, found -3"),
        ("offset", "Infinity", "a finite number, found inf"),
        ("n_test", "-1", "greater than or equal to 0, found -1"),
        ("best_epoch", "10", "best_epoch in folds/1/outcome.json to be at most epochs_run, 9, found 10"),
        ("conformal_quantiles", '{"level": 0.9}', "a level and the quantiles of control and adhd, found"),
        ("conformal_quantiles", '{"level": 2, "control": 1, "adhd": 1}', "conformal_quantiles.level in"),
    ],
)
def test_an_outcome_that_training_cannot_have_written_is_refused(field, value, said, tmp_path):
    folder = fold_folder(tmp_path, 1)
    folder.mkdir(parents=True)
    outcome = json.loads(OUTCOME.model_dump_json()) | {field: json.loads(value)}
    (folder / OUTCOME_FILE).write_text(json.dumps(outcome))
    with pytest.raises(RunFolderError) as refusal:
        read_outcome(tmp_path, 1)
    assert said in str(refusal.value)


def test_an_outcome_of_the_published_protocol_comes_back(tmp_path):
    published = {"offset": 0.0, "temperature": 1.0, "threshold": 0.5, "conformal_quantiles": None}
    outcome = OUTCOME.model_copy(update={**published, "n_stopping": 0, "n_calibration": 0})
    fold_folder(tmp_path, 1).mkdir(parents=True)
    write_json(fold_folder(tmp_path, 1) / OUTCOME_FILE, outcome)
    assert read_outcome(tmp_path, 1) == outcome


def test_a_fold_without_an_outcome_is_unfinished(tmp_path):
    with pytest.raises(RunFolderError, match=r"folds/3/outcome\.json"):
        read_outcome(tmp_path, 3)
