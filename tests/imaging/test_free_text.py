"""No word of a header reaches the copy, and every sample does."""

import gzip
import io
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from isal import igzip

from imaging import ScanError, gzip_splice, open_scan
from imaging.free_text import copy_without_free_text
from imaging.simulation_mark import SIMULATION_MARK

SECRET = b"Jane Doe"
TEXTS = {
    1: {
        "data_type": b"Jane Doe",
        "db_name": SECRET,
        "aux_file": SECRET,
        "intent_name": SECRET,
        "descrip": SECRET,
    },
    2: {"aux_file": SECRET, "intent_name": SECRET, "descrip": SECRET, "unused_str": SECRET},
}


def extension(text: bytes, *, code: int = 6, order: str = "little") -> bytes:
    size = 8 + len(text) + -(8 + len(text)) % 16
    return size.to_bytes(4, order) + code.to_bytes(4, order) + text.ljust(size - 8, b"\0")


def copied(path: Path) -> tuple[bytes, tuple[str, ...]]:
    target = io.BytesIO()
    _, emptied = copy_without_free_text(path, target)
    return target.getvalue(), emptied


def noise(n_frames: int = 60) -> np.ndarray:
    """Samples that compress as little as real ones: several blocks of deflate, all values of a byte."""
    return np.random.default_rng(3).normal(0, 3000, (16, 18, 14, n_frames)).astype(np.int16)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_no_word_is_left_and_every_sample_is(write_nifti, name, version, byte_order):
    order = "little" if byte_order == "<" else "big"
    path = write_nifti(
        noise(),
        name=name,
        nifti2=version == 2,
        byte_order=byte_order,
        extension=extension(b"ward 7, Jane Doe, born 2001", order=order) * 3,
        **TEXTS[version],
    )
    copy, emptied = copied(path)
    assert set(emptied) == {*TEXTS[version], "extensions"}
    inside = gzip.decompress(copy) if name.endswith("gz") else copy
    assert SECRET not in inside
    assert SECRET not in copy
    path.with_name("copy-" + name).write_bytes(copy)
    before, after = nib.load(path), nib.load(path.with_name("copy-" + name))
    assert len(after.header.extensions) == 0
    np.testing.assert_array_equal(np.asanyarray(after.dataobj), np.asanyarray(before.dataobj))
    np.testing.assert_array_equal(after.affine, before.affine)
    for field in before.header.keys() - TEXTS[version].keys():
        np.testing.assert_array_equal(after.header[field], before.header[field], err_msg=field)
    ours, theirs = open_scan(path), open_scan(path.with_name("copy-" + name))
    assert (theirs.shape, theirs.tr_s, theirs.dtype) == (ours.shape, ours.tr_s, ours.dtype)


@pytest.mark.parametrize(
    ("descrip", "kept", "emptied"),
    [
        (SIMULATION_MARK, SIMULATION_MARK, ()),
        (b"Jane; " + SIMULATION_MARK + b" Doe", SIMULATION_MARK, ("descrip",)),
        (b"\0hidden behind the end", b"", ("descrip",)),
        (b"", b"", ()),
    ],
)
def test_only_the_simulators_mark_stays(write_nifti, descrip, kept, emptied):
    path = write_nifti(noise(), name="scan.nii.gz", descrip=np.bytes_(descrip))
    head = bytearray(gzip.decompress(path.read_bytes()))
    head[148:228] = descrip.ljust(80, b"\0")
    path.write_bytes(gzip.compress(bytes(head)))
    copy, found = copied(path)
    assert found == emptied
    assert gzip.decompress(copy)[148:228] == kept.ljust(80, b"\0")
    assert [warning.code for warning in reopened(path, copy).warnings] == ["simulated_scan"] * bool(kept)


def reopened(path: Path, copy: bytes):
    path.with_name("copy.nii.gz").write_bytes(copy)
    return open_scan(path.with_name("copy.nii.gz"))


def member(
    content: bytes, *, level: int = 6, name: bytes = b"", comment: bytes = b"", extra: bytes = b""
) -> bytes:
    """Write one gzip member by RFC 1952."""
    flags = 4 * bool(extra) | 8 * bool(name) | 16 * bool(comment)
    head = b"\x1f\x8b\x08" + bytes([flags]) + b"\1\2\3\4\0\3"
    head += len(extra).to_bytes(2, "little") + extra if extra else b""
    head += name + b"\0" if name else b""
    head += comment + b"\0" if comment else b""
    deflate = zlib.compressobj(level, wbits=-15)
    body = deflate.compress(content) + deflate.flush()
    return (
        head + body + zlib.crc32(content).to_bytes(4, "little") + (len(content) % 2**32).to_bytes(4, "little")
    )


DISGUISES = {
    "name": lambda content: member(content, name=b"Jane Doe.nii"),
    "comment": lambda content: member(content, comment=b"of Jane Doe"),
    "extra": lambda content: member(content, extra=b"JD\x08\0Jane Doe"),
    "all": lambda content: member(content, name=b"Jane Doe", comment=b"Jane Doe", extra=b"JD\x08\0Jane Doe"),
    "empty member before": lambda content: member(b"", name=b"Jane Doe") + member(content),
    "empty member behind": lambda content: member(content) + member(b"", comment=b"Jane Doe"),
    "two members": lambda content: member(content[:5000], name=b"Jane Doe") + member(content[5000:]),
    "zeros behind": lambda content: member(content, name=b"Jane Doe") + bytes(512),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_words_around_the_samples_go_too(write_nifti, disguise):
    path = write_nifti(noise(), name="scan.nii", descrip=SECRET)
    content = path.read_bytes()
    path = path.with_name("scan.nii.gz")
    path.write_bytes(DISGUISES[disguise](content))
    copy, emptied = copied(path)
    assert emptied == ("descrip",)
    assert SECRET not in copy
    assert gzip.decompress(copy) == content[:148] + bytes(80) + content[228:]
    # One member, with a header of ten bytes that says nothing and nothing behind its end.
    assert copy[:10] == b"\x1f\x8b\x08\x00" + bytes(4) + copy[8:10]
    alone = zlib.decompressobj(wbits=31)
    alone.decompress(copy)
    assert (alone.eof, alone.unused_data) == (True, b"")


WRITERS = {
    **{f"zlib {level}": lambda content, level=level: gzip.compress(content, level) for level in (0, 1, 6, 9)},
    **{f"isal {level}": lambda content, level=level: igzip.compress(content, level) for level in range(4)},
    "fixed": lambda content: compressed_by(content, zlib.Z_FIXED),
    "huffman": lambda content: compressed_by(content, zlib.Z_HUFFMAN_ONLY),
    "rle": lambda content: compressed_by(content, zlib.Z_RLE),
}


def compressed_by(content: bytes, strategy: int) -> bytes:
    deflate = zlib.compressobj(6, zlib.DEFLATED, 31, 8, strategy)
    return deflate.compress(content) + deflate.flush()


@pytest.mark.parametrize("n_frames", [20, 60, 200])
@pytest.mark.parametrize("writer", WRITERS)
def test_whoever_compressed_it_the_copy_holds_the_same(write_nifti, writer, n_frames):
    path = write_nifti(noise(n_frames), name="scan.nii", aux_file=SECRET)
    content = path.read_bytes()
    path.write_bytes(WRITERS[writer](content))
    copy, _ = copied(path)
    assert gzip.decompress(copy) == content.replace(SECRET, bytes(len(SECRET)))
    assert igzip.decompress(copy) == gzip.decompress(copy)


def test_an_ordinary_file_is_spliced_at_whatever_bit_its_blocks_meet(write_nifti, monkeypatch):
    """What follows the first blocks is the old stream, at every phase that empty blocks can reach."""
    seen = set()
    bridge = gzip_splice._bridge
    monkeypatch.setattr(gzip_splice, "_bridge", lambda *given: seen.add(given[1]) or bridge(*given))
    for seed in range(25):
        bold = np.random.default_rng(seed).normal(0, 2000 + 100 * seed, (16, 18, 14, 60)).astype(np.int16)
        path = write_nifti(bold, name="scan.nii", aux_file=SECRET)
        content = path.read_bytes()
        path.write_bytes(gzip.compress(content, 6, mtime=0))
        target = io.BytesIO()
        new = content[:352].replace(SECRET, bytes(len(SECRET)))
        with path.open("rb") as source:
            assert gzip_splice.splice(source, target, old=content[:352], new=new, total_bytes=len(content))
        assert gzip.decompress(target.getvalue()) == new + content[352:]
        assert target.getvalue()[-200_000:-8] == path.read_bytes()[-200_000:-8]
    assert seen == {2, 4, 6}


def test_without_zlib_the_file_is_compressed_anew(write_nifti, monkeypatch):
    path = write_nifti(noise(), name="scan.nii.gz", descrip=SECRET)
    spliced, _ = copied(path)
    monkeypatch.setattr(gzip_splice, "_zlib", lambda: None)
    anew, emptied = copied(path)
    assert emptied == ("descrip",)
    assert gzip.decompress(anew) == gzip.decompress(spliced)
    assert anew != spliced


def test_a_damaged_stream_stays_damaged(write_nifti):
    """A wrong checksum must not be made right."""
    path = write_nifti(noise(200), name="scan.nii.gz", descrip=SECRET)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    copy, _ = copied(path)
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(copy)
    with pytest.raises(ScanError, match="damaged"):
        list(reopened(path, copy).blocks())


def test_a_trailer_that_promises_less_than_comes_does_not_hold_the_copying(write_nifti):
    """Found by fuzzing: zlib's arithmetic of checksums never ends for a negative length."""
    path = write_nifti(noise(200), name="scan.nii", descrip=SECRET)
    content = bytearray(path.read_bytes())
    for axis, length in enumerate((8, 8, 8, 20)):
        content[42 + 2 * axis : 44 + 2 * axis] = length.to_bytes(2, "little")
    promised = 352 + 8 * 8 * 8 * 20 * 2
    packed = bytearray(gzip.compress(bytes(content)))
    packed[-4:] = promised.to_bytes(4, "little")
    path.write_bytes(packed)
    with pytest.raises(ScanError, match="found more"):
        copied(path)


@pytest.mark.real_data
def test_real_scans_keep_every_sample(shared_data):
    scans = [*shared_data.glob("athena_like/*.nii.gz"), *shared_data.glob("bold/ds205*.nii.gz")]
    assert len(scans) == 2
    for path in scans:
        copy, emptied = copied(path)
        before, after = gzip.decompress(path.read_bytes()), gzip.decompress(copy)
        start = int(nib.load(path).dataobj.offset)
        assert len(before) == len(after)
        assert before[start:] == after[start:]
        assert set(emptied) <= {"descrip", "extensions"}
        assert emptied
