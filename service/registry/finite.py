"""Whether the weights of a checkpoint are numbers, asked of its bytes: without torch and without numpy.

A number that is not finite has every bit of its exponent set. In the formats of safetensors, which are little
endian, these bits lie in the last two bytes of a value.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_LENGTH_BYTES = 8
_CHUNK_BYTES = 1 << 20
# By format: bytes a value, and the exponent's bits in the last byte and in the one before it.
_EXPONENTS: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {"F16": (2, 0x7C, 0x00), "BF16": (2, 0x7F, 0x80), "F32": (4, 0x7F, 0x80), "F64": (8, 0x7F, 0xF0)}
)


class CheckpointHeaderError(ValueError):
    """A file has no header of safetensors; whoever asks says which file, by an error with a code."""

    def __init__(self) -> None:
        super().__init__("expected the header of a safetensors file, found one that does not read")


def find_non_finite(path: Path) -> str | None:
    """Look for a tensor with NaN or infinite values.

    Parameters
    ----------
    path : Path
        A whole safetensors file.

    Returns
    -------
    str or None
        The name of the first one in the file; None where every number is finite.

    Raises
    ------
    CheckpointHeaderError
        If its header does not read.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        entries = _tensors(file.read(length) if length <= path.stat().st_size else b"")
        for name, dtype, begin, end in entries:
            if dtype not in _EXPONENTS:
                continue
            file.seek(_LENGTH_BYTES + length + begin)
            for at in range(begin, end, _CHUNK_BYTES):
                if _has_non_finite(file.read(min(_CHUNK_BYTES, end - at)), *_EXPONENTS[dtype]):
                    return name
    return None


def _tensors(header: bytes) -> list[tuple[str, str, int, int]]:
    """Give each tensor's name, format and place among the data, in the order of the file."""
    try:
        entries = json.loads(header)
        found = [
            (name, str(entry["dtype"]), int(entry["data_offsets"][0]), int(entry["data_offsets"][1]))
            for name, entry in entries.items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise CheckpointHeaderError from error
    return sorted(found, key=lambda tensor: tensor[2])


def _has_non_finite(values: bytes, size: int, last: int, before: int) -> bool:
    high = _marked(values[size - 1 :: size], last)
    low = _marked(values[size - 2 :: size], before)
    return bool(int.from_bytes(high, "little") & int.from_bytes(low, "little"))


def _marked(column: bytes, bits: int) -> bytes:
    """Put 1 in place of each byte that has all these bits, and 0 in place of any other."""
    return column.translate(bytes((byte & bits) == bits for byte in range(256)))
