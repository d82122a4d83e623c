"""Series of regions that are kept beside a cohort's: the same numbers, or computed again."""

import multiprocessing
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from imaging import PreprocessingSpec, brain_cube
from imaging.regions import Regions, tile_brain
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import tiny_subjects
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.views import REGIONS_FOLDER, region_series, view_scan
from training.cohort.store.writing import write_series

SPEC = PreprocessingSpec(grid_size=12, window_frames=3, n_windows=1)
MASK = brain_cube(12).mask
N_VOXELS = int(MASK.sum())
N_REGIONS = 5
LABELS = np.arange(N_VOXELS) % (N_REGIONS + 1)
REGIONS = Regions.from_labels(LABELS)


def noise(seed):
    return np.random.default_rng(seed).standard_normal((7, N_VOXELS))


@pytest.fixture
def store(tmp_path) -> CohortStore:
    people = tiny_subjects(3)
    series = {one.subject_id: [noise(number)] for number, one in enumerate(people)}
    return write_store(tmp_path / "cohort", subjects=people, series=series, spec=SPEC)


def expected(store, scan):
    """Average each region's voxels in double precision."""
    series = np.load(store.folder / scan.series_file).astype(np.float64)
    return np.stack([series[:, region == LABELS].mean(axis=1) for region in range(1, N_REGIONS + 1)], axis=1)


def kept_files(store):
    return sorted(path for path in store.folder.glob(f"{REGIONS_FOLDER}/*/*") if path.is_file())


def test_what_is_kept_is_what_was_computed(store, monkeypatch):
    scan = store.scans[1]
    computed = region_series(store, scan, REGIONS)
    np.testing.assert_allclose(computed, expected(store, scan), atol=1e-6)
    (path,) = kept_files(store)
    assert path.name.startswith("101_1_1_simulated.")
    monkeypatch.setattr(Regions, "means", None)  # nothing is computed a second time
    again = view_scan(store, scan).region_series(REGIONS)
    np.testing.assert_array_equal(again, computed)
    assert (again.dtype, again.shape) == (np.float32, (7, N_REGIONS))


def test_every_scan_and_every_set_of_regions_has_a_file_of_its_own(store):
    for scan in store.scans:
        for regions in (REGIONS, tile_brain(12)):
            region_series(store, scan, regions)
    assert len(kept_files(store)) == 6
    assert len({path.parent for path in kept_files(store)}) == 2
    for scan in store.scans:
        np.testing.assert_allclose(region_series(store, scan, REGIONS), expected(store, scan), atol=1e-6)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:40],
        lambda _content: b"",
        lambda content: content + b"0",
        lambda _content: b"PK\x03\x04 no archive",
        lambda content: b"\x93NUMPY\x01\x00\xff\xff" + content[10:],
    ],
    ids=["a bit", "the last byte", "half", "header", "empty", "longer", "a zip's beginning", "no header"],
)
def test_a_damaged_file_is_computed_again_and_mended(damage, store):
    scan = store.scans[0]
    whole = region_series(store, scan, REGIONS)
    (path,) = kept_files(store)
    before = path.read_bytes()
    path.write_bytes(damage(before))
    np.testing.assert_array_equal(region_series(store, scan, REGIONS), whole)
    assert path.read_bytes() == before


def test_somebody_elses_series_in_its_place_is_not_read(store):
    mine, other = (region_series(store, scan, REGIONS) for scan in store.scans[:2])
    assert not np.array_equal(mine, other)
    first, second = kept_files(store)
    shutil.copy(second, first)
    np.testing.assert_array_equal(region_series(store, store.scans[0], REGIONS), mine)


def test_a_series_that_has_changed_is_another_file(store):
    scan = store.scans[0]
    region_series(store, scan, REGIONS)
    digest = write_series(store.folder, scan.series_file, noise(9))
    changed = replace(scan, series_sha256=digest)
    found = region_series(store, changed, REGIONS)
    np.testing.assert_allclose(found, expected(store, changed), atol=1e-6)
    assert len(kept_files(store)) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root")
def test_a_folder_that_cannot_be_written_keeps_nothing_and_gives_the_same(store):
    store.folder.chmod(0o555)
    try:
        found = region_series(store, store.scans[0], REGIONS)
    finally:
        store.folder.chmod(0o755)
    np.testing.assert_allclose(found, expected(store, store.scans[0]), atol=1e-6)
    assert kept_files(store) == []


def test_where_a_file_is_in_the_way_of_the_folder_nothing_is_kept(store):
    (store.folder / REGIONS_FOLDER).write_text("")
    for _ in range(2):
        found = region_series(store, store.scans[0], REGIONS)
        np.testing.assert_allclose(found, expected(store, store.scans[0]), atol=1e-6)
    assert (store.folder / REGIONS_FOLDER).read_text() == ""


def test_a_full_disk_keeps_nothing_and_gives_the_same(store, monkeypatch):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("training.cohort.store.views.replace_file", full)
    found = region_series(store, store.scans[0], REGIONS)
    np.testing.assert_allclose(found, expected(store, store.scans[0]), atol=1e-6)


def _read_often(folder, barrier, answers):
    store = CohortStore.open(folder)
    barrier.wait()
    sums = []
    for _ in range(20):
        shutil.rmtree(folder / REGIONS_FOLDER, ignore_errors=True)
        sums += [float(region_series(store, scan, REGIONS).sum()) for scan in store.scans]
    answers.put(sums)


def test_two_processes_at_once_give_the_same_and_leave_whole_files(store):
    """Each takes away what the other keeps, again and again."""
    context = multiprocessing.get_context("fork")
    barrier, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_read_often, args=(store.folder, barrier, answers)) for _ in range(2)]
    for process in both:
        process.start()
    found = [answers.get(timeout=60) for _ in both]
    for process in both:
        process.join()
    assert [process.exitcode for process in both] == [0, 0]
    assert found[0] == found[1]
    once = [float(region_series(store, scan, REGIONS).sum()) for scan in store.scans]
    assert found[0] == once * 20
    assert not list(store.folder.glob(f"{REGIONS_FOLDER}/*/.*")), "no half-written file stays"


def test_a_cohort_with_kept_series_opens_and_verifies_as_before(store):
    before = store.fingerprint(store.subjects)
    region_series(store, store.scans[0], REGIONS)
    again = CohortStore.open(store.folder)
    again.verify()
    assert again.fingerprint(again.subjects) == before
