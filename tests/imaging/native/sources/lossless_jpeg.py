"""Lossless JPEG (ITU-T T.81, process 14, first-order prediction), as most archives of images keep theirs."""

import struct

import numpy as np

_BITS = 16
# Every category of a difference has a code of five bits, its own number.
_CATEGORIES, _CODE_BITS = 17, 5


def lossless_jpeg(image: np.ndarray) -> bytes:
    """Compress a (rows, columns) uint16 image."""
    rows, columns = image.shape
    frame = struct.pack(">BHHB3B", _BITS, rows, columns, 1, 1, 0x11, 0)
    lengths = bytes(_CATEGORIES if bits == _CODE_BITS else 0 for bits in range(1, 17))
    table = b"\0" + lengths + bytes(range(_CATEGORIES))
    scan = bytes([1, 1, 0, 1, 0, 0])
    return (
        b"\xff\xd8"
        + _segment(0xC3, frame)
        + _segment(0xC4, table)
        + _segment(0xDA, scan)
        + _coded(image)
        + b"\xff\xd9"
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _coded(image: np.ndarray) -> bytes:
    samples = image.astype(np.int64)
    predicted = np.empty_like(samples)
    predicted[:, 1:] = samples[:, :-1]
    predicted[1:, 0] = samples[:-1, 0]
    predicted[0, 0] = 2 ** (_BITS - 1)
    bits = "".join(_code(difference) for difference in (samples - predicted).ravel().tolist())
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8, "big")
    return coded.replace(b"\xff", b"\xff\0")


def _code(difference: int) -> str:
    category = abs(difference).bit_length()
    code = f"{category:0{_CODE_BITS}b}"
    if category in {0, 16}:
        return code
    rest = difference if difference > 0 else difference + 2**category - 1
    return code + f"{rest:0{category}b}"
