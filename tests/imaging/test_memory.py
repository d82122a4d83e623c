"""Memory stays under 1 GiB whatever a file promises or unpacks to: measured in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from isal import igzip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc"),
]

LIMIT_BYTES = 2**30

SCRIPT = """
import json, re, sys
from pathlib import Path
from imaging import ScanError, check_scan
try:
    check_scan(Path(sys.argv[1]))
    outcome = "accepted"
except ScanError as error:
    outcome = error.code
# Not getrusage: a child's ru_maxrss starts at what its parent held when it forked.
peak_kib = int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
print(json.dumps([outcome, peak_kib * 1024]))
"""


def check_alone(path: Path) -> tuple[str, int]:
    answer = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(path)], capture_output=True, text=True, check=True, timeout=200
    )
    outcome, peak_bytes = json.loads(answer.stdout)
    return outcome, peak_bytes


def header(write_nifti, shape, affine, **fields) -> bytes:
    empty = np.zeros((1, 1, 1, 20), dtype=fields.pop("dtype", np.int16))
    path = write_nifti(empty, affine=affine, dim=[4, *shape, 1, 1, 1], name="header.nii", **fields)
    return path.read_bytes()[:352]


@pytest.mark.parametrize("promised", [20, 1000])
def test_two_gigabytes_of_zeros_in_two_megabytes(promised, write_nifti, tmp_path):
    path = tmp_path / "bomb.nii.gz"
    with igzip.open(path, "wb", compresslevel=3) as stream:
        stream.write(header(write_nifti, (100, 100, 100, promised), np.diag([2.0, 2, 2, 1])))
        zeros = bytes(20_000_000)
        for _ in range(100):
            stream.write(zeros)
    assert path.stat().st_size < 12 * 2**20
    outcome, peak_bytes = check_alone(path)
    assert outcome == ("all_zero" if promised == 1000 else "data_too_long")
    assert peak_bytes < LIMIT_BYTES / 2


def test_a_header_may_promise_what_it_likes(write_nifti, tmp_path):
    path = tmp_path / "promise.nii.gz"
    for shape in ((32767, 32767, 32767, 32767), (215, 215, 215, 4096)):
        with igzip.open(path, "wb") as stream:
            stream.write(header(write_nifti, shape, np.diag([2.0, 2, 2, 1])) + bytes(1000))
        outcome, peak_bytes = check_alone(path)
        assert outcome == "scan_too_large"
        assert peak_bytes < LIMIT_BYTES / 2


def test_the_largest_frames_that_are_accepted(write_nifti, tmp_path):
    path = tmp_path / "large.nii.gz"
    with igzip.open(path, "wb") as stream:
        stream.write(header(write_nifti, (200, 200, 200, 20), np.diag([1.0, 1, 1, 1]), dtype=np.float64))
        frame = np.zeros(200**3)
        for number in range(20):
            frame[::1001] = number
            stream.write(frame.tobytes())
    outcome, peak_bytes = check_alone(path)
    assert outcome == "not_in_template_space"
    assert peak_bytes < LIMIT_BYTES


def test_the_finest_voxels_that_are_accepted(write_nifti, tmp_path):
    """Ten million voxels, all of them in the brain: the map and the sums are the largest here."""
    affine = np.diag([0.45, 0.45, 0.45, 1])
    affine[:3, 3] = [-48, -66, -38]
    path = tmp_path / "fine.nii.gz"
    with path.open("wb") as file:
        file.write(igzip.compress(header(write_nifti, (215, 215, 215, 20), affine, dtype=np.uint8), 1))
        frame = np.zeros(215**3, dtype=np.uint8)
        for number in range(20):
            frame[::101] = number * 10
            file.write(igzip.compress(frame.tobytes(), 1))
    assert path.stat().st_size < 16 * 2**20
    outcome, peak_bytes = check_alone(path)
    assert outcome == "not_in_template_space"
    assert peak_bytes < LIMIT_BYTES * 3 / 4


def one_turn(simulate, grid, dtype) -> bytes:
    """24 frames of a brain that are one turn of a sine, so that repeating them repeats it."""
    turn = 2 * np.pi * np.arange(24) / 24
    still = simulate(*grid, n_frames=2)
    frames = still[..., :1] * np.cos(turn, dtype=np.float32) + still[..., 1:] * np.sin(turn, dtype=np.float32)
    return np.rint(frames / np.abs(frames).max() * 20).astype(dtype).tobytes(order="F")


@pytest.mark.parametrize(
    ("grid", "dtype", "tr", "turns", "share"),
    [("athena", np.int8, 0.87, 170, 0.6), ("2mm", np.int16, 0.72, 50, 0.75)],
    ids=["an hour at 4 mm", "1200 frames at 2 mm"],
)
def test_a_long_run_of_a_whole_brain(grid, dtype, tr, turns, share, grids, simulate, write_nifti, tmp_path):
    shape, affine = grids[grid]
    path = tmp_path / "long.nii.gz"
    with path.open("wb") as file:
        promised = header(write_nifti, (*shape, 24 * turns), affine, tr=tr, dtype=dtype)
        file.write(igzip.compress(promised, 1))
        member = igzip.compress(one_turn(simulate, grids[grid], dtype), 1)
        for _ in range(turns):
            file.write(member)
    outcome, peak_bytes = check_alone(path)
    assert outcome == "accepted"
    assert peak_bytes < LIMIT_BYTES * share
