import math
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.runs import (
    EPOCHS_FILE,
    OUTCOME_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    FoldOutcome,
    InnerPrediction,
    Prediction,
    RunFolderError,
    RunRecord,
    RunSubject,
    fold_folder,
    read_outcome,
    read_rows,
    read_run,
    write_json,
    write_rows,
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

NUMBER = st.floats(allow_nan=False)
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
        age_years=st.none() | NUMBER,
        sex=st.none() | TEXT,
        handedness=st.none() | TEXT,
        iq=st.none() | NUMBER,
        tr_s=NUMBER,
        n_frames=NUMBER,
        dvars_mean=st.none() | NUMBER,
        spikes=st.none() | NUMBER,
    ),
    Prediction: st.builds(
        Prediction,
        subject_id=TEXT,
        fold=st.integers(0, 9),
        logit=NUMBER,
        probability=NUMBER,
        called=TEXT,
        decision=st.none() | TEXT,
    ),
    InnerPrediction: st.builds(
        InnerPrediction, subject_id=TEXT, fold=st.integers(0, 9), part=TEXT, logit=NUMBER
    ),
    EpochRecord: st.builds(
        EpochRecord,
        epoch=st.integers(1, 100),
        training_loss=NUMBER,
        stopping_loss=st.none() | NUMBER,
        stopping_auc=st.none() | NUMBER,
        learning_rate=NUMBER,
        seconds=NUMBER,
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


def test_not_a_number_stays_one(run):
    record = EpochRecord(
        epoch=1, training_loss=math.nan, stopping_loss=None, stopping_auc=None, learning_rate=1.0, seconds=1.0
    )
    write_rows(run / EPOCHS_FILE, [record])
    assert math.isnan(read_rows(run, EPOCHS_FILE, EpochRecord)[0].training_loss)


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


@pytest.mark.parametrize("content", [b"", b"subject_id\tsite\n", b"\xff\xfe"])
def test_another_table_is_refused(content, run):
    (run / SUBJECTS_FILE).write_bytes(content)
    with pytest.raises(RunFolderError, match=SUBJECTS_FILE):
        read_rows(run, SUBJECTS_FILE, RunSubject)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (None, "found none"),
        ("{", "its JSON"),
        (RECORD.model_dump_json().replace('"tiny"', "7"), "cohort_name"),
        (RECORD.model_dump_json().replace('"format_version":1', '"format_version":2'), "format_version"),
    ],
)
def test_a_folder_that_is_no_run_is_refused_by_what_is_wrong(content, found, tmp_path):
    if content is not None:
        (tmp_path / RUN_FILE).write_text(content)
    with pytest.raises(RunFolderError, match=found):
        read_run(tmp_path)


def test_a_fold_without_an_outcome_is_unfinished(tmp_path):
    with pytest.raises(RunFolderError, match=r"folds/3/outcome\.json"):
        read_outcome(tmp_path, 3)
