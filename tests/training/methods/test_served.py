"""A checkpoint of another method than the networks, from its training to its answers."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.special import expit

from imaging.native.preparing import prepare_any
from model.card import ModelCard, RegionsRecord, read_card
from model.checkpoint import load_checkpoint
from model.errors import (
    CheckpointMethodError,
    CheckpointMismatchError,
    ExplanationNotAvailableError,
    PreprocessingMismatchError,
)
from model.explanation import explain
from model.methods.scan_view import ScanView
from model.prediction import predict_scan
from model.predictor import Predictor
from tests.training.methods.tiny_ridge import TinyRidge, train_tiny_ridge
from training.challenge.answers import ask
from training.challenge.people import EvaluationSet
from training.run_files import read_rows
from training.runs import PREDICTIONS_FILE, Prediction

TENSOR = "members.1.region_of_voxel"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyRidge:
    return train_tiny_ridge(tmp_path_factory.mktemp("ridge"))


@pytest.fixture(scope="module")
def predictor(tiny: TinyRidge) -> Predictor:
    return Predictor.load(tiny.checkpoint)


@pytest.fixture
def view(tiny: TinyRidge) -> ScanView:
    [scan] = tiny.store.scans_of(tiny.store.subjects[0].subject_id)
    return ScanView(series=tiny.store.series(scan), spec=tiny.store.spec)


def test_everybody_gets_the_logit_that_cross_validation_reported(tiny, predictor):
    rows = read_rows(tiny.run, PREDICTIONS_FILE, Prediction)
    assert len(rows) == 24
    for row in rows:
        [scan] = tiny.store.scans_of(row.subject_id)
        seen = ScanView(series=tiny.store.series(scan), spec=tiny.store.spec)
        served = predictor.member_logits(seen)
        assert served.shape == (2, 1)
        # Who was reported by a fold was kept from that fold's member alone.
        assert served[row.fold, 0] == pytest.approx(row.logit, abs=1e-5)
    assert np.std([row.logit for row in rows]) > 1e-3, "nobody is told apart"


def test_an_answer_is_the_weighted_sum_of_fishers_z(tiny, predictor, view):
    stored = load_file(tiny.checkpoint)
    logits = []
    for member in range(2):
        region = stored[f"members.{member}.region_of_voxel"].numpy()
        series = np.asarray(view.series, dtype=np.float64)
        means = [series[:, region == number].mean(axis=1) for number in range(1, int(region.max()) + 1)]
        z = np.arctanh(np.corrcoef(means)[np.triu_indices(len(means), k=1)])
        weight, intercept = (stored[f"members.{member}.{name}"].numpy() for name in ("weight", "intercept"))
        logits.append(z @ weight + intercept[0])
    answer = predictor.classify_view(view, seed=1)
    np.testing.assert_allclose(answer.member_logits[:, 0], logits, atol=1e-4)
    expected = expit(np.mean(logits) / predictor.card.temperature)
    assert answer.adhd_probability == pytest.approx(expected, abs=1e-5)
    [window] = answer.windows
    assert (window.start_frame, window.probability) == (0, pytest.approx(expected, abs=1e-5))
    assert answer.interval.low <= expected <= answer.interval.high
    # The embedding is a projection of what the first member weighs.
    matrix = np.random.default_rng(int(predictor.sha256[:16], 16)).standard_normal((len(z), 16)) / 4
    np.testing.assert_allclose(answer.embedding, z @ matrix, atol=1e-3)


def test_the_same_scan_gets_the_same_answer_and_progress_is_told(predictor, view):
    told: list[tuple[str, float]] = []
    first, again = (
        predictor.classify_view(view, seed=3, progress=lambda *said: told.append(said)) for _ in range(2)
    )
    assert first.interval == again.interval
    assert first.embedding == again.embedding
    assert told == [("classifying", 0.5), ("classifying", 1.0)] * 2


def test_a_scan_prepared_in_another_way_is_refused(predictor, view):
    other = ScanView(series=view.series, spec=type(view.spec)(window_frames=7))
    with pytest.raises(PreprocessingMismatchError):
        predictor.classify_view(other, seed=0)


def test_a_scan_file_is_predicted_and_the_answer_says_by_what(predictor, simulated_scan):
    found = predict_scan(simulated_scan, predictor).to_json()
    assert found["model"] == {
        "name": "tiny ridge-connectivity",
        "version": predictor.card.version,
        "method": "ridge-connectivity",
        "network": None,
        "rnn": None,
        "members": 2,
        "trained_on": predictor.card.trained_on,
        "intended_use": "demonstration",
    }
    assert found["computed_with"] == {"device": "cpu", "backend": "numpy"}
    assert [window["start_frame"] for window in found["windows"]] == [0]
    assert found["windows"][0]["probability"] == pytest.approx(found["adhd_probability"])
    assert found["decision"] in {"adhd", "control", "uncertain"}


def test_no_map_is_made_of_it(predictor, simulated_scan):
    prepared = prepare_any(simulated_scan, predictor.spec)
    with pytest.raises(ExplanationNotAvailableError) as refused:
        explain(predictor, prepared.network_input)
    assert refused.value.details() == {"method": "ridge-connectivity"}


def test_it_is_judged_on_an_evaluation_set(tiny, predictor):
    evaluation = EvaluationSet.of(tiny.store, tiny.store.subjects)
    answers = ask(load_checkpoint(tiny.checkpoint), evaluation, device="cpu")
    assert (answers.backend, answers.backend_difference) == ("numpy", 0.0)
    for person, probability in zip(evaluation.people, answers.probabilities, strict=True):
        logit = predictor.member_logits(ScanView(series=person.series[0], spec=tiny.store.spec)).mean()
        assert probability == pytest.approx(expit(logit / predictor.card.temperature))


def rewritten(
    source: Path, folder: Path, *, card: dict[str, object] | None = None, **tensors: torch.Tensor
) -> Path:
    """Write a checkpoint with another card or other tensors."""
    path = shutil.copy(source, folder / "changed.safetensors")
    said = ModelCard.model_validate(read_card(source).model_dump() | (card or {}))
    save_file(load_file(source) | tensors, path, metadata={"card": said.model_dump_json()})
    return path


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda region: region + (region > 0), "numbers from 2 to"),
        (lambda region: torch.where(region == 5, 1000.0, region), "to 1000"),
        (lambda region: torch.where(region == 5, 0.0, region), "222 numbers from 1 to 223"),
        (lambda region: region + 0.25, "numbers from 0.25"),
        (lambda region: -region, "numbers from -223"),
        (torch.zeros_like, "of no region"),
        (lambda region: region.flip(0), "others, with sha256"),
    ],
)
def test_regions_that_are_not_those_of_the_card_are_refused(tiny, tmp_path, change, found):
    path = rewritten(tiny.checkpoint, tmp_path, **{TENSOR: change(load_file(tiny.checkpoint)[TENSOR])})
    with pytest.raises(CheckpointMismatchError, match=found):
        load_checkpoint(path)


def test_a_card_without_the_regions_that_its_method_reads_is_refused(tiny, tmp_path):
    with pytest.raises(CheckpointMismatchError, match="expected the regions of the method"):
        load_checkpoint(rewritten(tiny.checkpoint, tmp_path, card={"regions": None}))
    more = RegionsRecord(name="cubes", n_regions=224, sha256="0" * 64)
    with pytest.raises(CheckpointMismatchError, match="of shape"):
        load_checkpoint(rewritten(tiny.checkpoint, tmp_path, card={"regions": more}))
    # Its method is another: the tensors are none of a network's.
    with pytest.raises(CheckpointMismatchError):
        load_checkpoint(rewritten(tiny.checkpoint, tmp_path, card={"method": "network", "regions": None}))
    with pytest.raises(CheckpointMismatchError, match="expected no regions of the method 'network'"):
        load_checkpoint(rewritten(tiny.checkpoint, tmp_path, card={"method": "network"}))


def test_a_method_of_another_version_is_named(tiny, tmp_path):
    content = tiny.checkpoint.read_bytes()
    assert content.count(b'\\"method\\":\\"ridge-connectivity\\"') == 1
    path = tmp_path / "newer.safetensors"
    path.write_bytes(content.replace(b'"ridge-connectivity\\"', b'"ridge-conjectivity\\"', 1))
    for read in (read_card, load_checkpoint):
        with pytest.raises(CheckpointMethodError, match="'ridge-conjectivity'") as refused:
            read(path)
        assert "network" in refused.value.details()["expected"]
