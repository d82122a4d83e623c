import ast
import errno
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from imaging import PreprocessingSpec, brain_cube
from imaging.variation import AllZeroError
from training.cohort.ingest import (
    DiskFullError,
    NoUsableScanError,
    OutputNotWritableError,
    SourceNotReadableError,
    ingest,
)
from training.cohort.ingest_folder import CohortBusyError, CohortOfOtherSettingsError, IngestFolder
from training.cohort.phenotypes.table import PhenotypeTable, TableFinding
from training.cohort.scan_work import IngestProcessLostError, Job, run_jobs
from training.cohort.sources.simulated import SimulatedSource
from training.cohort.sources.source import DuplicateScanError, PreparedSeries, ScanEntry, SourceFinding
from training.cohort.store import writing as store_writing
from training.cohort.store.cohort_store import CohortStore, MapsNotStoredError, TissuesNotStoredError
from training.cohort.store.index import CohortUnfinishedError
from training.cohort.subjects import Subject
from training.new_folder import OutputFolderNotEmptyError

SPEC = PreprocessingSpec(grid_size=8)
REPOSITORY = Path(__file__).resolve().parents[3]
N_VOXELS = int(brain_cube(8).mask.sum())


@dataclass(frozen=True, kw_only=True)
class MadeEntry(ScanEntry):
    """A scan of noise that follows from its name, or the error that reading it ends with."""

    made: list[str]
    error: BaseException | None = None
    version: int = 1
    warnings: tuple[str, ...] = ("template_fit_poor",)
    with_maps: bool = False
    t1w: str | None = None

    @property
    def has_maps(self):
        return self.with_maps

    @property
    def has_t1w(self):
        return None if self.t1w is None else self.t1w != "none"

    def stamp(self):
        return f"version {self.version}"

    def prepare(self, spec, *, workspace):
        assert spec == SPEC
        self.made.append(self.source_name)
        (workspace / "unpacked").write_bytes(b"for a moment")
        if self.error is not None:
            raise self.error
        seed = [int(self.subject_id), int(self.run), self.version]
        return PreparedSeries(
            series=np.random.default_rng(seed).standard_normal((30, N_VOXELS)),
            tr_s=2.5,
            n_frames=25,
            dvars_mean=1.25,
            spikes=3,
            quality={"tsnr": None},
            warnings=self.warnings,
            source_sha256=hashlib.sha256(repr(seed).encode()).hexdigest(),
            maps=made_maps(seed) if self.with_maps else None,
            tissues=made_tissues(seed) if self.t1w == "serves" else None,
        )


def made_maps(seed):
    return np.random.default_rng([*seed, 1]).standard_normal((5, N_VOXELS)).astype(np.float32)


def made_tissues(seed):
    n_voxels = int(brain_cube(16).mask.sum())
    return np.random.default_rng([*seed, 2]).uniform(size=(3, n_voxels)).astype(np.float32)


class MadeSource:
    kind = "made"
    name = "a made release"

    def __init__(self, *entries, findings=(), simulated=False):
        self.listed = entries
        self.findings = findings
        self.simulated = simulated

    def entries(self):
        return self.listed

    def provenance(self):
        return {"made": True}


def made(*subjects, **changed):
    """One scan a subject, and the list of those that were really read."""
    read: list[str] = []
    entries = [
        MadeEntry(
            subject_id=str(subject),
            session="1",
            run="1",
            variant="filtered",
            source_name=f"scan {subject}",
            made=read,
        )
        for subject in subjects
    ]
    return [replace(entry, **changed) for entry in entries], read


def table(*subjects, findings=()):
    people = tuple(
        Subject(subject_id=str(subject), site="NYU", label=subject % 2, diagnosis=str(subject % 2))
        for subject in subjects
    )
    return PhenotypeTable("table.tsv", people, findings)


def run(entries, out, *, people=(1, 2, 3), **options):
    return ingest(MadeSource(*entries), table(*people), out, **({"spec": SPEC, "processes": 0} | options))


def digests(folder):
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_scans_are_stored_with_where_they_came_from(tmp_path):
    entries, _ = made(2, 1)
    steps = []
    report = run(
        entries, tmp_path / "new" / "cohort", progress=lambda stage, done: steps.append((stage, done))
    )
    store = CohortStore.open(tmp_path / "new" / "cohort")
    assert steps == [("ingesting", 0.0), ("ingesting", 0.5), ("ingesting", 1.0)]
    assert [subject.subject_id for subject in store.subjects] == ["1", "2"]
    scan = store.scans[1]
    assert (scan.subject_id, scan.variant, scan.tr_s, scan.n_frames, scan.n_stored_frames) == (
        "2",
        "filtered",
        2.5,
        25,
        30,
    )
    assert (scan.dvars_mean, scan.spikes, scan.warnings) == (1.25, 3, ("template_fit_poor",))
    assert scan.source_sha256 == hashlib.sha256(b"[2, 1, 1]").hexdigest()
    expected = np.random.default_rng([2, 1, 1]).standard_normal((30, N_VOXELS)).astype(np.float16)
    np.testing.assert_array_equal(store.series(scan), expected)
    assert store.record.source == {
        "kind": "made",
        "name": "a made release",
        "table": "table.tsv",
        "made": True,
    }
    assert (report.n_new, report.n_kept) == (2, 0)
    assert sorted(path.name for path in store.folder.iterdir()) == [
        "cohort.json",
        "scans.jsonl",
        "series",
        "subjects.tsv",
    ]
    store.verify()


def test_everything_left_out_is_told(tmp_path):
    entries, _ = made(1, 2, 77, 3)
    entries[1] = replace(entries[1], error=AllZeroError())
    entries[3] = replace(entries[3], error=PermissionError(errno.EACCES, "Permission denied"))
    source = MadeSource(
        *entries, findings=[SourceFinding(code="file_not_understood", name="odd", message="odd")]
    )
    people = table(1, 2, 3, 4, findings=(TableFinding("label_pending", "1", "DX is 'pending'"),))
    report = ingest(source, people, tmp_path / "cohort", spec=SPEC, processes=0)
    assert report.counts == {
        "all_zero": 1,
        "source_unreadable": 1,
        "scan_without_row": 1,
        "row_without_scan": 1,
        "file_not_understood": 1,
        "label_pending": 1,
    }
    assert [subject.subject_id for subject in report.store.subjects] == ["1"]
    written = report.store.record.report
    assert written["counts"] == report.counts
    told = {finding["code"]: (finding["subject_id"], finding["name"]) for finding in written["findings"]}
    assert told == {
        "all_zero": ("2", "scan 2"),
        "source_unreadable": ("3", "scan 3"),
        "scan_without_row": ("77", "scan 77"),
        "row_without_scan": ("4", "NYU"),
        "file_not_understood": (None, "odd"),
        "label_pending": ("1", "table.tsv"),
    }


def test_a_second_call_reads_nothing_again_and_changes_nothing(tmp_path):
    entries, read = made(1, 2, 3)
    run(entries, tmp_path / "cohort")
    before = digests(tmp_path / "cohort")
    report = run(entries, tmp_path / "cohort")
    assert read == ["scan 1", "scan 2", "scan 3"]
    assert (report.n_new, report.n_kept) == (0, 3)
    assert digests(tmp_path / "cohort") == before


def test_a_changed_source_or_a_lost_series_is_read_again(tmp_path):
    entries, read = made(1, 2, 3)
    out = tmp_path / "cohort"
    run(entries, out)
    read.clear()
    (out / "series" / "1_1_1_filtered.npy").unlink()
    (out / "series" / "2_1_1_filtered.npy").write_bytes(b"cut")
    run(entries, out)
    assert read == ["scan 1", "scan 2"]
    read.clear()
    entries[2] = replace(entries[2], version=2)
    report = run(entries, out)
    assert read == ["scan 3"]
    expected = np.random.default_rng([3, 1, 2]).standard_normal((30, N_VOXELS)).astype(np.float16)
    np.testing.assert_array_equal(report.store.series(report.store.scans[2]), expected)


def test_maps_are_stored_beside_the_series(tmp_path):
    entries, _ = made(1, 2, with_maps=True)
    entries[1] = replace(entries[1], with_maps=False)
    store = run(entries, tmp_path / "cohort").store
    np.testing.assert_array_equal(store.maps(store.scans[0]), made_maps([1, 1, 1]))
    with pytest.raises(MapsNotStoredError):
        store.maps(store.scans[1])
    assert [path.name for path in (store.folder / "maps").iterdir()] == ["1_1_1_filtered.npy"]
    store.verify()


def test_lost_maps_are_made_again(tmp_path):
    entries, read = made(1, 2, 3, with_maps=True)
    out = tmp_path / "cohort"
    run(entries, out)
    before = digests(out)
    read.clear()
    (out / "maps" / "1_1_1_filtered.npy").unlink()
    (out / "maps" / "2_1_1_filtered.npy").write_bytes(b"cut")
    report = run(entries, out)
    assert read == ["scan 1", "scan 2"]
    assert (report.n_new, report.n_kept) == (2, 1)
    assert digests(out) == before


def test_a_cohort_of_before_maps_were_kept_gets_them_from_the_same_call(tmp_path):
    entries, read = made(1, 2, 3, with_maps=True)
    out = tmp_path / "cohort"
    run(entries, tmp_path / "new" / "cohort")
    run([replace(entry, with_maps=False) for entry in entries], out)
    assert not (out / "maps").exists()
    read.clear()
    report = run(entries, out)
    assert (report.n_new, report.n_kept, len(read)) == (3, 0, 3)
    assert digests(out) == digests(tmp_path / "new" / "cohort")
    read.clear()
    assert run(entries, out).n_kept == 3
    assert read == []


def with_images():
    """Somebody whose image serves, somebody whose image does not, and somebody without."""
    entries, read = made(1, 2, 3)
    images = ("serves", "does not", "none")
    return [replace(entry, t1w=image) for entry, image in zip(entries, images, strict=True)], read


def test_tissues_are_stored_beside_the_series_and_why_there_are_none(tmp_path):
    entries, _ = with_images()
    report = run(entries, tmp_path / "cohort")
    store, scans = report.store, report.store.scans
    np.testing.assert_array_equal(store.tissues(scans[0]), made_tissues([1, 1, 1]))
    for scan, why in zip(scans[1:], ("did not serve", "without a T1-weighted image"), strict=True):
        with pytest.raises(TissuesNotStoredError, match=why):
            store.tissues(scan)
    assert [path.name for path in (store.folder / "tissues").iterdir()] == ["1_1_1_filtered.npy"]
    (told,) = [finding for finding in report.findings if finding.code == "t1w_not_used"]
    assert (told.subject_id, told.name) == ("2", "scan 2")
    store.verify()


def test_an_image_that_did_not_serve_is_not_tried_again(tmp_path):
    entries, read = with_images()
    before = run(entries, tmp_path / "cohort")
    read.clear()
    report = run(entries, tmp_path / "cohort")
    assert (read, report.n_kept) == ([], 3)
    assert report.findings == before.findings


def test_lost_tissues_are_made_again(tmp_path):
    entries, read = with_images()
    out = tmp_path / "cohort"
    run(entries, out)
    before = digests(out)
    read.clear()
    (out / "tissues" / "1_1_1_filtered.npy").write_bytes(b"cut")
    run(entries, out)
    assert read == ["scan 1"]
    assert digests(out) == before


def test_a_cohort_of_before_tissues_were_kept_gets_them_where_there_is_an_image(tmp_path):
    entries, read = with_images()
    out = tmp_path / "cohort"
    run(entries, tmp_path / "new" / "cohort")
    run([replace(entry, t1w=None) for entry in entries], out)
    assert not (out / "tissues").exists()
    read.clear()
    run(entries, out)
    assert read == ["scan 1", "scan 2"], "whoever has no image is not read again, and still it is noted"
    assert digests(out) == digests(tmp_path / "new" / "cohort")


def test_tissues_that_belong_to_no_scan_go_and_their_folder_with_the_last(tmp_path):
    entries, _ = with_images()
    out = tmp_path / "cohort"
    run(entries, out)
    (out / "tissues" / ".1_1_1_filtered.npy.abc").write_bytes(b"half written")
    run(entries[1:], out, people=(1, 2, 3))
    assert not (out / "tissues").exists()


def test_maps_that_belong_to_no_scan_go_and_their_folder_with_the_last(tmp_path):
    entries, _ = made(1, 2, with_maps=True)
    out = tmp_path / "cohort"
    run(entries, out, people=(1, 2))
    (out / "maps" / ".2_1_1_filtered.npy.abc").write_bytes(b"half written")
    run(entries[:1], out, people=(1, 2))
    assert [path.name for path in (out / "maps").iterdir()] == ["1_1_1_filtered.npy"]
    changed = [replace(entries[0], with_maps=False, version=2)]
    run(changed, out, people=(1, 2))
    assert not (out / "maps").exists()


def test_a_run_with_maps_that_is_stopped_goes_on_to_the_same_bytes(tmp_path):
    entries, read = made(1, 2, 3, with_maps=True)
    run(entries, tmp_path / "whole" / "cohort")
    read.clear()

    def stop(stage, done):
        if done >= 0.6:
            raise KeyboardInterrupt

    out = tmp_path / "stopped" / "cohort"
    with pytest.raises(KeyboardInterrupt):
        run(entries, out, progress=stop)
    # Written, and not noted yet when the process ended.
    (out / "maps" / "3_1_1_filtered.npy").write_bytes(b"of a series that was never written")
    report = run(entries, out)
    assert (report.n_new, report.n_kept, len(read)) == (1, 2, 3)
    assert digests(out) == digests(tmp_path / "whole" / "cohort")


@pytest.mark.parametrize("after", [0, 1])
def test_a_disk_that_is_full_of_maps_leaves_whole_scans_or_nothing(tmp_path, monkeypatch, after):
    """The series of the last scan was written, its maps were not."""
    entries, _ = made(1, 2, with_maps=True)
    out = tmp_path / "cohort"
    with monkeypatch.context() as full:
        fill_disk(full, after=2 * after + 1)
        with pytest.raises(DiskFullError) as caught:
            run(entries, out, people=(1, 2))
    assert caught.value.stored == after
    if not after:
        assert not out.exists()
    assert run(entries, out, people=(1, 2)).n_kept == after
    CohortStore.open(out).verify()


def test_scans_that_are_no_longer_asked_for_leave_the_cohort(tmp_path):
    entries, _ = made(1, 2, 3)
    run(entries, tmp_path / "cohort")
    report = run(entries[:2], tmp_path / "cohort")
    assert [(f.code, f.name) for f in report.findings if "row" not in f.code] == [
        ("no_longer_in_source", "scan 3")
    ]
    fresh, _ = made(1, 2)
    run(fresh, tmp_path / "fresh")
    left, alone = digests(tmp_path / "cohort"), digests(tmp_path / "fresh")
    assert left.keys() == alone.keys()
    assert {k: v for k, v in left.items() if k != "cohort.json"} == {
        k: v for k, v in alone.items() if k != "cohort.json"
    }


@pytest.mark.parametrize("stopped_at", [1, 2, 3])
def test_a_run_that_is_stopped_goes_on_where_it_stopped(tmp_path, stopped_at):
    entries, read = made(1, 2, 3)
    run(entries, tmp_path / "whole" / "cohort")
    read.clear()

    def stop(stage, done):
        if done >= stopped_at / 3:
            raise KeyboardInterrupt

    out = tmp_path / "stopped" / "cohort"
    with pytest.raises(KeyboardInterrupt):
        run(entries, out, progress=stop)
    with pytest.raises(CohortUnfinishedError):
        CohortStore.open(out)
    report = run(entries, out)
    assert (report.n_new, report.n_kept) == (3 - stopped_at, stopped_at)
    assert sorted(read) == ["scan 1", "scan 2", "scan 3"]
    assert digests(out) == digests(tmp_path / "whole" / "cohort")


MARKED = ("simulated_scan",)


@pytest.mark.parametrize("told", [False, True])
def test_a_cohort_of_marked_scans_is_simulated_and_nothing_is_odd(tmp_path, told):
    entries, _ = made(1, 2, warnings=MARKED)
    report = ingest(
        MadeSource(*entries, simulated=told), table(1, 2), tmp_path / "cohort", spec=SPEC, processes=0
    )
    assert report.store.simulated
    assert not report.store.mixed
    assert report.findings == ()


@pytest.mark.parametrize("told", [False, True])
def test_simulated_scans_among_others_make_the_cohort_simulated_and_are_named(tmp_path, told):
    entries, _ = made(1, 2, 3)
    entries[1] = replace(entries[1], warnings=(*MARKED, "template_fit_poor"))
    source = MadeSource(*entries, simulated=told)
    report = ingest(source, table(1, 2, 3), tmp_path / "cohort", spec=SPEC, processes=0)
    store = CohortStore.open(tmp_path / "cohort")
    assert (store.simulated, store.mixed) == (True, True)
    assert report.counts == {"simulated_scan": 1}
    (finding,) = store.record.report["findings"]
    assert (finding["name"], finding["subject_id"]) == ("scan 2", "2")
    assert "1 of 3 scans" in finding["message"]


def test_a_mark_is_remembered_by_a_run_that_goes_on_and_goes_with_its_scan(tmp_path):
    entries, read = made(1, 2, 3)
    entries[0] = replace(entries[0], warnings=MARKED)

    def stop(stage, done):
        if done >= 0.3:
            raise KeyboardInterrupt

    out = tmp_path / "cohort"
    with pytest.raises(KeyboardInterrupt):
        run(entries, out, progress=stop)
    for _ in range(2):  # a stopped one, then a finished one
        report = run(entries, out)
        assert read == ["scan 1", "scan 2", "scan 3"]
        assert report.store.simulated
        assert [finding.name for finding in report.findings] == ["scan 1"]
    alone = run(entries[1:], out, people=(2, 3))
    assert not alone.store.simulated


@pytest.mark.parametrize("finished", [False, True])
def test_scans_without_a_mark_stay_simulated_once_the_source_said_so(tmp_path, finished):
    """As those of an earlier version: ``simulation.json`` may be gone when the command is given again."""
    entries, read = made(1, 2, 3)

    def stop(stage, done):
        if not finished and done >= 0.3:
            raise KeyboardInterrupt

    out = tmp_path / "cohort"
    with suppress(KeyboardInterrupt):
        ingest(
            MadeSource(*entries, simulated=True), table(1, 2, 3), out, spec=SPEC, processes=0, progress=stop
        )
    for _ in range(2):
        report = run(entries, out)
        assert report.store.simulated
        assert read == ["scan 1", "scan 2", "scan 3"]
    others = [replace(entry, version=2) for entry in entries]
    assert not run(others, out).store.simulated, "none of its scans is left"


def test_a_run_that_an_earlier_version_began_goes_on(tmp_path):
    entries, read = made(1, 2, 3)

    def stop(stage, done):
        if done >= 0.3:
            raise KeyboardInterrupt

    out = tmp_path / "cohort"
    with pytest.raises(KeyboardInterrupt):
        run(entries, out, progress=stop)
    first, *scans = (out / "ingest.jsonl").read_text().splitlines(keepends=True)
    settings = json.loads(first)
    del settings["simulated"]
    (out / "ingest.jsonl").write_text("".join([json.dumps(settings) + "\n", *scans]))
    report = run(entries, out)
    assert (report.n_kept, report.store.simulated) == (1, False)
    assert read == ["scan 1", "scan 2", "scan 3"]


def test_what_a_killed_process_left_half_written_goes(tmp_path):
    entries, _ = made(1, 2, 3)
    run(entries, tmp_path / "whole" / "cohort")
    out = tmp_path / "killed" / "cohort"

    def stop(stage, done):
        if done >= 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(entries, out, progress=stop)
    (out / "incoming").mkdir()
    (out / "incoming" / "half").write_bytes(b"x")
    (out / "series" / ".2_1_1_filtered.npy.abc").write_bytes(b"x")
    (out / ".cohort.json.abc").write_bytes(b"x")
    with (out / "ingest.jsonl").open("ab") as journal:
        journal.write(b'{"subject_id": "2", "sess')
    run(entries, out)
    assert digests(out) == digests(tmp_path / "whole" / "cohort")


def test_other_settings_are_refused_and_nothing_is_touched(tmp_path):
    entries, _ = made(1, 2, 3)
    out = tmp_path / "cohort"
    run(entries, out)
    before = digests(out)
    with pytest.raises(CohortOfOtherSettingsError, match="found another spec"):
        run(entries, out, spec=PreprocessingSpec(grid_size=9))
    source = MadeSource(*entries)
    source.kind = "bids"
    with pytest.raises(CohortOfOtherSettingsError, match="found another kind"):
        ingest(source, table(1, 2, 3), out, spec=SPEC, processes=0)
    assert digests(out) == before


@pytest.mark.parametrize("content", [b"", b'{"format_ver', b"[]", b"\xff"])
def test_a_cohort_with_a_damaged_index_is_made_again(tmp_path, content):
    entries, read = made(1, 2, 3)
    out = tmp_path / "cohort"
    run(entries, out)
    before = digests(out)
    (out / "cohort.json").write_bytes(content)
    report = run(entries, out)
    assert (report.n_new, report.n_kept, len(read)) == (3, 0, 6)
    assert digests(out) == before


def test_another_source_does_not_replace_a_cohort(tmp_path):
    entries, _ = made(1, 2)
    out = tmp_path / "cohort"
    run(entries, out)
    before = digests(out)
    others, read = made(3)
    with pytest.raises(CohortOfOtherSettingsError, match="found another source"):
        run(others, out)
    assert read == []
    assert digests(out) == before


def test_a_source_that_cannot_be_listed_is_refused(tmp_path):
    class Locked(MadeSource):
        def entries(self):
            raise PermissionError(errno.EACCES, "Permission denied")

    with pytest.raises(SourceNotReadableError, match=r"'a made release': .*permission denied"):
        ingest(Locked(), table(1), tmp_path / "cohort", spec=SPEC, processes=0)
    assert not any(tmp_path.iterdir())


def test_the_folder_one_is_in_has_a_name_too(tmp_path, monkeypatch):
    entries, _ = made(1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert run(entries, Path()).store.name == "here"
    assert CohortStore.open(Path()).name == "here"


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    entries, read = made(1)
    with pytest.raises(OutputFolderNotEmptyError):
        run(entries, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert read == []


def test_one_process_at_a_time_writes_a_cohort(tmp_path):
    entries, _ = made(1, 2, 3)
    out = tmp_path / "cohort"
    with closing(IngestFolder.claim(out, kind="made", spec=SPEC)), pytest.raises(CohortBusyError):
        run(entries, out)
    run(entries, out)


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("reason", ["refused", "no row", "disk"])
def test_without_a_usable_scan_nothing_is_left_behind(tmp_path, exists, reason, monkeypatch):
    out = tmp_path / "cohort"
    if exists:
        out.mkdir()
    entries, _ = made(1, 2, error=AllZeroError() if reason == "refused" else None)
    expected: type[Exception] = NoUsableScanError
    if reason == "disk":
        fill_disk(monkeypatch, after=0)
        expected = DiskFullError
    with pytest.raises(expected) as caught:
        run(entries, out, people=(8, 9) if reason == "no row" else (1, 2))
    if reason == "refused":
        assert caught.value.reasons == {"all_zero": 2}
        assert "all_zero 2" in str(caught.value)
    if reason == "no row":
        assert caught.value.reasons == {"scan_without_row": 2, "row_without_scan": 2}
    assert [path.name for path in tmp_path.iterdir()] == (["cohort"] if exists else [])
    assert not exists or not any(out.iterdir())


@pytest.mark.parametrize(("simulated", "told"), [(False, 1), (True, 0)])
def test_adhd200_without_its_list_of_test_people_is_told_of(tmp_path, simulated, told):
    entries, _ = made(1)
    source = MadeSource(*entries)
    source.simulated = simulated
    adhd200 = replace(table(1), release_unknown=True)
    report = ingest(source, adhd200, tmp_path / "cohort", spec=SPEC, processes=0)
    assert report.counts.get("release_unknown", 0) == told
    assert report.store.release_unknown == bool(told)
    assert not run(entries, tmp_path / "other").store.release_unknown


def test_an_empty_source_is_refused(tmp_path):
    with pytest.raises(NoUsableScanError, match="'a made release': expected at least one scan"):
        ingest(MadeSource(), table(1), tmp_path / "cohort", spec=SPEC, processes=0)
    with pytest.raises(NoUsableScanError, match="nothing that looks like a scan"):
        ingest(MadeSource(), table(), tmp_path / "cohort", spec=SPEC, processes=0)
    assert not any(tmp_path.iterdir())


def fill_disk(monkeypatch, *, after):
    """Let so many series through, and no more bytes then."""
    written = []

    def write(path, content):
        if path.suffix == ".npy":
            written.append(path)
        if len(written) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        replace_file(path, content)

    replace_file = store_writing.replace_file
    monkeypatch.setattr(store_writing, "replace_file", write)


@pytest.mark.parametrize("after", [1, 3])
def test_a_full_disk_is_told_and_the_same_call_goes_on(tmp_path, monkeypatch, after):
    entries, _ = made(1, 2, 3)
    run(entries, tmp_path / "whole" / "cohort")
    out = tmp_path / "full" / "cohort"
    with monkeypatch.context() as full:
        fill_disk(full, after=after)
        if after == 3:
            # There is room for the series, and none for the index.
            full.setattr(store_writing, "format_subjects", no_room)
        with pytest.raises(DiskFullError, match=f"disk full after {after}: make room") as caught:
            run(entries, out)
    assert (caught.value.stored, caught.value.expected) == (after, 3)
    assert not [name for name in digests(out) if "/." in name or name.startswith(("cohort", "."))]
    assert run(entries, out).n_kept == after
    assert digests(out) == digests(tmp_path / "whole" / "cohort")


def no_room(subjects):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("a file")
    entries, _ = made(1)
    with pytest.raises(OutputNotWritableError, match="not a directory"):
        run(entries, tmp_path / "file" / "cohort")


def test_two_entries_for_one_run_are_refused_before_anything_is_written(tmp_path):
    entries, read = made(1, 1)
    with pytest.raises(DuplicateScanError, match="found scan 1 and scan 1"):
        run(entries, tmp_path / "cohort")
    assert read == []
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_processes_change_nothing_but_the_time(tmp_path):
    source = SimulatedSource(n_subjects=2, seed=11)
    for name, processes in (("none", 0), ("two", 2)):
        ingest(source, source.phenotypes(), tmp_path / name / "cohort", spec=SPEC, processes=processes)
    assert digests(tmp_path / "none" / "cohort") == digests(tmp_path / "two" / "cohort")


def test_a_killed_worker_is_told(tmp_path):
    (tmp_path / "incoming").mkdir()
    entries = SimulatedSource(n_subjects=4, seed=1).entries()
    results = run_jobs([Job(entry=entry, spec=SPEC, folder=tmp_path) for entry in entries], processes=1)
    next(results)
    for child in psutil.Process().children():
        if "spawn_main" in " ".join(child.cmdline()):
            child.kill()
    with pytest.raises(IngestProcessLostError, match="fewer --processes"):
        list(results)


INGEST = """
import sys
from pathlib import Path
from imaging import PreprocessingSpec
from training.cohort.ingest import ingest
from training.cohort.sources.simulated import SimulatedSource
if __name__ == "__main__":
    source = SimulatedSource(n_subjects=4, seed=2)
    ingest(source, source.phenotypes(), Path(sys.argv[1]), spec=PreprocessingSpec(grid_size=8), processes=2)
"""


@pytest.mark.slow
def test_a_run_that_is_killed_leaves_no_process_and_is_completed_to_the_same_bytes(tmp_path):
    script = tmp_path / "ingest_simulated.py"
    script.write_text(INGEST)
    out = tmp_path / "killed" / "cohort"
    process = subprocess.Popen(
        [sys.executable, script, out], env=os.environ | {"PYTHONPATH": str(Path.cwd())}
    )
    try:
        journal = out / "ingest.jsonl"
        wait_until(lambda: journal.is_file() and len(journal.read_bytes().splitlines()) > 1)
        wait_until(lambda: len(psutil.Process(process.pid).children()) >= 2)
        workers = psutil.Process(process.pid).children(recursive=True)
    finally:
        process.kill()
        process.wait()
    _gone, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
    with pytest.raises(CohortUnfinishedError):
        CohortStore.open(out)
    source = SimulatedSource(n_subjects=4, seed=2)
    report = ingest(source, source.phenotypes(), out, spec=SPEC, processes=0)
    assert 1 <= report.n_kept < 4
    ingest(source, source.phenotypes(), tmp_path / "whole" / "cohort", spec=SPEC, processes=0)
    assert digests(out) == digests(tmp_path / "whole" / "cohort")


def wait_until(holds, *, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_reason_to_leave_something_out_is_documented():
    in_code = {f"only_{variant}" for variant in ("filtered", "unfiltered")}
    for file in (REPOSITORY / "training" / "cohort").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in {
                "SourceFinding",
                "_finding",
                "_refused",
            }:
                given = [word.value for word in node.keywords if word.arg == "code"] or node.args[:1]
                in_code |= {code.value for code in given if isinstance(code, ast.Constant)}
    rows = [
        line
        for line in (REPOSITORY / "docs" / "cohorts.md").read_text().splitlines()
        if line.startswith("| `")
    ]
    documented = {code for row in rows for code in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}
    assert documented == in_code
