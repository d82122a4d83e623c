import pytest
import torch
from torch import nn

from model.networks import RestNetwork
from tests.training.fitting.toy_cohort import toy_subjects
from training.fitting import precision
from training.fitting.fit import fit
from training.fitting.frozen import encode_subjects, settle_normalisation
from training.fitting.logits import encoded_logits, subject_logits
from training.fitting.precision import choose_precision, encoding_in
from training.fitting.settings import TrainingSettings

CPU = torch.device("cpu")


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
def test_what_is_asked_for_is_obeyed(asked):
    assert choose_precision(asked, device=CPU) == asked


@pytest.mark.parametrize(
    ("capabilities", "used"),
    [({}, "float32"), ({"avx512_f": True}, "float32")]
    + [({name: True}, "bfloat16") for name in ("avx512_bf16", "amx_bf16")],
)
def test_a_processor_is_asked_for_what_it_multiplies_itself(monkeypatch, capabilities, used):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", device=CPU) == used


def test_a_processor_that_computes_it_wrongly_is_not_used(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    right = precision.functional.conv3d

    def wrong(frames, kernel, **options):
        return right(frames, kernel, **options) * (1.1 if torch.is_autocast_enabled("cpu") else 1.0)

    monkeypatch.setattr(precision.functional, "conv3d", wrong)
    assert choose_precision("auto", device=CPU) == "float32"


def test_only_what_is_inside_is_computed_in_bfloat16():
    a = torch.randn(4, 4)
    with encoding_in("bfloat16", device=CPU):
        assert (a @ a).dtype == torch.bfloat16
    with encoding_in("float32", device=CPU):
        assert (a @ a).dtype == torch.float32
    assert (a @ a).dtype == torch.float32


@pytest.fixture
def allowed(monkeypatch):
    """Whether TensorFloat32 was allowed, at each convolution and wherever a recurrent layer read."""
    seen = {"convolution": [], "recurrent layer": []}
    convolve = nn.functional.conv3d

    def note_convolution(*arguments, **options):
        seen["convolution"].append(torch.backends.cudnn.allow_tf32)
        return convolve(*arguments, **options)

    def note_recurrent(module, _inputs):
        if isinstance(module, nn.RNNBase):
            seen["recurrent layer"].append(torch.backends.cudnn.allow_tf32)

    monkeypatch.setattr(nn.functional, "conv3d", note_convolution)
    hook = nn.modules.module.register_module_forward_pre_hook(note_recurrent)
    yield seen
    hook.remove()


@pytest.mark.parametrize("encoder", ["trained", "frozen"])
def test_a_training_and_what_watches_it_never_round_to_tensorfloat32(encoder, allowed, tmp_path):
    settings = TrainingSettings(network="D", width=1, epochs=1, feature_norm="batch", encoder=encoder)
    within = []
    fit(
        RestNetwork(settings),
        toy_subjects(4),
        stopping=toy_subjects(2, seed=1),
        settings=settings,
        folder=tmp_path,
        seed=3,
        device=CPU,
        progress=lambda now: now.epoch and within.append(torch.backends.cudnn.allow_tf32),
    )
    assert within == [False]
    assert {part: set(seen) for part, seen in allowed.items()} == {
        "convolution": {False},
        "recurrent layer": {False},
    }


def test_each_evaluation_keeps_tensorfloat32_out_by_itself(allowed, tmp_path):
    torch.manual_seed(0)
    network, subjects = RestNetwork(TrainingSettings(network="D", width=1)), toy_subjects(2)
    settle_normalisation(network, subjects, seed=0, device=CPU)
    assert set(allowed["convolution"]) == {False}
    encoded = encode_subjects(network, subjects, folder=tmp_path, identity="a" * 64, device=CPU)
    logits = subject_logits(network, subjects, device=CPU)
    assert len(allowed["recurrent layer"]) == 2
    assert encoded_logits(network, encoded, device=CPU) == pytest.approx(logits, abs=2e-3)
    assert len(allowed["recurrent layer"]) == 4
    assert {part: set(seen) for part, seen in allowed.items()} == {
        "convolution": {False},
        "recurrent layer": {False},
    }
