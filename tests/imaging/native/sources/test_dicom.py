"""DICOM series: converted exactly, refused with the reason, and nothing of the person left anywhere."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from imaging import ScanError, open_scan
from imaging.native.sidecar import parse_sidecar
from imaging.native.sources import Asked, take_in
from imaging.timing import MissingRepetitionTimeError
from tests.imaging.native.sources.series import N_FRAMES, N_SLICES, TR_S, volumes, write_series, zipped

IDENTITY = ("Zaphodson", "Beeblebroxia", "19521103", "Magratheahosp", "Slartibartfast", "H2G2-4242")


@pytest.fixture
def work(tmp_path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def with_identity(image, _frame, _slice):
    name, given, date, hospital, physician, number = IDENTITY
    image.PatientName = f"{name}^{given}"
    image.PatientID = image.AccessionNumber = image.StudyID = number
    image.PatientBirthDate = image.StudyDate = image.SeriesDate = image.AcquisitionDate = date
    image.InstitutionName = image.InstitutionalDepartmentName = image.StationName = hospital
    image.ReferringPhysicianName = image.OperatorsName = physician
    for field in ("SeriesDescription", "ProtocolName", "StudyDescription", "ImageComments"):
        setattr(image, field, f"rest {name} {date}")
    image.PatientComments = image.AdditionalPatientHistory = f"{given} {number}"
    image.PerformedProcedureStepDescription = image.SequenceName = name
    block = image.private_block(0x0019, name, create=True)
    block.add_new(0x01, "LO", f"{given} {date}")


def refused(path: Path, work: Path, *, asked: Asked | None = None) -> ScanError:
    with pytest.raises(ScanError) as refusal:
        take_in(path, work, asked=asked or Asked())
    assert list(work.iterdir()) == []
    return refusal.value


@pytest.mark.parametrize("packed", [True, False])
def test_every_sample_of_a_series_arrives_where_it_belongs(tmp_path, work, packed):
    folder = write_series(tmp_path / "series")
    source = zipped(folder, tmp_path / "no-ending") if packed else folder

    run = take_in(source, work)

    assert (run.origin, run.tr_from, run.facts.tr_s) == ("dicom", "dicom", TR_S)
    assert (run.facts.slice_times_s, run.slice_times_from, run.t1w) == (None, None, None)
    stored = nib.load(run.path)
    # DICOM's rows run from the front to the back, NIfTI's columns the other way.
    expected = volumes(N_FRAMES, N_SLICES).transpose(3, 2, 1, 0)[:, ::-1]
    assert np.array_equal(np.asanyarray(stored.dataobj), expected)
    assert open_scan(run.path).zooms_mm == pytest.approx((4, 4, 4))
    assert list(work.iterdir()) == [run.path]


def test_a_series_written_without_kinds_is_read_too(tmp_path, work):
    def implicit(image, _frame, _slice):
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian

    run = take_in(write_series(tmp_path / "series", change=implicit), work)

    assert open_scan(run.path).shape == (10, 12, N_SLICES, N_FRAMES)


def test_nothing_of_the_person_is_written_or_told(tmp_path, work, capfd, caplog):
    caplog.set_level(0)
    folder = write_series(tmp_path / IDENTITY[0] / IDENTITY[2], change=with_identity)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"{IDENTITY[0]}_{IDENTITY[2]}_{number:04d}.dcm")
    seen: dict[str, bytes] = {}

    def look() -> None:
        # Also while dcm2niix is at work: names only, the images that it reads lie there.
        for path in work.rglob("*"):
            seen[path.name] = b""

    run = take_in(zipped(folder, tmp_path / "a.zip"), work, check=look, progress=lambda *_: look())

    written = b"".join(path.read_bytes() for path in work.rglob("*") if path.is_file())
    told = (repr(run) + str(run.to_json()) + caplog.text + "".join(capfd.readouterr())).encode()
    for word in IDENTITY:
        for way in (word, word.upper(), word.lower()):
            assert way.encode() not in written
            assert way.encode() not in told
            assert not any(way in name for name in seen)
    # It was there to be found.
    assert IDENTITY[0].encode() in next(folder.iterdir()).read_bytes()


def test_refusals_name_nobody(tmp_path, work):
    write_series(tmp_path / "s", number=3, change=with_identity)
    write_series(tmp_path / "s", number=4, change=with_identity)

    refusal = refused(tmp_path / "s", work)

    assert refusal.code == "several_series"
    assert refusal.series == [
        {"number": 3, "n_frames": N_FRAMES, "n_images": N_FRAMES * N_SLICES},
        {"number": 4, "n_frames": N_FRAMES, "n_images": N_FRAMES * N_SLICES},
    ]
    assert not any(word in str(refusal) + repr(refusal.details()) for word in IDENTITY)


def test_the_series_that_is_named_is_taken(tmp_path, work):
    write_series(tmp_path / "s", number=3)
    write_series(tmp_path / "s", number=4, n_frames=30)

    run = take_in(tmp_path / "s", work, asked=Asked(run="4"))

    assert open_scan(run.path).n_frames == 30
    run.path.unlink()
    assert refused(tmp_path / "s", work, asked=Asked(run="7")).code == "run_not_found"
    assert refused(tmp_path / "s", work, asked=Asked(run="task-rest")).code == "run_not_found"


def test_what_is_no_functional_run_does_not_stand_in_its_way(tmp_path, work):
    def phase(image, _frame, _slice):
        image.ImageType = ["ORIGINAL", "PRIMARY", "P"]

    def diffusion(image, frame, _slice):
        image.DiffusionBValue = 1000.0 if frame else 0.0

    def capture(image, _frame, _slice):
        image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage

    folder = tmp_path / "s"
    write_series(folder, number=1, n_frames=3)
    write_series(folder, number=2, n_frames=1, n_slices=40)
    write_series(folder, number=3, change=phase)
    write_series(folder, number=4, change=diffusion)
    write_series(folder, number=5, change=capture)
    write_series(folder, number=6, n_frames=25)
    (folder / "notes.txt").write_text("no DICOM")
    (folder / "empty").touch()

    run = take_in(folder, work)

    assert open_scan(run.path).n_frames == 25


def changed(**fields):
    def change(image, _frame, _slice):
        for name, value in fields.items():
            setattr(image, name, value)
            if name == "SOPClassUID":
                image.file_meta.MediaStorageSOPClassUID = value

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (changed(SOPClassUID=CTImageStorage, Modality="CT"), "computed tomography"),
        (changed(SOPClassUID=SecondaryCaptureImageStorage, Modality="OT"), "pictures of a screen"),
        (changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", Modality="SR"), "another kind of object"),
        (changed(ImageType=["ORIGINAL", "PRIMARY", "PHASE"]), "phase images"),
        (changed(DiffusionBValue=700.0), "diffusion weighted images"),
        (lambda image, frame, _: setattr(image, "EchoTime", 20 + frame % 2), "several echoes"),
    ],
)
def test_a_series_of_another_kind_is_refused_with_the_reason(tmp_path, work, change, found):
    refusal = refused(write_series(tmp_path / "s", change=change), work)

    assert refusal.code == "dicom_not_usable"
    assert found in refusal.found


def test_one_volume_is_no_run(tmp_path, work):
    refusal = refused(write_series(tmp_path / "s", n_frames=1, n_slices=30), work)

    assert (refusal.code, refusal.found) == ("dicom_not_usable", "one volume (3-D)")


def test_a_compression_that_the_converter_does_not_know_is_said(tmp_path, work):
    folder = write_series(tmp_path / "s", n_frames=2)
    for path in folder.iterdir():
        content = path.read_bytes()
        old, new = b"1.2.840.10008.1.2.1\0", JPEGBaseline8Bit.encode()
        # The length of the field, of its group, and the field.
        at = content.index(old)
        grown = len(new) - len(old)
        group = int.from_bytes(content[140:144], "little") + grown
        path.write_bytes(
            content[:140]
            + group.to_bytes(4, "little")
            + content[144 : at - 2]
            + len(new).to_bytes(2, "little")
            + new
            + content[at + len(old) :]
        )

    refusal = refused(folder, work)

    assert (refusal.code, refusal.found) == ("dicom_not_usable", "samples compressed by JPEG with loss")


def test_deflated_files_are_said(tmp_path, work):
    def deflated(image, _frame, _slice):
        image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian

    refusal = refused(write_series(tmp_path / "s", n_frames=2, change=deflated), work)

    assert (refusal.code, refusal.found) == ("dicom_not_usable", "deflated files")


@pytest.mark.parametrize(
    ("skip", "expected", "found"),
    [
        (
            lambda frame, slice_: (frame, slice_) == (9, 2),
            "24 frames of each of 4 slices",
            "fewer of 1 slice",
        ),
        (lambda frame, slice_: frame == 23 and slice_ > 1, "24 frames of each of 4 slices", "of 2 slices"),
        (lambda frame, _: frame == 9, "24 frames", "1 of them missing"),
        (lambda _, slice_: slice_ == 2, "equally far apart", "a gap"),
    ],
)
def test_an_incomplete_series_is_refused(tmp_path, work, skip, expected, found):
    refusal = refused(write_series(tmp_path / "s", skip=skip), work)

    assert refusal.code == "dicom_incomplete"
    assert expected in refusal.expected
    assert found in refusal.found


def test_a_part_of_a_run_is_said(tmp_path, work):
    run = take_in(write_series(tmp_path / "s", change=changed(NumberOfTemporalPositions=156)), work)

    messages = {warning.code: warning.message for warning in run.warnings}
    assert "expected 156 frames" in messages["dicom_frames_missing"]
    assert "found 24 frames in 0.8 minutes" in messages["run_short"]


def test_a_series_that_was_packed_twice_is_read_once(tmp_path, work):
    folder = write_series(tmp_path / "s" / "one")
    (tmp_path / "s" / "two").mkdir()
    for path in folder.iterdir():
        os.link(path, tmp_path / "s" / "two" / path.name)

    run = take_in(tmp_path / "s", work)

    assert open_scan(run.path).n_frames == N_FRAMES
    assert "dicom_images_repeated" in {warning.code for warning in run.warnings}


def test_one_identifier_in_all_images_makes_them_no_copies(tmp_path, work):
    uid = generate_uid()
    run = take_in(write_series(tmp_path / "s", change=changed(SOPInstanceUID=uid)), work)

    assert open_scan(run.path).n_frames == N_FRAMES


def as_ge_does(image, _frame, slice_):
    # One clock for all frames, and when a slice was taken within its own.
    image.Manufacturer = "GE MEDICAL SYSTEMS"
    image.TemporalPositionIdentifier = image.NumberOfTemporalPositions = 1
    image.AcquisitionTime, image.TriggerTime = "100000.000000", 500.0 * slice_


def as_siemens_does_without_mosaics(image, _frame, _slice):
    image.Manufacturer = "SIEMENS"
    del image.TemporalPositionIdentifier, image.NumberOfTemporalPositions


@pytest.mark.parametrize("change", [as_ge_does, as_siemens_does_without_mosaics])
def test_scanners_that_do_not_number_frames(tmp_path, work, change):
    run = take_in(write_series(tmp_path / "s", change=change), work)

    assert (run.facts.tr_s, run.tr_from) == (TR_S, "dicom")
    expected = volumes(N_FRAMES, N_SLICES).transpose(3, 2, 1, 0)[:, ::-1]
    assert np.array_equal(np.asanyarray(nib.load(run.path).dataobj), expected)
    assert {warning.code for warning in run.warnings} == {"run_short"}


def test_a_repetition_time_that_the_converter_changed_is_refused_until_somebody_says(tmp_path, work):
    # dcm2niix believes the times of the frames more than the series' own word, and says so nowhere.
    folder = write_series(tmp_path / "s", tr_s=2.5, change=changed(RepetitionTime=2000))

    refusal = refused(folder, work)

    assert refusal.code == "repetition_time_disputed"
    assert (refusal.dicom_s, refusal.frames_s, refusal.converted_s) == (2.0, 2.5, 2.5)
    run = take_in(folder, work, asked=Asked(tr_s=2.5))
    assert (run.facts.tr_s, run.tr_from) == (2.5, "asked")
    assert open_scan(run.path).tr_s == 2.5
    assert "repetition_time_overridden" in {warning.code for warning in run.warnings}


def test_without_a_repetition_time_it_is_asked_for(tmp_path, work):
    folder = write_series(tmp_path / "s", tr_s=None)

    with pytest.raises(MissingRepetitionTimeError):
        take_in(folder, work)
    assert list(work.iterdir()) == []
    run = take_in(folder, work, asked=Asked(tr_s=1.5))
    assert (open_scan(run.path).tr_s, run.tr_from) == (1.5, "asked")


def test_a_sidecar_beside_it_says_what_it_does_not(tmp_path, work):
    folder = write_series(tmp_path / "s")
    beside = parse_sidecar(b'{"RepetitionTime": 2.0, "SliceTiming": [0, 1, 0.5, 1.5]}')

    run = take_in(folder, work, asked=Asked(sidecar=beside))

    assert (run.facts.slice_times_s, run.slice_times_from, run.tr_from) == (
        (0, 1, 0.5, 1.5),
        "sidecar",
        "dicom",
    )
    run.path.unlink()
    beside = parse_sidecar(b'{"RepetitionTime": 1.5}')
    assert refused(folder, work, asked=Asked(sidecar=beside)).code == "repetition_times_differ"
    unsaid = write_series(tmp_path / "t", tr_s=None)
    run = take_in(unsaid, work, asked=Asked(sidecar=beside))
    assert (run.facts.tr_s, run.tr_from) == (1.5, "sidecar")


def test_damaged_images_are_refused_and_nothing_is_left(tmp_path, work):
    folder = write_series(tmp_path / "s")
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:-150])

    assert refused(folder, work).code == "dicom_conversion_failed"


@pytest.mark.parametrize("stage", ["looking", "unpacking", "converting"])
def test_whoever_stops_it_finds_nothing_left(tmp_path, work, stage):
    class Stopped(Exception):  # noqa: N818
        pass

    def progress(name, _fraction):
        if name == stage:
            raise Stopped

    with pytest.raises(Stopped):
        take_in(write_series(tmp_path / "s"), work, progress=progress)

    assert list(work.iterdir()) == []


@pytest.mark.real_data
def test_a_real_philips_series(shared_data, work):
    run = take_in(shared_data / "dicom" / "philips_epi_24vols_dicom.zip", work)

    scan = open_scan(run.path)
    assert (scan.shape, scan.tr_s, run.tr_from) == ((80, 80, 35, 24), 2.0, "dicom")
    assert {warning.code for warning in run.warnings} == {"dicom_frames_missing", "run_short"}
    content = run.path.read_bytes()
    for word in (b"Jane", b"Doe", b"1966", b"2014", b"Time=", b"oneback"):
        assert word not in content[:352]
