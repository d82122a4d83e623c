"""Exchanges the beginning of what a gzip file holds without compressing the rest again.

A deflate stream is a row of blocks, and no byte in it refers back further than 32 KiB. So from the first
border between two blocks that lies 32 KiB behind the exchanged part, the old stream goes on bit by bit as it
is: only what lies before is compressed anew, and the checksum is corrected by arithmetic. (RFC 1951, RFC
1952; zlib's own examples/gzjoin.c joins streams in this way.)

Python's `zlib` does not say where blocks end, so zlib itself is asked.
"""

import ctypes
import os
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import BufferedIOBase
from typing import ClassVar

_WINDOW_BYTES = 32 * 1024
_HEADER_BYTES = 10
_TRAILER_BYTES = 8
# File name and comment of the gzip header may be long, never this long.
_MAXIMUM_GZIP_HEADER_BYTES = 64 * 1024
# Writers end a block every 30 to 300 KB; one that does not is not worth the search.
_SEARCHED_BYTES = 8 * 1024 * 1024
_PIECE_BYTES = 64 * 1024

# <zlib.h>
_Z_OK, _Z_BLOCK, _RAW = 0, 5, -15
_AT_A_BORDER, _IN_THE_LAST_BLOCK, _UNUSED_BITS = 128, 64, 7

# A block with nothing in it: not the last, of the fixed code, its end. Ten bits, the first of them lowest.
_EMPTY_BLOCK, _EMPTY_BLOCK_BITS = 0b10, 10
_PLAIN_HEADER = b"\x1f\x8b\x08\x00" + bytes(5) + b"\xff"


class _Stream(ctypes.Structure):
    """``z_stream`` of <zlib.h>."""

    _fields_: ClassVar = [
        ("next_in", ctypes.c_void_p),
        ("avail_in", ctypes.c_uint),
        ("total_in", ctypes.c_ulong),
        ("next_out", ctypes.c_void_p),
        ("avail_out", ctypes.c_uint),
        ("total_out", ctypes.c_ulong),
        ("message", ctypes.c_char_p),
        ("state", ctypes.c_void_p),
        ("zalloc", ctypes.c_void_p),
        ("zfree", ctypes.c_void_p),
        ("opaque", ctypes.c_void_p),
        ("data_type", ctypes.c_int),
        ("adler", ctypes.c_ulong),
        ("reserved", ctypes.c_ulong),
    ]


def splice(
    source: BufferedIOBase, target: BufferedIOBase, *, old: bytes, new: bytes, total_bytes: int
) -> bool:
    """Copy a gzip file with its first bytes exchanged; its header loses name, comment, time and extra fields.

    Parameters
    ----------
    source : binary file
        Seekable.
    target : binary file
        Open for writing.
    old, new : bytes
        What the decompressed file begins with and shall begin with, of the same length.
    total_bytes : int
        Bytes that the file should decompress to.

    Returns
    -------
    bool
        False, and nothing written, where it cannot be done: the file is not one gzip stream of that length
        with nothing after it, or has no border to go on from. Damage further on stays what it is: the
        checksum of a damaged stream is wrong before and after.
    """
    size = source.seek(0, os.SEEK_END)
    start = _deflate_start(source)
    if start is None or size < start + _TRAILER_BYTES:
        return False
    source.seek(size - _TRAILER_BYTES)
    trailer = source.read(_TRAILER_BYTES)
    checksum, length = int.from_bytes(trailer[:4], "little"), int.from_bytes(trailer[4:], "little")
    # Of several streams, or of one with something behind it, the last bytes say something else.
    library = _zlib()
    if length != total_bytes % 2**32 or library is None:
        return False
    source.seek(start)
    border = _border(library, source, after_bytes=len(old) + _WINDOW_BYTES)
    if border is None:
        return False
    consumed, unused_bits, before = border
    if before[: len(old)] != old or start + consumed > size - _TRAILER_BYTES:
        return False
    exchanged = new + before[len(new) :]
    behind_bytes = total_bytes - len(before)
    if behind_bytes < 0:
        # The trailer lies, and zlib would compute for ever.
        return False
    # CRCs are linear: what stands behind the border has its own, to be taken out of one and put into the
    # other.
    behind = checksum ^ library.crc32_combine(zlib.crc32(before), 0, behind_bytes)
    corrected = library.crc32_combine(zlib.crc32(exchanged), behind, behind_bytes)
    compressor = zlib.compressobj(wbits=_RAW)
    target.write(_PLAIN_HEADER + compressor.compress(exchanged) + compressor.flush(zlib.Z_SYNC_FLUSH))
    source.seek(start + consumed - (unused_bits > 0))
    if unused_bits:
        target.write(_bridge(source.read(1)[0], unused_bits))
    _copy(source, target, size - _TRAILER_BYTES - source.tell())
    target.write(corrected.to_bytes(4, "little") + trailer[4:])
    return True


def _deflate_start(source: BufferedIOBase) -> int | None:
    """Return where the deflate stream begins, behind a header of RFC 1952; None where it is none."""
    source.seek(0)
    head = source.read(_MAXIMUM_GZIP_HEADER_BYTES)
    if len(head) < _HEADER_BYTES or head[:3] != _PLAIN_HEADER[:3]:
        return None
    flags, position = head[3], _HEADER_BYTES
    if flags & 4:
        position += 2 + int.from_bytes(head[position : position + 2], "little")
    for text in (8, 16):
        if flags & text:
            end = head.find(b"\0", position)
            if end < 0:
                return None
            position = end + 1
    return position + (2 if flags & 2 else 0)


def _border(
    library: ctypes.CDLL, source: BufferedIOBase, *, after_bytes: int
) -> tuple[int, int, bytes] | None:
    """Decompress up to the first border between blocks from which another stream can go on.

    Empty blocks of ten bits bring any stream to an even bit of a byte, so the border has to lie at one.

    Returns
    -------
    consumed, unused_bits : int
        Bytes of the stream up to the border, and bits of the last of them that lie behind it.
    before : bytes
        What the stream holds up to there.
    """
    for consumed, unused_bits, before in _borders(library, source, limit_bytes=after_bytes + _SEARCHED_BYTES):
        if len(before) >= after_bytes and unused_bits % 2 == 0:
            return consumed, unused_bits, bytes(before)
    return None


def _borders(
    library: ctypes.CDLL, source: BufferedIOBase, *, limit_bytes: int
) -> Iterator[tuple[int, int, bytearray]]:
    stream, before = _Stream(), bytearray()
    taken, room = ctypes.create_string_buffer(_PIECE_BYTES), ctypes.create_string_buffer(_PIECE_BYTES)
    version = library.zlibVersion()
    if library.inflateInit2_(ctypes.byref(stream), _RAW, version, ctypes.sizeof(stream)) != _Z_OK:
        return
    try:
        while len(before) < limit_bytes:
            if not stream.avail_in:
                stream.avail_in = source.readinto(taken)
                stream.next_in = ctypes.addressof(taken)
                if not stream.avail_in:
                    return
            stream.next_out, stream.avail_out = ctypes.addressof(room), _PIECE_BYTES
            # Anything else is damage, or the stream's end.
            if library.inflate(ctypes.byref(stream), _Z_BLOCK) != _Z_OK:
                return
            before += room.raw[: _PIECE_BYTES - stream.avail_out]
            if stream.data_type & _IN_THE_LAST_BLOCK and stream.data_type & _AT_A_BORDER:
                # Behind it there is no block to go on with.
                return
            if stream.data_type & _AT_A_BORDER:
                yield int(stream.total_in), stream.data_type & _UNUSED_BITS, before
    finally:
        library.inflateEnd(ctypes.byref(stream))


def _bridge(shared: int, unused_bits: int) -> bytes:
    """Return empty blocks up to where the old stream goes on inside a byte, and that byte's other bits."""
    used_bits = 8 - unused_bits
    blocks = next(number for number in range(4) if number * _EMPTY_BLOCK_BITS % 8 == used_bits)
    bits = sum(_EMPTY_BLOCK << number * _EMPTY_BLOCK_BITS for number in range(blocks))
    whole_bytes = blocks * _EMPTY_BLOCK_BITS // 8
    bits |= (shared >> used_bits << used_bits) << 8 * whole_bytes
    return bits.to_bytes(whole_bytes + 1, "little")


def _copy(source: BufferedIOBase, target: BufferedIOBase, count: int) -> None:
    while count > 0:
        piece = source.read(min(count, 2**20))
        if not piece:
            return
        target.write(piece)
        count -= len(piece)


@lru_cache(maxsize=1)
def _zlib() -> ctypes.CDLL | None:
    """Load zlib where the system has it apart from Python."""
    try:
        library = ctypes.CDLL("libz.so.1")
    except OSError:
        return None
    library.zlibVersion.restype = ctypes.c_char_p
    library.inflateInit2_.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
    library.crc32_combine.argtypes = [ctypes.c_ulong, ctypes.c_ulong, ctypes.c_long]
    library.crc32_combine.restype = ctypes.c_ulong
    return library
