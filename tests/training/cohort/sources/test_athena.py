import hashlib
import io
import shutil
import tarfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import PreprocessingSpec, brain_cube, open_scan, preprocess
from training.cohort.ingest import ingest
from training.cohort.phenotypes.table import read_phenotypes
from training.cohort.sources.athena import SCAN_NAME, AthenaSource
from training.cohort.sources.scan_files import ArchiveDamagedError
from training.cohort.sources.source import DuplicateScanError
from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import plain_id
from training.simulation.phenotypes import TABLE_NAME
from training.simulation.simulator import simulate_cohort

NYU = "NYU/0010042/sfnwmrda0010042_session_1_rest_1.nii.gz"
RELEASE = (
    NYU,
    "NYU/0010042/snwmrda0010042_session_1_rest_1.nii.gz",
    "NYU/0010042/sfnwmrda0010042_session_1_rest_2.nii.gz",
    "NYU/0010042/sfnwmrda0010042_session_2_rest_1.nii.gz",
    "NYU/0010042/wssd0010042_session_1_anat.nii.gz",
    "NYU/0010043/snwmrda0010043_session_1_rest_1.nii.gz",
    "Pittsburgh/0016001/sfnwmrda0016001_session_1_rest_1.nii.gz",
    "Pittsburgh/0016002/sfnwmrda0016009_session_1_rest_1.nii.gz",
    "Peking_1/1050345/sfnwmrda1050345_session_1_rest_1.nii",
    "Peking_1/readme.txt",
)


def lay_out(root: Path, names=RELEASE, content=b"not read when listed"):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def pack(archive: Path, root: Path, names=RELEASE):
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.add(root / name, arcname=f"./{name}")
    return archive


def listed(source):
    return [(e.subject_id, e.session, e.run, e.variant) for e in source.entries()]


def told(source):
    return sorted((finding.code, finding.name.rsplit("/", 1)[-1]) for finding in source.findings)


def test_a_release_is_listed_with_the_filtered_files_first(tmp_path):
    source = AthenaSource(lay_out(tmp_path / "release"))
    assert listed(source) == [
        ("10042", "1", "1", "filtered"),
        ("10042", "1", "2", "filtered"),
        ("10042", "2", "1", "filtered"),
        ("10043", "1", "1", "unfiltered"),
        ("1050345", "1", "1", "filtered"),
        ("16001", "1", "1", "filtered"),
    ]
    assert told(source) == [
        ("file_in_wrong_folder", "sfnwmrda0016009_session_1_rest_1.nii.gz"),
        ("file_not_understood", "readme.txt"),
        ("file_not_understood", "wssd0010042_session_1_anat.nii.gz"),
        ("only_unfiltered", "snwmrda0010043_session_1_rest_1.nii.gz"),
    ]
    assert {entry.source_name for entry in source.entries()} <= {name.rsplit("/", 1)[-1] for name in RELEASE}
    assert not source.simulated


def test_what_is_known_to_be_something_else_is_not_told(tmp_path):
    release = lay_out(tmp_path / "release", [NYU, "table.tsv", "cohort/series/x.npy"])
    source = AthenaSource(release, ignored=[release / "table.tsv", release / "cohort"])
    assert listed(source) == [("10042", "1", "1", "filtered")]
    assert told(source) == []


def test_the_other_variant_or_both_can_be_asked_for(tmp_path):
    lay_out(tmp_path / "release")
    unfiltered = AthenaSource(tmp_path / "release", variant="unfiltered")
    assert [(s, r, v) for i, s, r, v in listed(unfiltered) if i == "10042"] == [
        ("1", "1", "unfiltered"),
        ("1", "2", "filtered"),
        ("2", "1", "filtered"),
    ]
    assert [code for code, _ in told(unfiltered)].count("only_filtered") == 4
    both = AthenaSource(tmp_path / "release", variant="both")
    assert [(s, r, v) for i, s, r, v in listed(both) if i == "10042"] == [
        ("1", "1", "filtered"),
        ("1", "1", "unfiltered"),
        ("1", "2", "filtered"),
        ("2", "1", "filtered"),
    ]


def test_archives_are_listed_as_the_folders_in_them(tmp_path):
    release = lay_out(tmp_path / "release")
    folder = AthenaSource(release)
    archives = tmp_path / "archives"
    archives.mkdir()
    pack(archives / "NYU_preproc_filtfix.tar", release, [name for name in RELEASE if name.startswith("NYU")])
    pack(archives / "rest.tar", release, [name for name in RELEASE if not name.startswith("NYU")])
    packed = AthenaSource(archives)
    assert listed(packed) == listed(folder)
    assert told(packed) == told(folder)
    assert listed(AthenaSource(archives / "rest.tar"))[0] == ("1050345", "1", "1", "filtered")
    stamps = {entry.stamp() for entry in packed.entries()}
    assert len(stamps) == 6
    assert not any(str(tmp_path) in stamp for stamp in stamps)


@pytest.mark.parametrize("both", ["padded", "archive"])
def test_two_files_for_one_run_are_refused(tmp_path, both):
    release = lay_out(tmp_path / "release")
    if both == "padded":
        lay_out(release, ["NYU/10042/sfnwmrda10042_session_1_rest_1.nii.gz"])
    else:
        pack(release / "NYU_preproc_filtfix.tar", release, [NYU])
    with pytest.raises(DuplicateScanError, match="subject 10042, session 1, run 1") as caught:
        AthenaSource(release).entries()
    assert caught.value.code == "duplicate_scan"
    places = {"padded": "NYU/10042", "archive": "NYU_preproc_filtfix.tar/"}
    assert sum(name.startswith(places[both]) for name in caught.value.names) == 1


def damaged(content, how):
    if how == "cut in a header":
        return content[: 3 * 512 + 100]
    if how == "cut in a scan":
        return content[: 512 + 10]
    if how == "cut after a scan's first block":
        return content[:1024]
    if how == "a later header overwritten":
        # Two blocks a member here: the third member's header.
        return content[: 4 * 512] + b"\xff" * 512 + content[5 * 512 :]
    if how == "another kind of file":
        return b"PK\x03\x04" + bytes(4000)
    return b""


@pytest.mark.parametrize(
    "how",
    [
        "cut in a header",
        "cut in a scan",
        "cut after a scan's first block",
        "a later header overwritten",
        "another kind of file",
        "empty",
    ],
)
def test_a_damaged_archive_is_refused_by_name(tmp_path, how):
    release = lay_out(tmp_path / "release", content=b"x" * (600 if "first block" in how else 500))
    archive = pack(tmp_path / "NYU.tar", release)
    archive.write_bytes(damaged(archive.read_bytes(), how))
    with pytest.raises(ArchiveDamagedError, match=r"'NYU\.tar': expected a whole tar") as caught:
        AthenaSource(archive).entries()
    assert caught.value.code == "archive_damaged"


def test_an_archive_that_must_be_decompressed_first_is_refused(tmp_path):
    with tarfile.open(tmp_path / "NYU.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("empty"), io.BytesIO())
    with pytest.raises(ArchiveDamagedError, match="found a compressed one"):
        AthenaSource(tmp_path).entries()
    (tmp_path / "scan.nii.gz").write_bytes(b"x")
    with pytest.raises(ArchiveDamagedError, match="found another kind of file"):
        AthenaSource(tmp_path / "scan.nii.gz").entries()


def test_links_are_told_and_not_followed(tmp_path):
    release = lay_out(tmp_path / "release", [NYU])
    (release / "again").symlink_to(release / "NYU")
    source = AthenaSource(release)
    assert listed(source) == [("10042", "1", "1", "filtered")]
    assert told(source) == [("file_not_understood", "again")]
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        link = tarfile.TarInfo(NYU)
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    source = AthenaSource(tmp_path / "links.tar")
    assert listed(source) == []
    assert told(source) == [("file_not_understood", NYU.rsplit("/", 1)[-1])]


@given(st.integers(1, 9_999_999), st.integers(1, 9), st.integers(1, 12), st.booleans(), st.booleans())
def test_a_scans_name_says_whose_it_is(number, session, run, filtered, zipped):
    name = f"s{'f' * filtered}nwmrda{number:07d}_session_{session}_rest_{run}.nii{'.gz' * zipped}"
    match = SCAN_NAME.fullmatch(name)
    assert match is not None
    assert plain_id(match["id"]) == str(number)
    assert (match["session"], match["run"]) == (str(session), str(run))


@pytest.mark.parametrize(
    "name",
    [
        "._sfnwmrda0010042_session_1_rest_1.nii.gz",
        "nwmrda0010042_session_1_rest_1.nii.gz",
        "sfnwmrda0010042_session_1_rest_1_cc200_TCs.1D",
        "sfnwmrda0010042_session_1_anat.nii.gz",
        "sfnwmrda0010042_session_1_rest_1.nii.gz.part",
    ],
)
def test_other_names_are_no_scans(name):
    assert SCAN_NAME.fullmatch(name) is None


@pytest.fixture(scope="module")
def simulated_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("simulated") / "cohort"
    simulate_cohort(root, n_subjects=1, seed=3)
    return root


SPEC = PreprocessingSpec(grid_size=12)


def test_a_simulated_folder_is_ingested_and_known_for_what_it_is(simulated_folder, tmp_path):
    table = read_phenotypes(simulated_folder / TABLE_NAME)
    source = AthenaSource(simulated_folder, ignored=[simulated_folder / TABLE_NAME])
    report = ingest(source, table, tmp_path / "cohort", spec=SPEC, processes=0)
    assert report.findings == ()
    assert report.store.simulated
    (site,) = (path for path in simulated_folder.iterdir() if path.is_dir())
    assert AthenaSource(site).simulated
    (scan,) = report.store.scans
    (file,) = simulated_folder.rglob("*.nii.gz")
    assert scan.source_name == file.name
    assert scan.source_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    expected = preprocess(open_scan(file), SPEC).frames[:, brain_cube(12).mask].astype(np.float16)
    # Here on all threads, there on one: float16 may round its last bit otherwise.
    np.testing.assert_allclose(report.store.series(scan), expected, rtol=2e-3, atol=1e-5)
    maps = preprocess(open_scan(file), SPEC, maps=True).maps
    np.testing.assert_array_equal(report.store.maps(scan), maps)


@pytest.mark.parametrize("packed", [False, True])
def test_a_simulated_scan_that_was_copied_alone_is_known_for_what_it_is(simulated_folder, tmp_path, packed):
    (file,) = simulated_folder.rglob("*.nii.gz")
    release = tmp_path / "release"
    (release / "NYU").mkdir(parents=True)
    shutil.copy(file, release / "NYU")
    names = [f"NYU/{file.name}"]
    source = AthenaSource(pack(tmp_path / "site.tar", release, names) if packed else release)
    table = read_phenotypes(simulated_folder / TABLE_NAME)
    report = ingest(source, table, tmp_path / "cohort", spec=SPEC, processes=0)
    assert not source.simulated
    assert CohortStore.open(tmp_path / "cohort").simulated
    assert report.findings == ()


def test_a_scan_without_the_mark_among_simulated_ones_is_told(tmp_path):
    simulate_cohort(tmp_path / "folder", n_subjects=2, seed=3)
    first, second = sorted((tmp_path / "folder").rglob("*.nii.gz"))
    image = nib.load(second)
    image.header["descrip"] = b""
    nib.save(image, second)
    table_path = tmp_path / "folder" / TABLE_NAME
    source = AthenaSource(tmp_path / "folder", ignored=[table_path])
    report = ingest(source, read_phenotypes(table_path), tmp_path / "cohort", spec=SPEC, processes=0)
    assert (report.store.simulated, report.store.mixed) == (True, True)
    assert [(finding.code, finding.name) for finding in report.findings] == [("simulated_scan", first.name)]


def test_a_scan_in_an_archive_is_the_scan_in_a_folder(simulated_folder, tmp_path):
    table = read_phenotypes(simulated_folder / TABLE_NAME)
    (file,) = simulated_folder.rglob("*.nii.gz")
    names = [file.relative_to(simulated_folder).as_posix(), "simulation.json"]
    archive = pack(tmp_path / "site.tar", simulated_folder, names)
    out = tmp_path / "cohort"
    report = ingest(AthenaSource(archive), table, out, spec=SPEC, processes=0)
    direct = AthenaSource(simulated_folder).entries()[0].prepare(SPEC, workspace=tmp_path)
    np.testing.assert_allclose(
        report.store.series(report.store.scans[0]), direct.series, rtol=2e-3, atol=1e-5
    )
    np.testing.assert_array_equal(report.store.maps(report.store.scans[0]), direct.maps)
    assert report.store.scans[0].source_sha256 == direct.source_sha256
    assert report.store.simulated
    assert sorted(path.name for path in out.iterdir()) == [
        "cohort.json",
        "maps",
        "scans.jsonl",
        "series",
        "subjects.tsv",
    ]


@pytest.mark.real_data
def test_a_file_of_athenas_geometry_and_name_is_ingested(shared_data, tmp_path):
    table = tmp_path / "table.tsv"
    table.write_text("ScanDir ID\tSite\tDX\n9990002\t5\t0\n")
    source = AthenaSource(shared_data / "athena_like")
    report = ingest(source, read_phenotypes(table), tmp_path / "cohort", spec=SPEC, processes=0)
    (scan,) = report.store.scans
    # 82 frames at 2.2 s, resampled to 2 s.
    assert (scan.subject_id, scan.n_frames, scan.n_stored_frames) == ("9990002", 82, 90)
    assert scan.tr_s == pytest.approx(2.2)
    assert not report.store.simulated
    assert report.store.series(scan).astype(np.float32).std() == pytest.approx(1, abs=0.3)
