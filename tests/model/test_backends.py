import pytest
import torch

from model import backends, openvino_encoder
from model.backends import PARITY, choose_backend
from model.encoder import FrameEncoder
from model.errors import BackendParityError, BackendUnavailableError
from model.joint_encoder import JointEncoder


@pytest.fixture
def encoders():
    torch.manual_seed(0)
    return [FrameEncoder(n_stages=3, width=2).eval() for _ in range(2)]


def give_other_numbers(monkeypatch, *, of, by):
    class Wrong(JointEncoder):
        def __call__(self, frames):
            features = super().__call__(frames)
            return features + by * features.abs().max()

    monkeypatch.setattr(*of, Wrong)


def test_a_processor_takes_openvino(encoders):
    name, encode = choose_backend(encoders)
    assert name == "openvino"
    assert type(encode) is openvino_encoder.OpenVinoEncoder


def test_torch_answers_when_asked(encoders):
    name, encode = choose_backend(encoders, backend="torch")
    assert name == "torch"
    assert type(encode) is JointEncoder


def test_a_backend_that_gives_other_numbers_is_passed_over(encoders, monkeypatch):
    give_other_numbers(monkeypatch, of=(openvino_encoder, "OpenVinoEncoder"), by=2 * PARITY)
    name, encode = choose_backend(encoders)
    assert name == "torch"
    assert type(encode) is JointEncoder


def test_a_difference_in_the_last_digits_is_none(encoders, monkeypatch):
    give_other_numbers(monkeypatch, of=(openvino_encoder, "OpenVinoEncoder"), by=PARITY / 2)
    assert choose_backend(encoders)[0] == "openvino"


def test_what_was_asked_for_is_not_replaced_in_silence(encoders, monkeypatch):
    give_other_numbers(monkeypatch, of=(openvino_encoder, "OpenVinoEncoder"), by=0.01)
    with pytest.raises(BackendParityError, match=r"within 0.0001 .* of 0.01") as refusal:
        choose_backend(encoders, backend="openvino")
    assert refusal.value.details()["difference"] == pytest.approx(0.01, rel=1e-3)


def test_no_wrong_number_leaves_when_every_backend_differs(encoders, monkeypatch):
    give_other_numbers(monkeypatch, of=(openvino_encoder, "OpenVinoEncoder"), by=0.01)
    give_other_numbers(monkeypatch, of=(backends, "JointEncoder"), by=float("nan"))
    with pytest.raises(BackendParityError, match="'torch'"):
        choose_backend(encoders)


def test_without_the_library_torch_answers(encoders, monkeypatch):
    def fails(*_arguments):
        raise RuntimeError("this processor lacks an instruction")

    monkeypatch.setattr(openvino_encoder.ov, "Core", fails)
    assert choose_backend(encoders)[0] == "torch"
    with pytest.raises(BackendUnavailableError, match="'openvino' to run on this machine"):
        choose_backend(encoders, backend="openvino")
