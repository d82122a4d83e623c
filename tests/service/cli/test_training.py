import json
import shutil

import pytest

from service.cli.training_display import FoldDisplay, standing
from tests.training.evidence.report.made_up_runs import made_up_run
from tests.training.validation.tiny_cohorts import tiny_store
from training.fitting.progress import FitProgress
from training.run_files import read_rows
from training.runs import CHECKPOINT_FILE, RUN_FILE, SUBJECTS_FILE, RunSubject, read_outcome, read_run

TOML = """
folds = 2
epochs = 7
batch_size = 4
inner_stopping = 0.25
inner_calibration = 0.25
learning_rate = 1e-3
"""
QUICK = ("--width", 1, "--epochs", 1, "--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("cohorts") / "cohort").folder


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def trained(cohort, config, tmp_path_factory):
    """A run made by the command, and what the command printed."""
    import sys
    from contextlib import redirect_stdout
    from io import StringIO

    from service.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", cohort, "--config", config, "--out", out, *QUICK, "--json"]
    printed = StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(printed):
        patched.setattr(sys, "argv", ["restnet", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            main()
    assert not end.value.code
    return out, json.loads(printed.getvalue())


def test_the_summary_is_the_runs_own(trained):
    run, summary = trained
    assert (summary["run"], summary["cohort"], summary["selection"]) == (str(run), "tiny", "all")
    assert (summary["n_subjects"], summary["n_cases"], summary["split"]) == (16, 8, "stratified")
    assert [fold["n_test"] for fold in summary["folds"]] == [8, 8]
    assert set(summary["metrics"]) >= {"accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc"}
    assert sum(summary["metrics"]["confusion"].values()) == 16
    assert summary["checkpoint"]["file"] == CHECKPOINT_FILE
    assert summary["checkpoint"]["intended_use"] == "demonstration"


def test_options_win_over_the_file_and_the_file_over_the_defaults(trained):
    run, summary = trained
    settings = read_run(run).settings
    assert settings == summary["settings"]
    assert settings["epochs"] == 1, "an option"
    assert (settings["folds"], settings["batch_size"]) == (2, 4), "the file"
    assert (settings["network"], settings["rnn"], settings["patience"]) == ("C", "lstm", 5), "the defaults"


def test_a_second_cohort_is_trained_on_and_not_measured(restnet, restnet_json, cohort, config, tmp_path):
    from tests.training.validation.test_added import others

    more = others(tmp_path / "others").folder
    words = ("train", cohort, "--config", config, "--add-training", more, *QUICK)
    status, summary = restnet_json(*words, "--out", tmp_path / "run")
    assert status == 0
    assert summary["n_subjects"] == sum(summary["metrics"]["confusion"].values()) == 16
    assert (summary["added"]["name"], summary["added"]["n_subjects"]) == ("others", 5)
    assert [fold["n_added"] for fold in summary["folds"]] == [5, 5]
    status, out, _ = restnet(*words, "--out", tmp_path / "run")
    assert status == 0
    assert "Added to every fold's training: 5; left out: nobody" in out
    status, refusal = restnet_json(*words[:4], "--add-training", cohort, *QUICK, "--out", tmp_path / "same")
    assert (status, refusal["n_subjects"], refusal["added"]) == (0, 16, None)


def test_the_checkpoint_answers_for_a_scan(trained, restnet_json, simulated_scan):
    run, _ = trained
    status, answers = restnet_json("predict", simulated_scan, "--checkpoint", run / CHECKPOINT_FILE)
    assert status == 0
    answer = answers[0]
    assert 0 < answer["adhd_probability"] < 1
    assert answer["decision"] == "uncertain", "eight calibration subjects promise nothing"
    assert answer["model"]["members"] == 2
    assert "16 simulated subjects" in answer["model"]["trained_on"]


def test_the_same_command_again_only_says_what_there_is(trained, cohort, config, restnet):
    run, summary = trained
    before = (run / CHECKPOINT_FILE).read_bytes()
    status, out, err = restnet("train", cohort, "--config", config, "--out", run, *QUICK)
    assert status == 0
    assert "C-lstm fold 1 of 2 finished: 1 epoch, weights of epoch 1" in err
    assert "C-lstm fold 2 of 2 finished" in err
    assert f"{summary['metrics']['auc']['value']:.3f}" in out
    assert "16 simulated subjects" in out
    assert f"restnet report {run}" in out
    assert (run / CHECKPOINT_FILE).read_bytes() == before


def test_another_command_on_the_same_folder_is_refused_by_name(trained, cohort, config, restnet_json):
    run, _ = trained
    status, answer = restnet_json(
        "train", cohort, "--config", config, "--out", run, *QUICK, "--seed", 5, "--protocol", "paper"
    )
    assert status == 2
    assert answer["error"]["code"] == "run_differs"
    differences = {one["field"]: one["expected"] for one in answer["error"]["differences"]}
    assert differences == {"protocol": "paper", "seed": 5}


def test_filters_choose_who_takes_part(cohort, config, restnet_json, tmp_path):
    run = tmp_path / "run"
    where = ("--where", "age<=20", "--where", "age>=9")
    status, summary = restnet_json(
        "train", cohort, "--config", config, "--out", run, *QUICK, *where, "--protocol", "paper"
    )
    assert status == 0
    assert summary["selection"] == "all where age<=20 and age>=9"
    ages = [one.age_years for one in read_rows(run, SUBJECTS_FILE, RunSubject)]
    assert (min(ages), max(ages), len(ages)) == (9, 20, 12)


def test_a_site_is_left_out_when_asked(cohort, config, restnet, tmp_path):
    run = tmp_path / "run"
    status, _, err = restnet("train", cohort, "--config", config, "--out", run, *QUICK, "--leave-site-out")
    assert status == 0
    assert "fold KKI, 1 of 2 finished" in err
    assert read_run(run).fold_names == ["KKI", "NYU"]


def test_all_trains_the_grid(cohort, config, restnet_json, tmp_path):
    status, answer = restnet_json(
        "train",
        cohort,
        "--config",
        config,
        "--out",
        tmp_path / "grid",
        *QUICK,
        "--network",
        "D",
        "--rnn",
        "all",
    )
    assert status == 0
    assert [run["run"] for run in answer["runs"]] == [
        str(tmp_path / "grid" / name) for name in ("D-lstm", "D-gru")
    ]
    assert [run["settings"]["rnn"] for run in answer["runs"]] == ["lstm", "gru"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--select", "test"], "selection_needs_release"),
        (["--select", "everybody"], "selection_unknown"),
        (["--where", "shoe_size>40"], "selection_filter_invalid"),
        (["--folds", 1], "training_settings_invalid"),
        (["--folds", 9], "fold_without_class"),
        (["--epochs", 0], "training_settings_invalid"),
        (["--where", "age<=8"], "one_class_only"),
        (["--network", "E"], "usage"),
        (["--processes", 0], "usage"),
        (["--leave-site-out", "--folds", 3], "usage"),
        (["--config", "no-such.toml"], "training_settings_invalid"),
    ],
)
def test_what_cannot_be_done_is_refused_and_leaves_nothing(words, code, cohort, restnet_json, tmp_path):
    status, answer = restnet_json("train", cohort, "--out", tmp_path / "run", *QUICK, *words)
    assert (status, answer["error"]["code"]) == (2, code)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_cohort_is_refused(restnet_json, tmp_path):
    status, answer = restnet_json("train", tmp_path, "--out", tmp_path / "run", *QUICK)
    assert (status, answer["error"]["code"]) == (2, "cohort_not_found")


def test_stopped_by_hand_says_how_to_go_on(trained, cohort, config, restnet, monkeypatch, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run)
    assert (run / RUN_FILE).exists()

    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("training.validation.cross_validation.gather_predictions", stopped)
    status, out, err = restnet("train", cohort, "--config", config, "--out", run, *QUICK)
    assert (status, out) == (130, "")
    assert "The same command goes on where it stopped." in err


@pytest.mark.parametrize(
    ("watched", "expected"),
    [
        (None, "epoch 3/100, loss 0.612, at most 1:02:05 left"),
        (0.65, "epoch 3/100, loss 0.612, watched 0.650, at most 1:02:05 left"),
    ],
)
def test_the_live_line_says_epoch_losses_and_time(watched, expected):
    progress = FitProgress(
        epoch=3,
        n_epochs=100,
        batch=2,
        n_batches=9,
        training_loss=0.6124,
        stopping_loss=watched,
        remaining_s=3725.2,
    )
    assert standing(progress) == expected


def test_the_live_line_counts_scans_while_frames_are_read():
    progress = FitProgress(
        epoch=0,
        n_epochs=20,
        batch=12,
        n_batches=400,
        training_loss=None,
        stopping_loss=None,
        remaining_s=None,
    )
    assert standing(progress) == "reading frames, scan 12/400"
    assert progress.share_done == 0.0


def test_a_fold_is_named_by_what_is_trained_and_says_what_that_took(tmp_path, capsys):
    network = made_up_run(tmp_path / "A-gru", n=40, network="A", rnn="gru")
    linear = made_up_run(tmp_path / "linear", n=40, method="ridge-connectivity")
    display = FoldDisplay(shown=True)
    for run in (network, linear):
        display.finish(run, 1, read_outcome(run, 1))
    first, second = capsys.readouterr().err.splitlines()
    assert first == "A-gru fold 2 of 5 finished: 24 epochs, weights of epoch 19"
    assert second == "ridge-connectivity fold 2 of 5 finished: solved in 26.3 s"
