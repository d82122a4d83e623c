import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from imaging import PreprocessingSpec
from model.checkpoint import load_checkpoint
from model.errors import (
    CheckpointError,
    CheckpointMismatchError,
    DeviceUnavailableError,
    PreprocessingMismatchError,
)
from model.methods.scan_view import ScanView
from model.predictor import Predictor


@pytest.fixture
def predictor(checkpoint_file):
    return Predictor.load(checkpoint_file, device="cpu")


def test_the_answer_is_the_plain_ensembles(predictor, checkpoint_file, network_input):
    """The whole networks, window by window, eager: what the fast path must reproduce."""
    answer = predictor.classify(network_input, seed=1)
    starts, windows = network_input.windows()
    with torch.inference_mode():
        logits = np.array(
            [n(torch.from_numpy(windows)).numpy() for n in load_checkpoint(checkpoint_file).networks()]
        )
    np.testing.assert_allclose(answer.member_logits, logits, atol=1e-5)
    calibrated = 1 / (1 + np.exp(-logits.mean() / 1.5))
    assert answer.adhd_probability == pytest.approx(calibrated, abs=1e-5)
    assert [window.start_frame for window in answer.windows] == starts.tolist()
    expected = 1 / (1 + np.exp(-logits.mean(axis=0) / 1.5))
    assert [window.probability for window in answer.windows] == pytest.approx(expected.tolist(), abs=1e-5)
    assert logits.std() > 0.01, "a network that ignores its input would pass all of this"


def test_the_same_scan_and_seed_give_the_same_answer(predictor, network_input):
    one, other = (predictor.classify(network_input, seed=7) for _ in range(2))
    assert (one.adhd_probability, one.interval, one.windows) == (
        other.adhd_probability,
        other.interval,
        other.windows,
    )
    assert one.interval.low <= one.adhd_probability <= one.interval.high
    assert one.interval.level == 0.9


def test_the_decision_follows_the_cards_threshold(checkpoint_file, network_input):
    checkpoint = load_checkpoint(checkpoint_file)
    point = Predictor(checkpoint, device="cpu").classify(network_input, seed=7)

    def decision_at(threshold):
        card = checkpoint.card.model_copy(update={"threshold": threshold})
        answer = Predictor(dataclasses.replace(checkpoint, card=card), device="cpu").classify(
            network_input, seed=7
        )
        assert answer.threshold == threshold
        return answer.decision

    assert decision_at(point.interval.low - 0.01) == "adhd"
    assert decision_at(point.adhd_probability) == "uncertain"
    assert decision_at(point.interval.high + 0.01) == "control"


def test_the_decision_follows_the_cards_conformal_sets(checkpoint_file, network_input):
    checkpoint = load_checkpoint(checkpoint_file)
    probability = Predictor(checkpoint, device="cpu").classify(network_input, seed=7).adhd_probability

    def decision_with(*, control, adhd):
        quantiles = {"level": 0.9, "control": control, "adhd": adhd}
        card = checkpoint.card.model_copy(
            update={"decision_rule": "conformal", "conformal_quantiles": quantiles}
        )
        answer = Predictor(dataclasses.replace(checkpoint, card=card), device="cpu").classify(
            network_input, seed=7
        )
        return answer.decision

    assert decision_with(control=probability - 0.01, adhd=1 - probability + 0.01) == "adhd"
    assert decision_with(control=probability + 0.01, adhd=1 - probability - 0.01) == "control"
    assert decision_with(control=1.0, adhd=1.0) == "uncertain"
    assert decision_with(control=0.0, adhd=0.0) == "uncertain"


def test_a_scan_prepared_in_another_way_is_refused(predictor, network_input):
    other = dataclasses.replace(network_input, spec=PreprocessingSpec(window_frames=6, n_windows=3))
    with pytest.raises(PreprocessingMismatchError, match="window_frames") as caught:
        predictor.classify(other, seed=0)
    assert caught.value.code == "preprocessing_mismatch"


def test_progress_rises_to_one_and_may_stop_the_work(predictor, network_input):
    seen = []
    predictor.classify(network_input, seed=0, progress=lambda stage, done: seen.append((stage, done)))
    assert {stage for stage, _ in seen} == {"classifying"}
    fractions = [done for _, done in seen]
    assert fractions == sorted(fractions)
    assert len(fractions) > 1
    assert fractions[-1] == 1.0

    class CancelledError(Exception):
        pass

    def cancel(stage, done):
        raise CancelledError

    with pytest.raises(CancelledError):
        predictor.classify(network_input, seed=0, progress=cancel)


def test_no_layer_may_round_to_tensorfloat32(predictor, network_input):
    allowed = []
    note = lambda *_: allowed.append(torch.backends.cudnn.allow_tf32)  # noqa: E731
    for member in predictor.members:
        member.rnn.register_forward_pre_hook(note)
    predictor.classify(network_input, seed=0, progress=note)  # after each chunk of convolutions
    assert len(allowed) > len(predictor.members)
    assert not any(allowed)


def test_a_damaged_checkpoint_never_becomes_a_predictor(checkpoint_file):
    checkpoint_file.write_bytes(checkpoint_file.read_bytes()[:-1])
    with pytest.raises(CheckpointError):
        Predictor.load(checkpoint_file)


@pytest.mark.parametrize("temperatures", [(1e-45, 1.0), (1.0, 5e-324)], ids=["of a member", "of the card"])
def test_logits_that_are_not_finite_are_refused_and_no_answer(perceptron_file, network_input, temperatures):
    checkpoint = load_checkpoint(perceptron_file)
    predictor = Predictor(checkpoint, device="cpu")
    assert 0 < predictor.classify(network_input, seed=1).adhd_probability < 1
    of_members, of_card = temperatures
    members = tuple(m | {"temperature": torch.tensor([of_members])} for m in checkpoint.members)
    card = checkpoint.card.model_copy(update={"temperature": of_card})
    predictor = Predictor(dataclasses.replace(checkpoint, members=members, card=card), device="cpu")
    for ask in (
        lambda: predictor.classify(network_input, seed=1),
        lambda: predictor.member_logits(ScanView.of(network_input)),
    ):
        with pytest.raises(CheckpointMismatchError, match="NaN or infinite logits"):
            ask()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_device_that_is_not_there_is_named(checkpoint_file):
    with pytest.raises(DeviceUnavailableError) as caught:
        Predictor.load(checkpoint_file, device="cuda")
    assert caught.value.code == "device_unavailable"
    assert Predictor.load(checkpoint_file, device="auto").device.type == "cpu"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
def test_the_graphics_card_gives_the_processors_answer(checkpoint_file, network_input):
    on_gpu = Predictor.load(checkpoint_file, device="cuda").classify(network_input, seed=0)
    on_cpu = Predictor.load(checkpoint_file, device="cpu").classify(network_input, seed=0)
    assert on_gpu.adhd_probability == pytest.approx(on_cpu.adhd_probability, abs=1e-3)


def test_torch_keeps_its_threads_in_every_thread(predictor, network_input):
    before = torch.get_num_threads()
    predictor.classify(network_input, seed=1)
    with ThreadPoolExecutor(1) as another:
        assert another.submit(torch.get_num_threads).result() == before
    assert torch.get_num_threads() == before
