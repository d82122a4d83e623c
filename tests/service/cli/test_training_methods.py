"""``restnet train --method``: what is left out, what is refused, and what a run of another method says."""

import inspect
import json

import nibabel as nib
import numpy as np
import pytest

from service.cli.training import train
from tests.training.methods.tiny_methods import CUBE, write_atlas, write_people
from training.fitting.settings import OPTIONS_ALONE, TrainingSettings
from training.fitting.steps import TrainingDivergedError
from training.methods import possible
from training.runs import CHECKPOINT_FILE, RUN_FILE, read_run
from training.validation import fold, grid

TOML = "folds = 2\nbatch_size = 3\ninner_stopping = 0.25\ninner_calibration = 0.25\n"
QUICK = ("--epochs", 1, "--width", 1, "--device", "cpu", "--threads", 1)
SOLVED = ("--device", "cpu", "--threads", 1)
FEW = ("ridge-connectivity", "svm-reho", "bolt")


@pytest.fixture(scope="module")
def without_maps(tmp_path_factory):
    return write_people(tmp_path_factory.mktemp("cohorts") / "cohort", with_maps=False, n_frames=19).folder


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.toml"
    path.write_text(TOML)
    return path


@pytest.fixture(scope="module")
def solved_config(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "solved.toml"
    path.write_text("folds = 2\ninner_calibration = 0.25\n")
    return path


@pytest.fixture(scope="module")
def atlas(tmp_path_factory):
    return write_atlas(tmp_path_factory.mktemp("atlas") / "eighths.nii")


@pytest.fixture
def few(monkeypatch):
    """Let all be three systems: two of them cannot read the cohort."""
    systems = {name: grid.SYSTEMS[name] for name in FEW}
    monkeypatch.setattr(grid, "SYSTEMS", systems)


def test_one_method_is_trained_and_says_which(without_maps, solved_config, atlas, restnet_json, tmp_path):
    words = ("train", without_maps, "--config", solved_config, "--method", "ridge-connectivity")
    status, summary = restnet_json(*words, "--regions", atlas, *SOLVED, "--out", tmp_path / "run")
    assert status == 0
    assert (summary["system"], summary["n_parameters"]) == ("ridge-connectivity", 29)
    assert read_run(tmp_path / "run").regions.name == "eighths"
    assert (tmp_path / "run" / CHECKPOINT_FILE).exists()
    status, refusal = restnet_json(*words, *SOLVED, "--out", tmp_path / "run")
    assert (status, refusal["error"]["code"]) == (2, "run_differs"), "other regions are another run"


def test_of_all_those_that_are_impossible_are_left_out_and_named(
    few, without_maps, config, atlas, restnet_json, restnet, tmp_path
):
    words = ("train", without_maps, "--config", config, "--method", "all", "--regions", atlas, *QUICK)
    status, answer = restnet_json(*words, "--out", tmp_path / "grid")
    assert status == 0
    assert [run["system"] for run in answer["runs"]] == ["ridge-connectivity"]
    assert {name: why["code"] for name, why in answer["left_out"].items()} == {
        "svm-reho": "cohort_without_maps",
        "bolt": "too_few_time_points",
    }
    assert answer["left_out"]["bolt"]["found"] == 19
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["ridge-connectivity"]
    status, _, err = restnet(*words, "--out", tmp_path / "grid")
    assert status == 0
    assert "Left out: bolt: expected at least 20 time points for BolT, found 19 (too_few_time_points)" in err
    assert "Left out: svm-reho: " in err


@pytest.mark.parametrize(
    ("words", "left_out"),
    [
        (("--where", "age<12", "--protocol", "paper"), {"ridge-connectivity": "too_few_to_split"}),
        (
            ("--where", "age<16"),
            {"mean-mlp": "inner_part_without_class", "ridge-connectivity": "too_few_to_split"},
        ),
    ],
    ids=["one to solve on", "two of a class"],
)
def test_who_has_too_few_people_is_left_out_before_the_first_is_trained(
    words, left_out, monkeypatch, without_maps, solved_config, restnet_json, tmp_path
):
    names = ("mean-mlp", "learned-regions-mlp", "ridge-connectivity")
    monkeypatch.setattr(grid, "SYSTEMS", {name: grid.SYSTEMS[name] for name in names})
    asked = ("train", without_maps, "--config", solved_config, "--method", "all", *words, *QUICK)
    status, answer = restnet_json(*asked, "--out", tmp_path / "grid")
    assert status == 0
    assert {name: why["code"] for name, why in answer["left_out"].items()} == left_out
    trained = [name for name in names if name not in left_out]
    assert [run["system"] for run in answer["runs"]] == trained
    assert sorted(path.name for path in (tmp_path / "grid").iterdir()) == sorted(trained)


def test_too_few_people_for_every_system_are_refused_as_for_the_first(
    monkeypatch, without_maps, solved_config, restnet_json, tmp_path
):
    names = ("mean-mlp", "ridge-connectivity")
    monkeypatch.setattr(grid, "SYSTEMS", {name: grid.SYSTEMS[name] for name in names})
    words = ("train", without_maps, "--config", solved_config, "--method", "all", "--where", "age<16", *QUICK)
    status, answer = restnet_json(*words, "--out", tmp_path / "grid")
    assert (status, answer["error"]["code"]) == (2, "inner_part_without_class")
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_is_left_of_all_that_is_refused(
    monkeypatch, without_maps, config, restnet_json, tmp_path
):
    monkeypatch.setattr(grid, "SYSTEMS", {"svm-reho": grid.SYSTEMS["svm-reho"]})
    words = ("train", without_maps, "--config", config, "--method", "all", *QUICK)
    status, answer = restnet_json(*words, "--out", tmp_path / "grid")
    assert (status, answer["error"]["code"]) == (2, "cohort_without_maps")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def failing(monkeypatch):
    """Let all be two systems, and what is fitted of the first fail as is asked."""
    names = ("logistic-connectivity", "ridge-connectivity")
    monkeypatch.setattr(grid, "SYSTEMS", {name: grid.SYSTEMS[name] for name in names})
    fit_model = fold.fit_model

    def let_fail(fault):
        def fit(settings, *arguments, **options):
            if settings.method == names[0] and fault is not None:
                raise fault
            return fit_model(settings, *arguments, **options)

        monkeypatch.setattr(fold, "fit_model", fit)

    return let_fail


@pytest.mark.parametrize(
    ("fault", "expected", "code"),
    [
        (TrainingDivergedError(epoch=1, loss="training", found=1.0), 2, "training_diverged"),
        (MemoryError(), 1, "internal_error"),
    ],
)
def test_of_all_one_that_fails_is_named_and_the_others_are_trained(
    fault, expected, code, failing, without_maps, solved_config, atlas, restnet, restnet_json, tmp_path
):
    words = ("train", without_maps, "--config", solved_config, "--method", "all", "--regions", atlas, *SOLVED)
    out = tmp_path / "grid"
    failing(fault)
    status, answer = restnet_json(*words, "--out", out)
    assert (status, answer["error"]["code"]) == (expected, "systems_failed")
    [failed] = answer["error"]["failed"]
    assert (failed["run"], failed["code"]) == (str(out / "logistic-connectivity"), code)
    assert answer["error"]["folds"] == []
    assert [(out / name / CHECKPOINT_FILE).exists() for name in grid.SYSTEMS] == [False, True]

    status, printed, told = restnet(*words, "--out", out)
    assert status == expected
    assert "ridge-connectivity: ridge-connectivity, " in printed
    first, *_, last = told.splitlines()
    assert first.startswith("logistic-connectivity failed: ")
    assert first.endswith(f"[{code}]")
    assert f"logistic-connectivity ({code}); the same command tries them again  [systems_failed]" in last
    assert "Traceback" not in told

    failing(None)
    status, answer = restnet_json(*words, "--out", out)
    assert (status, [run["system"] for run in answer["runs"]]) == (0, list(grid.SYSTEMS))


def test_of_all_ctrl_c_stops_the_others_too(failing, without_maps, solved_config, atlas, restnet, tmp_path):
    failing(KeyboardInterrupt())
    words = ("train", without_maps, "--config", solved_config, "--method", "all", "--regions", atlas, *SOLVED)
    status, printed, told = restnet(*words, "--out", tmp_path / "grid")
    assert (status, printed) == (130, "")
    assert told == "Stopped. The same command goes on where it stopped.\n"
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["logistic-connectivity"]


def test_of_all_nothing_more_is_trained_where_nobody_reads(
    failing, without_maps, solved_config, atlas, restnet, tmp_path
):
    failing(BrokenPipeError())
    words = ("train", without_maps, "--config", solved_config, "--method", "all", "--regions", atlas, *SOLVED)
    assert restnet(*words, "--out", tmp_path / "grid")[0] == 1
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["logistic-connectivity"]


def test_where_a_fault_of_ours_lies_is_shown_where_that_is_asked_for(
    failing, without_maps, solved_config, atlas, restnet, tmp_path
):
    failing(MemoryError())
    words = ("train", without_maps, "--config", solved_config, "--method", "all", "--regions", atlas, *SOLVED)
    status, printed, told = restnet("--debug", *words, "--out", tmp_path / "grid")
    assert (status, "ridge-connectivity: ridge-connectivity, " in printed) == (1, True)
    assert "Traceback" in told


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("svm-reho", "cohort_without_maps"),
        ("mkl", "cohort_without_maps"),
        ("zou-3d-cnn", "cohort_without_maps"),
        ("bolt", "too_few_time_points"),
        ("no-such", "usage"),
    ],
)
def test_one_method_that_is_impossible_is_refused_before_anything_is_written(
    method, code, without_maps, restnet_json, tmp_path
):
    words = ("train", without_maps, "--method", method, "--folds", 2, *SOLVED)
    status, answer = restnet_json(*words, "--out", tmp_path / "run")
    assert (status, answer["error"]["code"]) == (2, code)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("c-lstm", "'C-lstm'"),
        ("ALL", "'all'"),
        ("ridge", "'ridge-connectivity'"),
        ("ReHo", "'svm-reho'"),
        ("svm", "'svm-reho' or 'svm-falff'"),
        ("lstm", "'A-lstm' or 'B-lstm' or 'C-lstm'"),
        ("D-lstn", "'D-lstm'"),
        ("no-such", None),
        ("", None),
    ],
)
def test_a_method_that_is_not_known_is_refused_with_those_that_may_be_meant(
    typed, meant, without_maps, restnet_json, tmp_path
):
    status, answer = restnet_json("train", without_maps, "--method", typed, "--out", tmp_path / "run")
    assert (status, answer["error"]["code"]) == (2, "usage")
    said = answer["error"]["message"]
    if meant is None:
        assert said.endswith(f"found {typed!r}")
    else:
        assert said.endswith(f"found {typed!r}, perhaps {meant} is meant")


def test_options_that_no_file_holds_are_those_of_the_command_which_are_no_settings():
    options = set(inspect.signature(train).parameters) - TrainingSettings.model_fields.keys()
    assert options - {"cohort", "as_json"} == OPTIONS_ALONE


def test_a_package_that_is_missing_is_named(without_maps, restnet_json, tmp_path, monkeypatch):
    monkeypatch.setattr(possible, "find_spec", lambda _name: None)
    words = ("train", without_maps, "--method", "mean-mlp", "--folds", 2, *SOLVED)
    status, answer = restnet_json(*words, "--out", tmp_path / "run")
    assert (status, answer["error"]["code"]) == (2, "methods_not_installed")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "asked", [("--network", "C"), ("--method", "C-gru"), ("--method", "svm-reho"), ("--network", "all"), ()]
)
def test_regions_that_no_system_reads_are_refused(asked, without_maps, restnet_json, tmp_path):
    words = ("train", without_maps, *asked, "--regions", "cubes", *SOLVED)
    status, answer = restnet_json(*words, "--out", tmp_path / "run")
    assert (status, answer["error"]["code"]) == (2, "usage")
    assert "--regions has no effect" in answer["error"]["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("one region", "atlas_single_region"),
        ("halves", "atlas_not_labels"),
        ("text", "not_nifti"),
        (None, "path_not_usable"),
    ],
)
def test_an_atlas_that_is_none_is_refused_before_the_first_of_many(
    content, code, few, without_maps, config, restnet_json, tmp_path_factory, tmp_path
):
    path = tmp_path_factory.mktemp("atlas") / "atlas.nii"
    image = np.zeros(CUBE.mask.shape, dtype=np.float32)
    image[CUBE.mask] = 0.5 if content == "halves" else 1
    if content in ("one region", "halves"):
        nib.save(nib.Nifti1Image(image, CUBE.affine), path)
    elif content is not None:
        path.write_text(content * 200)
    words = ("train", without_maps, "--config", config, "--method", "all", "--regions", path, *QUICK)
    status, answer = restnet_json(*words, "--out", tmp_path / "grid")
    assert (status, answer["error"]["code"]) == (2, code)
    assert list(tmp_path.iterdir()) == []


def test_what_a_run_is_to_do_says_its_method_and_regions(without_maps, solved_config, restnet, tmp_path):
    run = tmp_path / "run"
    words = ("train", without_maps, "--config", solved_config, "--method", "logistic-connectivity", *SOLVED)
    status, out, _ = restnet(*words, "--out", run)
    assert status == 0
    assert "logistic-connectivity" in out
    record = json.loads((run / RUN_FILE).read_text())
    assert record["settings"]["method"] == "logistic-connectivity"
    assert record["regions"]["name"] == "cubes"
