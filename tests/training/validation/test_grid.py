import pytest

from tests.training.validation.tiny_cohorts import QUICK, tiny_store
from training.fitting.settings import TrainingSettingsError
from training.fitting.steps import TrainingDivergedError
from training.runs import CHECKPOINT_FILE, SUBJECTS_FILE, read_run
from training.validation.cross_validation import train_run
from training.validation.grid import SYSTEMS, grid_settings, train_grid
from training.validation.run_folder import RunFolderTakenError

EIGHT = ["A-lstm", "B-lstm", "C-lstm", "D-lstm", "A-gru", "B-gru", "C-gru", "D-gru"]


def test_the_grid_is_the_eight_published_networks_and_every_method_alike_in_all_else():
    grid = grid_settings(list(SYSTEMS), overrides={"folds": 3, "seed": 7, "epochs": 9, "width": 4})
    assert list(grid)[:8] == EIGHT
    assert "ridge-connectivity" in grid
    for name, settings in grid.items():
        assert settings.system == name
        assert (settings.folds, settings.seed) == (3, 7)
    assert {(grid[name].epochs, grid[name].width) for name in EIGHT} == {(9, 4)}
    # What a method does not obey is passed over where several are asked for.
    assert grid["ridge-connectivity"].epochs == 1


def test_what_no_system_knows_is_refused_in_a_grid_too():
    with pytest.raises(TrainingSettingsError, match="known names"):
        grid_settings(["C-lstm"], overrides={"no_such": 1})


def test_every_network_gets_a_folder_with_the_same_folds_and_what_is_done_is_not_done_again(tmp_path):
    store = tiny_store(tmp_path / "cohort")
    asked = QUICK.model_dump(include={"width", "folds", "batch_size"}) | {"epochs": 1, "protocol": "paper"}
    heard = []

    def train(of_network, folder):
        return train_run(
            store,
            store.subjects,
            settings=of_network,
            out=folder,
            device="cpu",
            progress=lambda fold, _: heard.append(fold),
        )

    grid = grid_settings(["C-gru", "D-gru"], overrides=asked)
    arguments = {"out": tmp_path / "grid", "train": train}
    runs = train_grid(grid, **arguments)
    assert [run.name for run in runs] == ["C-gru", "D-gru"]
    assert [read_run(run).settings["network"] for run in runs] == ["C", "D"]
    folds = [(run / SUBJECTS_FILE).read_bytes() for run in runs]
    assert folds[0] == folds[1]
    assert all((run / CHECKPOINT_FILE).exists() for run in runs)
    assert heard
    heard.clear()
    assert train_grid(grid, **arguments) == runs
    assert heard == []
    with pytest.raises(RunFolderTakenError, match="a single run"):
        train_grid(grid, **{**arguments, "out": runs[0]})


def train_or_fail(faults, *, out, **options):
    """Train three systems in name only, of which some fail: (what was trained, what was told of failures)."""
    told = []

    def train(settings, folder):
        if settings.system in faults:
            raise faults[settings.system]
        return folder

    def failed(name, error):
        told.append((name, error))

    systems = grid_settings(["C-lstm", "ridge-connectivity", "mkl"])
    return train_grid(systems, out=out, train=train, **({"failed": failed} | options)), told


def test_a_system_that_fails_is_told_and_stops_no_other(tmp_path):
    diverged, ours = TrainingDivergedError(epoch=1, loss="training", found=1.0), MemoryError()
    runs, told = train_or_fail({"C-lstm": diverged, "mkl": ours}, out=tmp_path)
    assert runs == [tmp_path / "ridge-connectivity"]
    assert told == [("C-lstm", diverged), ("mkl", ours)]


def test_ctrl_c_stops_every_system_at_once(tmp_path):
    told = []
    with pytest.raises(KeyboardInterrupt):
        train_or_fail({"C-lstm": KeyboardInterrupt()}, out=tmp_path, failed=lambda *what: told.append(what))
    assert told == []


def test_where_nobody_hears_of_a_failure_it_stops_the_others(tmp_path):
    with pytest.raises(MemoryError):
        train_or_fail({"C-lstm": MemoryError()}, out=tmp_path, failed=None)
