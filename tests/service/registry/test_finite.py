"""Numbers that are not finite, found in the bytes of each format that a checkpoint may have."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from model import demonstration_checkpoint
from service.registry.finite import CheckpointHeaderError, find_non_finite

FORMATS = [torch.float16, torch.bfloat16, torch.float32, torch.float64]
# More than one reading's worth of bytes, so that the last value lies in another one than the first.
N_VALUES = 600_000


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("at", [0, -1])
def test_the_tensor_that_is_not_finite_is_named(
    tmp_path: Path, dtype: torch.dtype, value: float, at: int
) -> None:
    path = tmp_path / "weights.safetensors"
    broken = torch.ones(N_VALUES, dtype=dtype)
    broken[at] = value
    save_file({"sound": torch.ones(3, dtype=dtype), "broken": broken}, path)
    assert find_non_finite(path) == "broken"


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_largest_and_smallest_numbers_are_finite(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "weights.safetensors"
    limits = torch.finfo(dtype)
    extreme = torch.tensor([limits.max, limits.min, limits.tiny, -0.0], dtype=dtype)
    save_file({"extreme": extreme, "bits": torch.full((4,), -1, dtype=torch.int32)}, path)
    assert find_non_finite(path) is None


def test_the_demonstration_is_finite() -> None:
    assert find_non_finite(demonstration_checkpoint()) is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, (4).to_bytes(8, "little") + b"null", b"no checkpoint"]
)
def test_what_has_no_header_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointHeaderError, match="expected the header"):
        find_non_finite(path)
