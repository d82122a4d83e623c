import numpy as np
import pytest

from imaging import BoldScan, open_scan
from imaging.dimensions import ScanTooLargeError
from imaging.orientation import ImplausibleAffineError, SingularAffineError
from imaging.timing import ImplausibleRepetitionTimeError, MissingRepetitionTimeError

AFFINE = np.diag([4.0, 4, 4, 1])


def test_a_scan_describes_itself_without_its_path(write_nifti, small_bold):
    path = write_nifti(small_bold)
    scan = open_scan(path)
    assert repr(scan) == "BoldScan(5x6x7x30 int16, 4 x 4 x 4 mm, TR 2 s)"
    assert (scan.n_frames, scan.duration_s) == (30, 60.0)


def test_opening_reads_no_sample(write_nifti, small_bold, tmp_path):
    content = write_nifti(small_bold, name="whole.nii.gz").read_bytes()
    path = tmp_path / "cut.nii.gz"
    path.write_bytes(content[: len(content) // 2])
    assert open_scan(path).shape == (5, 6, 7, 30)


def test_an_array_keeps_its_own_copy_of_the_affine(small_bold):
    affine = AFFINE.copy()
    scan = BoldScan.from_array(small_bold, affine=affine, tr_s=2.0)
    affine[0, 0] = 99
    assert scan.affine[0, 0] == 4


@pytest.mark.parametrize(
    ("affine", "tr_s", "refusal"),
    [
        (np.diag([4.0, 4, 0, 1]), 2.0, SingularAffineError),
        (np.diag([4.0, 4, 400, 1]), 2.0, ImplausibleAffineError),
        (np.full((4, 4), np.nan), 2.0, ImplausibleAffineError),
        (AFFINE, 0.0, MissingRepetitionTimeError),
        (AFFINE, 2000.0, ImplausibleRepetitionTimeError),
        (AFFINE, float("nan"), ImplausibleRepetitionTimeError),
    ],
)
def test_an_array_is_checked_like_a_file(affine, tr_s, refusal, small_bold):
    with pytest.raises(refusal):
        BoldScan.from_array(small_bold, affine=affine, tr_s=tr_s)


@pytest.mark.parametrize(
    ("shape", "tr_s", "quantity"),
    [
        ((300, 300, 300, 30), 2.0, "voxels a frame"),
        ((200, 200, 220, 30), 2.0, "bytes a frame"),
        ((5, 6, 7, 5000), 0.5, "frames"),
        ((5, 6, 7, 1801), 2.0, "seconds"),
        ((128, 128, 128, 1200), 2.0, "bytes of samples"),
    ],
)
def test_what_cannot_be_held_is_refused(shape, tr_s, quantity):
    # A view of one number: an array of this shape without its memory.
    bold = np.broadcast_to(np.float64(1), shape)
    with pytest.raises(ScanTooLargeError) as caught:
        BoldScan.from_array(bold, affine=AFFINE, tr_s=tr_s)
    assert caught.value.quantity == quantity
