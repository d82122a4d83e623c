import pytest

from tests.training.validation.tiny_cohorts import QUICK, tiny_store
from training.runs import CHECKPOINT_FILE, SUBJECTS_FILE, read_run
from training.validation.cross_validation import train_run
from training.validation.grid import NETWORKS, RNNS, grid_settings, train_grid
from training.validation.run_folder import RunFolderTakenError


def test_the_grid_is_the_eight_published_networks_alike_in_all_else():
    grid = grid_settings(QUICK, networks=NETWORKS, rnns=RNNS)
    assert list(grid) == ["A-lstm", "B-lstm", "C-lstm", "D-lstm", "A-gru", "B-gru", "C-gru", "D-gru"]
    for name, settings in grid.items():
        assert f"{settings.network}-{settings.rnn}" == name
        assert settings.model_copy(update={"network": "C", "rnn": "lstm"}) == QUICK


def test_every_network_gets_a_folder_with_the_same_folds_and_what_is_done_is_not_done_again(tmp_path):
    store = tiny_store(tmp_path / "cohort")
    settings = QUICK.model_copy(update={"epochs": 1, "protocol": "paper"})
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

    arguments = {"networks": ("C", "D"), "rnns": ("gru",), "out": tmp_path / "grid", "train": train}
    runs = train_grid(settings, **arguments)
    assert [run.name for run in runs] == ["C-gru", "D-gru"]
    assert [read_run(run).settings["network"] for run in runs] == ["C", "D"]
    folds = [(run / SUBJECTS_FILE).read_bytes() for run in runs]
    assert folds[0] == folds[1]
    assert all((run / CHECKPOINT_FILE).exists() for run in runs)
    assert heard
    heard.clear()
    assert train_grid(settings, **arguments) == runs
    assert heard == []
    with pytest.raises(RunFolderTakenError, match="a single run"):
        train_grid(settings, **{**arguments, "out": runs[0]})
