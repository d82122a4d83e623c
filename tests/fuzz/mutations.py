"""Damages scan files in the ways in which files come damaged, or are made to do damage.

A mutant is a function of a seed file and a number: whoever has both can make it again.
"""

import gzip
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields
from scipy.ndimage import zoom

from imaging.template import template_brain

Rng = np.random.Generator

INTEGERS = (
    0,
    1,
    2,
    -1,
    3,
    4,
    5,
    7,
    8,
    127,
    255,
    256,
    348,
    540,
    32767,
    -32768,
    65535,
    2**31 - 1,
    -(2**31),
    2**62,
)
NUMBERS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0, 352.0, 351.0, 352.5, 544.0, 1e9, 1e-9, 1e30, -1e30, 3.4e38, 1e-45),
    *(float("nan"), float("inf"), float("-inf"), 2.0**24, 2.0**31, 2.0**53),
)
# Never more: the samples of a mutant are for its reader's memory, not for ours.
LARGEST_SEED_BYTES = 2**20
SIMULATED = "simulated"


@dataclass
class File:
    """A scan on its way to a mutant: decompressed, and how it will be compressed."""

    content: bytearray
    compressed: bool

    @property
    def order(self) -> str:
        # The first byte of 348 and of 540 as a little-endian number.
        return "<" if bytes(self.content[:1]) in {b"\\", b"\x1c"} else ">"

    @property
    def fields(self) -> np.dtype:
        second = int.from_bytes(self.content[:4], "little" if self.order == "<" else "big") == 540
        return (nifti2_fields if second else nifti1_fields).newbyteorder(self.order)

    def offset(self) -> int:
        """Where the samples begin, if the header can be believed."""
        if len(self.content) < self.fields.itemsize:
            return len(self.content)
        offset = float(np.frombuffer(self.content[: self.fields.itemsize], self.fields)[0]["vox_offset"])
        return int(offset) if np.isfinite(offset) and 0 <= offset <= len(self.content) else 352


def field_with_an_edge(file: File, rng: Rng) -> None:
    """Give a field, or one entry of it, a value at which something changes."""
    fields = file.fields
    if len(file.content) < fields.itemsize:
        return
    header = np.frombuffer(file.content[: fields.itemsize], fields).copy()
    name = str(rng.choice(fields.names))
    entry = header[name]
    with np.errstate(all="ignore"):
        if entry.dtype.kind == "S":
            header[name] = bytes(rng.integers(0, 256, entry.dtype.itemsize, dtype=np.uint8))
        else:
            values = NUMBERS if entry.dtype.kind == "f" else INTEGERS
            value = np.array(values[rng.integers(len(values))]).astype(entry.dtype)
            if entry.ndim > 1 and rng.random() < 0.8:
                header[name][0, rng.integers(entry.shape[1])] = value
            else:
                header[name] = value
    file.content[: fields.itemsize] = header.tobytes()


def promised_size(file: File, rng: Rng) -> None:
    """Let the header promise another amount than there is."""
    fields = file.fields
    if len(file.content) < fields.itemsize:
        return
    header = np.frombuffer(file.content[: fields.itemsize], fields).copy()
    for axis in rng.choice(np.arange(1, 8), rng.integers(1, 4), replace=False):
        length = int(header["dim"][0, axis])
        choices = (length + 1, length - 1, length * 2, 1, 20, 500, 4096, 32767, 0, -length)
        header["dim"][0, axis] = np.array(choices[rng.integers(len(choices))]).astype(header["dim"].dtype)
    file.content[: fields.itemsize] = header.tobytes()


def other_type(file: File, rng: Rng) -> None:
    """Call the samples something that they are not."""
    at = 12 if file.fields.itemsize == 540 else 70
    codes = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, -1)
    file.content[at : at + 2] = struct.pack(file.order + "h", codes[rng.integers(len(codes))])


def swapped(file: File, _rng: Rng) -> None:
    """Turn the byte order of the header, and leave the samples."""
    fields = file.fields
    if len(file.content) >= fields.itemsize:
        header = np.frombuffer(file.content[: fields.itemsize], fields)
        file.content[: fields.itemsize] = header.byteswap().tobytes()


def extension(file: File, rng: Rng) -> None:
    """Put extensions, honest or not, between header and samples."""
    start = file.fields.itemsize
    sizes = (0, 1, 7, 8, 16, 32, 4096, 2**20, -16, 2**31 - 1, -(2**31))
    pieces = b""
    for _ in range(rng.integers(1, 4)):
        size = sizes[rng.integers(len(sizes))]
        code = (0, 2, 4, 6, 32, -1)[rng.integers(6)]
        pieces += struct.pack(file.order + "ii", size, code) + bytes(min(max(size - 8, 0), 4096))
    samples = bytes(file.content[file.offset() :])
    file.content[start:] = b"\1\0\0\0" + pieces + samples
    if rng.random() < 0.8:
        offset = start + 4 + len(pieces)
        kind, at = ("<q", 168) if start == 540 else ("<f", 108)
        file.content[at : at + struct.calcsize(kind)] = struct.pack(file.order + kind[1], offset)


def strange_samples(file: File, rng: Rng) -> None:
    """Write patterns that are NaN, infinite, huge or empty in one type or another over some samples."""
    start, end = file.offset(), len(file.content)
    if end - start < 16:
        return
    pattern = (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff\xff\x7f\x7f", b"\xff" * 4, bytes(4), b"\1\0\0\0")[
        rng.integers(6)
    ]
    begin = int(rng.integers(start, end - 8))
    count = min(int(rng.choice([4, 400, 40_000, end])), end - begin)
    file.content[begin : begin + count] = (pattern * (count // 4 + 1))[:count]


def flipped(file: File, rng: Rng) -> None:
    """Flip bits anywhere, mostly near the front."""
    for _ in range(rng.integers(1, 20)):
        reach = len(file.content) if rng.random() < 0.3 else min(len(file.content), 600)
        if reach:
            file.content[rng.integers(reach)] ^= 1 << int(rng.integers(8))


def cut_or_longer(file: File, rng: Rng) -> None:
    """End early, or go on."""
    if rng.random() < 0.5:
        del file.content[rng.integers(len(file.content) + 1) :]
    else:
        file.content += bytes(rng.integers(0, 256, int(rng.choice([1, 4, 512, 5000])), dtype=np.uint8))


def other_wrapping(file: File, _rng: Rng) -> None:
    """Compress what was not, or the other way round."""
    file.compressed = not file.compressed


INSIDE: tuple[Callable[[File, Rng], None], ...] = (
    field_with_an_edge,
    field_with_an_edge,
    promised_size,
    other_type,
    swapped,
    extension,
    strange_samples,
    flipped,
    cut_or_longer,
    other_wrapping,
)


def wrap(content: bytes, rng: Rng) -> bytes:
    """Compress, usually as everybody does."""
    if rng.random() < 0.7:
        return gzip.compress(content, int(rng.choice([0, 1, 1, 1, 6])), mtime=0)
    flags = int(rng.integers(0, 32))
    head = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    if flags & 4:
        told, given = rng.choice([0, 6, 300, 65535]), rng.choice([0, 6, 300])
        head += struct.pack("<H", told) + b"x" * given
    for flag in (8, 16):
        if flags & flag:
            head += b"n" * int(rng.choice([0, 20, 70_000])) + b"\0"
    if flags & 2:
        head += b"\0\0"
    strategy = int(rng.integers(0, 5))
    deflate = zlib.compressobj(int(rng.integers(0, 7)), zlib.DEFLATED, -int(rng.integers(9, 16)), 8, strategy)
    body = deflate.compress(content) + deflate.flush()
    length = len(content) if rng.random() < 0.7 else int(rng.integers(0, 2**32))
    return head + body + struct.pack("<II", zlib.crc32(content), length % 2**32)


def damage_outside(packed: bytes, rng: Rng) -> bytes:
    """Damage the file as it lies on a disk."""
    start = int(rng.integers(len(packed) + 1))
    length = int(rng.choice([1, 100, 5000]))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: packed[:start],
        lambda: packed + bytes(rng.integers(0, 256, length, dtype=np.uint8)),
        lambda: packed + bytes(length),
        lambda: packed + gzip.compress(bytes(length - 1)),
        lambda: gzip.compress(b"") + packed,
        lambda: packed + bomb(),
        lambda: packed[:start] + packed[start + length :],
        lambda: packed[: start + length] + packed[start:],
        lambda: _overwritten(packed, rng),
    )
    return ways[rng.integers(len(ways))]()


def _overwritten(packed: bytes, rng: Rng) -> bytes:
    damaged = bytearray(packed)
    for _ in range(rng.integers(1, 10)):
        if damaged:
            damaged[rng.integers(len(damaged))] = int(rng.integers(256))
    return bytes(damaged)


def mutant(seed_file: bytes, number: int) -> bytes:
    """Make the mutant of a seed file that has a number."""
    rng = np.random.default_rng([number, zlib.crc32(seed_file)])
    compressed = seed_file[:2] == b"\x1f\x8b"
    file = File(bytearray(decompressed(seed_file)), compressed)
    if rng.random() < 0.85:
        for _ in range(int(rng.choice([1, 1, 1, 2, 3, 5]))):
            INSIDE[rng.integers(len(INSIDE))](file, rng)
    packed = wrap(bytes(file.content), rng) if file.compressed else bytes(file.content)
    return damage_outside(packed, rng) if rng.random() < 0.35 else packed


@lru_cache(maxsize=1)
def bomb() -> bytes:
    """Return thirty megabytes of zeros in thirty kilobytes."""
    return gzip.compress(bytes(30 << 20), 9)


@lru_cache(maxsize=100)
def decompressed(content: bytes) -> bytes:
    """Return what a seed holds; one that is damaged already is taken as it is."""
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return content


def mutants(seeds: Mapping[str, bytes], count: int, *, first: int = 0) -> Iterator[tuple[str, int, bytes]]:
    """Yield (seed's name, number, mutant): two of three of seeds that are accepted, where mutants get far."""
    names, sound = sorted(seeds), sorted(name for name in seeds if name.startswith(SIMULATED))
    for number in range(first, first + count):
        chosen = sound if number % 3 else names
        name = chosen[number // 3 % len(chosen)]
        yield name, number, mutant(seeds[name], number)


def simulated_seeds() -> dict[str, bytes]:
    """Return small scans that are accepted whole, in every layout: they let a mutant get far."""
    template = template_brain()
    coarse = zoom((template.t1 * template.mask).astype(np.float32), 0.5, order=1)
    affine = template.affine @ np.diag([2.0, 2, 2, 1])
    rng = np.random.default_rng(5)
    bold = coarse[..., None] * rng.normal(100, 20, (*coarse.shape, 21)).astype(np.float32)
    seeds = {}
    for name, kind, dtype, order in (
        ("int16.nii.gz", nib.Nifti1Image, np.int16, "<"),
        ("float32.nii", nib.Nifti1Image, np.float32, "<"),
        ("big-endian.nii.gz", nib.Nifti1Image, np.int16, ">"),
        ("nifti2.nii.gz", nib.Nifti2Image, np.uint8, "<"),
    ):
        header = kind.header_class(endianness=order)
        header.set_data_dtype(dtype)
        header.set_xyzt_units("mm", "sec")
        image = kind(bold.astype(dtype), affine, header)
        image.header["pixdim"][4] = 2.0
        content = image.to_bytes()
        seeds[f"{SIMULATED} {name}"] = gzip.compress(content, 1, mtime=0) if name.endswith("gz") else content
    return seeds


def files_of_nibabel() -> dict[str, bytes]:
    """Return the scans that nibabel's own tests read."""
    return _small_files(Path(nib.__file__).parent / "tests" / "data", "nibabel")


def real_files(shared_data: Path) -> dict[str, bytes]:
    """Return the small files among the real and the malformed ones; nothing where the folder is absent."""
    return _small_files(shared_data, "shared")


def _small_files(folder: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix} {path.name}": path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.suffix in {".nii", ".gz", ".hdr", ".img", ".mgz"}
        and 0 < path.stat().st_size < LARGEST_SEED_BYTES
    }
