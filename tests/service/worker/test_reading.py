"""A scan that is prepared in an enclosure is the scan that is prepared here, and a broken answer is none."""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from imaging import PreparedScan, PreprocessingSpec, ScanError, prepare_scan
from service.enclosure import Answer, Enclosure, Limits, ReaderDiedError, ReaderMemoryError
from service.worker.reading import StoredFileChangedError, prepare_enclosed
from service.worker.runtime import READING

LIMITS = Limits(memory_bytes=1 << 30, time_s=60, written_bytes=1 << 30)


@pytest.fixture(scope="module")
def enclosure() -> Iterator[Enclosure]:
    opened = Enclosure(READING)
    yield opened
    opened.close()


def prepared(enclosure: Enclosure, path: Path, *, limits: Limits = LIMITS, **changes: Any) -> PreparedScan:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    named: dict[str, Any] = {
        "display_name": "shown.nii.gz",
        "sha256": "5" * 64,
        "stored_sha256": digest,
        "limits": limits,
        "progress": lambda _fraction: None,
        "check": lambda: None,
    }
    return prepare_enclosed(enclosure, path, PreprocessingSpec(), **{**named, **changes})


def test_derived_maps_come_along_where_they_are_wanted(enclosure: Enclosure, simulated_scan: Path) -> None:
    there = prepared(enclosure, simulated_scan, maps=True).network_input
    here = prepare_scan(simulated_scan, PreprocessingSpec(), maps=True).network_input
    assert there.maps is not None
    np.testing.assert_array_equal(there.maps, here.maps)
    np.testing.assert_array_equal(there.series, here.series)
    assert prepared(enclosure, simulated_scan).network_input.maps is None


def test_it_is_the_same_scan_to_the_last_bit(enclosure: Enclosure, simulated_scan: Path) -> None:
    seen: list[float] = []
    there = prepared(enclosure, simulated_scan, progress=seen.append)
    here = prepare_scan(simulated_scan, PreprocessingSpec())
    np.testing.assert_array_equal(there.network_input.frames, here.network_input.frames)
    assert there.network_input.frames.dtype == here.network_input.frames.dtype
    assert json.dumps(there.network_input.quality.to_json()) == json.dumps(
        here.network_input.quality.to_json()
    )
    assert there.network_input.warnings == here.network_input.warnings
    assert (there.network_input.tr_s, there.network_input.spec) == (
        here.network_input.tr_s,
        here.network_input.spec,
    )
    # The scan is known as it was uploaded, whatever copy of it is stored.
    assert there.scan == here.scan | {"name": "shown.nii.gz", "sha256": "5" * 64}
    assert set(there.timing_ms) == set(here.timing_ms)
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_other_bytes_than_were_stored_are_not_read(enclosure: Enclosure, simulated_scan: Path) -> None:
    with pytest.raises(StoredFileChangedError):
        prepared(enclosure, simulated_scan, stored_sha256="0" * 64)


def test_other_bytes_than_were_stored_are_told_as_that_and_not_as_a_bad_scan(
    enclosure: Enclosure, simulated_scan: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(simulated_scan.read_bytes()[:-1000])
    with pytest.raises(StoredFileChangedError):
        prepared(enclosure, cut, stored_sha256=hashlib.sha256(simulated_scan.read_bytes()).hexdigest())


def test_a_refusal_is_told_in_its_own_words(
    enclosure: Enclosure, simulated_scan: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "cut.nii.gz"
    cut.write_bytes(simulated_scan.read_bytes()[:-1000])
    with pytest.raises(ScanError) as here:
        prepare_scan(cut, PreprocessingSpec())
    with pytest.raises(ScanError) as there:
        prepared(enclosure, cut)
    assert (there.value.code, str(there.value)) == (here.value.code, str(here.value))
    assert there.value.details() == here.value.details()


def test_a_scan_that_does_not_fit_is_refused(enclosure: Enclosure, tmp_path: Path) -> None:
    # Six million voxels a frame, in a file that is a hole.
    large = tmp_path / "large.nii"
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((180, 180, 180, 20))
    header.set_zooms((1, 1, 1, 2))
    header.set_sform(np.diag([1.0, 1, 1, 1]), code=4)
    header["magic"], header["vox_offset"] = b"n+1", 352
    large.write_bytes(header.binaryblock)
    os.truncate(large, 352 + 180**3 * 20 * 2)
    tight = Limits(memory_bytes=40 << 20, time_s=60, written_bytes=1 << 30)
    with pytest.raises(ReaderMemoryError):
        prepared(enclosure, large, limits=tight)
    with pytest.raises(ScanError, match="found zero in every voxel"):
        prepared(enclosure, large)


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 7},
        {"frames": "7"},
        {"quality": {}},
        {"warnings": [{"code": "x"}]},
        {"surplus": 1},
        {"timing_ms": {"read": "fast"}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_an_answer_that_does_not_fit_together_is_not_believed(
    enclosure: Enclosure, simulated_scan: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any]
) -> None:
    real = Enclosure.run

    def lie(self: Enclosure, *args: Any, **named: Any) -> Answer:
        answer = real(self, *args, **named)
        return Answer(answer.values | change, answer.array)

    monkeypatch.setattr(Enclosure, "run", lie)
    with pytest.raises(ReaderDiedError, match="an answer that no reader gives"):
        prepared(enclosure, simulated_scan)
