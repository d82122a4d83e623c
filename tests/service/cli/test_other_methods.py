"""A checkpoint of another method than the networks, on the command line."""

from pathlib import Path

import pytest

from tests.model.tissue_model import write_tissue_model
from tests.training.methods.tiny_ridge import train_tiny_ridge


@pytest.fixture(scope="module")
def ridge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny_ridge(tmp_path_factory.mktemp("ridge")).checkpoint


def test_it_predicts_and_says_what_it_is(restnet_json, simulated_scan, ridge):
    status, [answer] = restnet_json("predict", simulated_scan, "--checkpoint", ridge)
    assert status == 0
    assert (answer["model"]["method"], answer["model"]["network"]) == ("ridge-connectivity", None)
    assert answer["computed_with"]["backend"] == "numpy"
    assert len(answer["windows"]) == 1


def test_it_is_not_explained_and_nothing_is_left_behind(restnet_json, simulated_scan, ridge, tmp_path):
    # A file that is no scan: it is refused before anything is read.
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(b"no scan at all")
    status, told = restnet_json("explain", damaged, "--checkpoint", ridge, "--out", tmp_path / "map.nii")
    assert (status, told["error"]["code"]) == (2, "explanation_not_available")
    assert "'ridge-connectivity'" in told["error"]["message"]
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.nii.gz"]


def test_what_reads_tissues_is_neither_asked_nor_imported(restnet_json, simulated_scan, tmp_path):
    checkpoint = write_tissue_model(tmp_path / "tissues.safetensors")
    at = ("--data-dir", tmp_path / "data")
    for words in (
        ("predict", simulated_scan, "--checkpoint", checkpoint),
        ("models", "import", checkpoint, *at),
    ):
        status, told = restnet_json(*words)
        assert (status, told["error"]["code"], told["error"]["method"]) == (2, "method_needs_t1w", "mkl-t1w")
        assert "T1-weighted image" in told["error"]["message"]
    assert restnet_json("models", "list", *at) == (0, [])


def test_the_list_of_models_says_its_title_beside_a_network(restnet, restnet_json, ridge, tmp_path):
    at = ("--data-dir", tmp_path / "data")
    for checkpoint in ((), (ridge,)):
        assert restnet_json("models", "import", *checkpoint, *at)[0] == 0
    _, [network, other] = restnet_json("models", "list", *at)
    assert (network["method"], network["network"], network["rnn"]) == ("network", "C", "lstm")
    assert (other["method"], other["network"], other["rnn"]) == ("ridge-connectivity", None, None)
    _, table, _ = restnet("models", "list", *at)
    assert "C with Bi-LSTM" in table
    assert "Ridge on connectivity" in table
