import pytest
import torch

from training.fitting import precision
from training.fitting.precision import choose_precision, encoding_in

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
