"""A scan in the scanner's space, from its upload to its answer, with real files and a real enclosure."""

import gzip
import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from io import BytesIO
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
from PIL import Image
from sqlalchemy.orm import Session, sessionmaker

from imaging import PreprocessingSpec, open_scan
from imaging.native.figures import draw_figures
from imaging.native.normalise import VERSION, normalise
from imaging.native.output import write_nifti
from imaging.native.preparing import prepare_native
from imaging.native.sidecar import Sidecar
from imaging.native.sources import Asked, take_in
from imaging.native.sources.zips import is_zip
from model import demonstration_checkpoint
from model.prediction import predict_scan
from model.predictor import Predictor
from service import jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import NormalisedScanRow, PredictionRow, RescoreRow, ResultRow, ScanRow, ScoreRow
from service.identity.actor import program
from service.identity.organisations import create_organisation
from service.registry import let_answer
from service.registry.registering import register
from service.retention import Reason, mark_deleted, remove_file, remove_leftovers
from service.settings import Settings
from service.storage import NORMALISED_FIGURES, normalised_figure_key, normalised_key, run_key
from service.worker import normalising_enclosed, taking, template_space
from service.worker.equal_scans import copy_of_equal_scan
from service.worker.heartbeat import JobStoppedError, StopReason
from service.worker.normalised_figures import copy_figures, described
from service.worker.normalising import run_normalising
from service.worker.prediction import run_prediction
from service.worker.runtime import Runtime, open_runtime
from service.worker.score import run_score
from tests.identity import telling
from tests.imaging.native.heads import short_run, write_run
from tests.imaging.native.people import write_subject
from tests.imaging.native.sources.series import write_head, write_series, zipped
from tests.thorough import first


@pytest.fixture
def runtime(tmp_path: Path, database_url: str, sessions: sessionmaker[Session]) -> Iterator[Runtime]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, heartbeat_s=0.1, device="cpu")
    found = open_runtime(settings)
    with sessions.begin() as session:
        version = register(session, found.storage, demonstration_checkpoint(), actor=program("test"))
        let_answer(session, found.storage, version, actor=program("test"), reason="for the tests")
    yield found
    found.enclosure.close()
    found.normaliser.close()


def upload(
    runtime: Runtime,
    scan: Path,
    *,
    slice_times_s: list[float] | None = None,
    sidecar: dict[str, object] | None = None,
    run: str | None = None,
    organisation_id: str = DEFAULT_ORGANISATION_ID,
    key: str = "scans/aa/run.nii.gz",
) -> str:
    """Store a scan and queue its prediction; returns the prediction's id."""
    with runtime.storage.receive(max_bytes=1 << 30) as received:
        received.write(scan.read_bytes())
        runtime.storage.promote(received, key)
    with runtime.sessions.begin() as session:
        row = ScanRow(
            organisation_id=organisation_id,
            sha256=received.sha256,
            size_bytes=received.size_bytes,
            display_name=scan.name,
            storage_key=key,
            slice_times_s=slice_times_s,
            sidecar=sidecar,
            run=run,
            packed=is_zip(scan),
        )
        session.add(row)
        session.flush()
        return jobs.enqueue(session, scan_id=row.id).id


def prediction(runtime: Runtime, prediction_id: str) -> PredictionRow:
    with runtime.sessions() as session:
        return session.get_one(PredictionRow, prediction_id)


def scan_of(runtime: Runtime, prediction_id: str) -> ScanRow:
    with runtime.sessions() as session:
        return session.get_one(ScanRow, session.get_one(PredictionRow, prediction_id).scan_id)


def stored(runtime: Runtime, prefix: str) -> list[str]:
    return [file.key for file in runtime.storage.stored(prefix)]


def kept(runtime: Runtime, prediction_id: str) -> NormalisedScanRow | None:
    with runtime.sessions() as session:
        return jobs.normalised_of(session, session.get_one(PredictionRow, prediction_id).scan_id)


def samples_of(runtime: Runtime, row: NormalisedScanRow) -> np.ndarray:
    with runtime.storage.open_local(row.storage_key) as path:
        return np.asarray(nib.load(path).dataobj)


def figure_of(runtime: Runtime, row: NormalisedScanRow, name: str) -> bytes:
    with runtime.storage.open_local(normalised_figure_key(row.scan_id, row.version, name)) as path:
        return path.read_bytes()


def test_a_scan_in_the_scanners_space_is_answered_as_on_the_command_line(runtime, native_scan):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)

    waiting = prediction(runtime, prediction_id)
    assert (waiting.state, waiting.lane, waiting.attempts) == ("queued", "normalising", 0)
    # A message for the other queue that was late finds nothing to do.
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).attempts == 0

    run_normalising(runtime, prediction_id)

    back = prediction(runtime, prediction_id)
    assert (back.state, back.lane, back.progress, back.stage) == ("queued", "inference", 0.9, None)
    row = kept(runtime, prediction_id)
    assert (row.version, row.known, row.summary["dropped_frames"]) == (VERSION, None, 4)
    assert row.storage_key == f"normalised/{row.scan_id[:2]}/{row.scan_id}-{VERSION}.nii.gz"
    # The same figures as on the command line, and as the row says.
    drawn = draw_figures(normalise(open_scan(native_scan)))
    figures = {name: figure_of(runtime, row, name) for name in NORMALISED_FIGURES}
    assert figures == drawn
    assert row.provenance["figures"] == described(drawn)
    for name, png in figures.items():
        with Image.open(BytesIO(png)) as image:
            assert image.size == tuple(row.provenance["figures"][name][side] for side in ("width", "height"))

    run_prediction(runtime, prediction_id)

    with runtime.sessions() as session:
        result = session.get_one(ResultRow, prediction_id).result
    alone = predict_scan(native_scan, Predictor.load(demonstration_checkpoint(), device="cpu")).to_json()
    for answer in (result, alone):
        del answer["timing_ms"]
    assert result == json.loads(json.dumps(alone))
    assert result["space"] == "native"
    assert result["normalisation"]["input"] == {
        "origin": "nifti",
        "tr_s": 2.5,
        "tr_from": "header",
        "slice_times_from": None,
        "t1w_available": False,
    }
    assert "run_short" in {warning["code"] for warning in result["warnings"]}


def test_times_of_slices_are_used(runtime, native_scan):
    times_s = [2.5 * number / 36 for number in range(36)]
    prediction_id = upload(runtime, native_scan, slice_times_s=times_s)
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    row = kept(runtime, prediction_id)
    assert (row.summary["slice_timing"], row.provenance["slice_times_s"]) == (True, times_s)


@pytest.mark.thorough
def test_what_a_sidecar_says_is_used_as_on_the_command_line(runtime, native_scan):
    times_s = tuple(2.5 * number / 36 for number in range(36))
    facts = Sidecar(tr_s=2.5, slice_times_s=times_s, discarded_volumes=3)
    prediction_id = upload(runtime, native_scan, sidecar=asdict(facts))
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)

    row = kept(runtime, prediction_id)
    assert (row.summary["slice_timing"], row.provenance["slice_times_s"]) == (True, list(times_s))
    assert row.provenance["dropped_frames"]["discarded_before"] == 3
    assert (row.summary["input"]["tr_from"], row.summary["input"]["slice_times_from"]) == (
        "sidecar",
        "sidecar",
    )
    alone = prepare_native(native_scan, PreprocessingSpec(), asked=Asked(sidecar=facts))
    assert {**row.summary, "warnings": None} == {**alone.normalisation, "warnings": None}
    # The same bytes with another sidecar are another scan, and nothing of the first is copied for it.
    other = upload(runtime, native_scan, sidecar={**asdict(facts), "tr_s": 2.0}, key="scans/bb/run.nii.gz")
    run_prediction(runtime, other)
    run_normalising(runtime, other)
    assert (prediction(runtime, other).state, prediction(runtime, other).error_code) == (
        "failed",
        "repetition_times_differ",
    )


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("half a brain", "brain_cut_off"),
        ("five slices", "brain_cut_off"),
        ("noise", "registration_failed"),
    ],
)
def test_what_cannot_be_laid_over_the_template_fails_with_its_own_words(
    runtime, native_scan, tmp_path, what, code
):
    image = nib.load(native_scan)
    if what == "half a brain":
        image = image.slicer[:, :30]
    elif what == "five slices":
        image = image.slicer[:, :, 15:20]
    else:
        noise = np.random.default_rng(3).normal(1000, 50, image.shape).astype(np.int16)
        image = nib.Nifti1Image(noise, image.affine, image.header)
    file = tmp_path / "refused.nii.gz"
    image.to_filename(file)
    prediction_id = upload(runtime, file)
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("failed", code)
    if code == "registration_failed":
        assert row.error_details["explained"] < 0.5
    else:
        assert row.error_details["expected"] != row.error_details["found"]


def test_a_brain_that_lies_back_to_front_is_refused_at_once(runtime, tmp_path):
    upright = short_run(n_frames=24, to_scan=np.eye(4))
    prediction_id = upload(runtime, write_run(tmp_path / "turned.nii.gz", upright[:, ::-1]))
    run_prediction(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("failed", "not_in_template_space")


def test_another_try_begins_in_the_first_queue_and_finds_the_file(runtime, native_scan, sessions):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    with sessions.begin() as session:
        jobs.request_cancel(session, prediction_id, actor=program("test"))
        jobs.retry(session, prediction_id, actor=program("test"))
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "succeeded"


def test_a_cancelled_one_keeps_what_was_found(runtime, native_scan, sessions, monkeypatch):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    real = template_space.normalise_enclosed

    def until_registration(*args, progress, **more):
        def report(stage, fraction):
            if stage == "registration":
                with sessions.begin() as session:
                    jobs.request_cancel(session, prediction_id, actor=program("test"))
                raise JobStoppedError(StopReason.CANCELLED)
            progress(stage, fraction)

        return real(*args, progress=report, **more)

    with monkeypatch.context() as patched:
        patched.setattr(template_space, "normalise_enclosed", until_registration)
        run_normalising(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "cancelled"
    row = kept(runtime, prediction_id)
    assert (row.finished_at, row.known["registration"]) == (None, None)
    assert len(row.known["motion"]["rotations"]) == 26

    with sessions.begin() as session:
        jobs.retry(session, prediction_id, actor=program("test"))
    run_prediction(runtime, prediction_id)
    seen = []
    known = []

    def watched(*args, progress, **more):
        known.append(more["known"])
        return real(
            *args, progress=lambda stage, done: (seen.append((stage, done)), progress(stage, done)), **more
        )

    monkeypatch.setattr(template_space, "normalise_enclosed", watched)
    run_normalising(runtime, prediction_id)
    assert known == [row.known]
    assert "motion" not in [stage for stage, _ in seen]
    fresh = predict_scan(native_scan, Predictor.load(demonstration_checkpoint(), device="cpu"))
    run_prediction(runtime, prediction_id)
    with sessions() as session:
        assert session.get_one(ResultRow, prediction_id).adhd_probability == pytest.approx(
            fresh.classification.adhd_probability, abs=1e-12
        )


@pytest.mark.parametrize("times", first(1, [2, 1]))
def test_a_child_that_the_system_kills_is_begun_once_more_and_no_more(
    runtime, native_scan, monkeypatch, times
):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    real, begun, killed = template_space.normalise_enclosed, [], []

    def killed_on_the_way(*args, progress, **more):
        begun.append(more["known"])

        def report(stage, fraction):
            progress(stage, fraction)
            if stage == "resampling" and len(killed) < min(times, len(begun)):
                [child] = psutil.Process(runtime.normaliser._server.pid).children()
                child.kill()
                killed.append(child.pid)

        return real(*args, progress=report, **more)

    monkeypatch.setattr(template_space, "normalise_enclosed", killed_on_the_way)
    run_normalising(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    # What the first one had found is not looked for again.
    assert (len(begun), begun[0]) == (2, None)
    assert begun[1]["registration"] is not None
    if times == 1:
        assert (row.state, row.lane) == ("queued", "inference")
        assert kept(runtime, prediction_id).finished_at is not None
    else:
        assert (row.state, row.error_code, row.error_details) == (
            "failed",
            "scan_reader_died",
            {"found": "SIGKILL"},
        )
    assert list((runtime.settings.data_dir / "storage" / "quarantine").iterdir()) == []
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []


def test_a_scan_that_is_deleted_at_work_leaves_nothing_on_the_disk(
    runtime, native_scan, sessions, monkeypatch
):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    scan_id = prediction(runtime, prediction_id).scan_id
    quarantine = runtime.settings.data_dir / "storage" / "quarantine"
    real, seen = template_space.normalise_enclosed, []

    def deleted_meanwhile(*args, progress, **more):
        def report(stage, fraction):
            if stage == "motion" and not seen:
                seen.extend(quarantine.iterdir())
                with sessions.begin() as session:
                    mark_deleted(session, scan_id, actor=program("test"), reason=Reason.REQUEST)
            progress(stage, fraction)

        return real(*args, progress=report, **more)

    monkeypatch.setattr(template_space, "normalise_enclosed", deleted_meanwhile)
    run_normalising(runtime, prediction_id)
    assert len(seen) == 1
    assert list(quarantine.iterdir()) == []
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []
    assert stored(runtime, "normalised") == []
    assert remove_file(sessions, runtime.storage, scan_id, actor=program("test"))
    assert stored(runtime, "scans") == []


def test_a_file_that_was_changed_in_storage_is_said_to_be(runtime, native_scan, sessions):
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    with runtime.storage.receive(max_bytes=1 << 30) as received:
        received.write(gzip.compress(gzip.decompress(native_scan.read_bytes())[:-2] + b"xx", mtime=1))
        runtime.storage.promote(received, "scans/aa/run.nii.gz")
    run_normalising(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("failed", "stored_file_changed")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"normalising_time_s": 1}, "scan_reader_time_limit"),
        ({"normalising_memory_bytes": 1 << 28}, "scan_reader_memory"),
    ],
)
def test_it_takes_no_more_than_it_may(runtime, native_scan, tmp_path, changes, code):
    large = tmp_path / "large.nii.gz"
    image = nib.load(native_scan)
    samples = np.asarray(image.dataobj)
    nib.Nifti1Image(np.tile(samples, 8), image.affine, image.header).to_filename(large)
    prediction_id = upload(runtime, large)
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).lane == "normalising"
    limited = replace(runtime, settings=runtime.settings.model_copy(update=changes))
    run_normalising(limited, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("failed", code)
    assert kept(runtime, prediction_id) is None or kept(runtime, prediction_id).finished_at is None


def test_the_same_scan_again_is_copied_within_an_organisation(runtime, native_scan, sessions, monkeypatch):
    first = upload(runtime, native_scan)
    with sessions.begin() as session:
        elsewhere = create_organisation(session, name="south").id
    others = {
        "again": upload(runtime, native_scan, key="scans/ab/run.nii.gz"),
        "with times": upload(
            runtime,
            native_scan,
            key="scans/ac/run.nii.gz",
            slice_times_s=[2.5 * number / 36 for number in range(36)],
        ),
        "elsewhere": upload(runtime, native_scan, key="scans/ad/run.nii.gz", organisation_id=elsewhere),
    }
    for prediction_id in (first, *others.values()):
        run_prediction(runtime, prediction_id)
    run_normalising(runtime, first)
    made = []
    real = template_space.normalise_enclosed
    monkeypatch.setattr(
        template_space, "normalise_enclosed", lambda *args, **more: made.append(1) or real(*args, **more)
    )
    for name, prediction_id in others.items():
        run_normalising(runtime, prediction_id)
        assert len(made) == {"again": 0, "with times": 1, "elsewhere": 2}[name]
    copy, source = kept(runtime, others["again"]), kept(runtime, first)
    assert (copy.sha256, copy.summary) == (source.sha256, source.summary)
    assert copy.storage_key != source.storage_key
    assert np.array_equal(samples_of(runtime, copy), samples_of(runtime, source))
    assert copy.provenance == source.provenance
    for name in NORMALISED_FIGURES:
        assert figure_of(runtime, copy, name) == figure_of(runtime, source, name)
    # A figure that storage has lost or somebody has changed is not copied; the file is.
    with runtime.storage.receive(max_bytes=100) as received:
        received.write(b"changed")
        runtime.storage.promote(received, normalised_figure_key(copy.scan_id, VERSION, "carpet"))
    runtime.storage.delete(normalised_figure_key(copy.scan_id, VERSION, "registration"))
    known = source.provenance["figures"]
    made_of_it = copy_figures(runtime, copy.scan_id, "f" * 36, VERSION, known, check=lambda: None)
    assert made_of_it == {}
    # A copy of what storage has lost, or somebody has changed, is none.
    third = upload(runtime, native_scan, key="scans/ae/run.nii.gz")
    run_prediction(runtime, third)
    for row in (copy, source):
        with runtime.storage.receive(max_bytes=100) as received:
            received.write(b"changed")
            runtime.storage.promote(received, row.storage_key)
    run_normalising(runtime, third)
    assert len(made) == 3


@pytest.fixture
def packed(shared_data: Path) -> Path:
    return shared_data / "dicom/philips_epi_24vols_dicom.zip"


def test_a_zip_of_dicom_images_is_answered(runtime, packed):
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).lane == "normalising"
    run_normalising(runtime, prediction_id)
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []
    run_prediction(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("succeeded", None)
    with runtime.sessions() as session:
        result = session.get_one(ResultRow, prediction_id).result
    codes = {warning["code"] for warning in result["warnings"]}
    assert codes >= {"dicom_frames_missing", "run_short"}
    assert result["normalisation"]["input"]["origin"] == "dicom"
    scan = scan_of(runtime, prediction_id)
    assert (scan.packed, scan.leftover_key, scan.storage_key) == (False, None, run_key(scan.id))
    assert scan.taken["converter"].startswith("dcm2niix ")
    assert scan.sha256 == hashlib.sha256(packed.read_bytes()).hexdigest()
    assert stored(runtime, "scans") == [scan.storage_key]


@pytest.mark.parametrize("stage", first(1, ["converting", "unpacking", "looking"]))
def test_nothing_is_left_of_a_zip_whose_work_was_stopped(runtime, monkeypatch, tmp_path, stage):
    packed = zipped(write_series(tmp_path / "series", n_frames=60), tmp_path / "series.zip")
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    real, seen = taking.take_enclosed, []

    def until_stage(*args, progress, **more):
        def report(now, fraction):
            progress(now, fraction)
            if now == stage and fraction < 1:
                seen.extend(runtime.settings.scratch_dir.glob("restnet-*"))
                raise JobStoppedError(StopReason.CANCELLED)

        return real(*args, progress=report, **more)

    monkeypatch.setattr(taking, "take_enclosed", until_stage)
    run_normalising(runtime, prediction_id)
    assert len(seen) == 1
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []
    server = psutil.Process(runtime.normaliser._server.pid)
    until = time.monotonic() + 10
    while server.children(recursive=True):
        assert time.monotonic() < until, "a child is left"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def head_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a zip with a simulated series of a whole head."""
    folder = tmp_path_factory.mktemp("head")
    return zipped(write_head(folder / "head"), folder / "head.zip")


@pytest.mark.thorough
def test_a_child_that_is_killed_while_it_unpacks_a_zip_is_begun_once_more(runtime, head_zip, monkeypatch):
    prediction_id = upload(runtime, head_zip, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    real, killed = taking.take_enclosed, []

    def killed_on_the_way(*args, progress, **more):
        def report(stage, fraction):
            progress(stage, fraction)
            if stage == "unpacking" and not killed:
                [child] = psutil.Process(runtime.normaliser._server.pid).children()
                child.kill()
                killed.append(child.pid)

        return real(*args, progress=report, **more)

    monkeypatch.setattr(taking, "take_enclosed", killed_on_the_way)
    run_normalising(runtime, prediction_id)
    assert len(killed) == 1
    assert scan_of(runtime, prediction_id).taken["input"]["origin"] == "dicom"
    assert prediction(runtime, prediction_id).lane == "inference"


def test_a_zip_that_is_refused_is_not_kept_and_not_tried_again(runtime, tmp_path, sessions):
    folder = tmp_path / "both"
    write_series(folder / "one", number=5)
    packed = zipped(write_series(folder / "two", number=6).parent, tmp_path / "both.zip")
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    row = prediction(runtime, prediction_id)
    assert (row.state, row.error_code) == ("failed", "several_series")
    assert stored(runtime, "scans") == []
    scan = scan_of(runtime, prediction_id)
    assert (scan.packed, scan.leftover_key, scan.given_up_at is None) == (False, None, False)
    with sessions.begin() as session, pytest.raises(jobs.ScanGivenUpError):
        jobs.retry(session, prediction_id, actor=program("test"))


def test_a_zip_whose_run_is_refused_leaves_the_run(runtime, tmp_path):
    # Noise in four slices is a series, and no brain.
    packed = zipped(write_series(tmp_path / "series", n_frames=30), tmp_path / "series.zip")
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "failed"
    assert scan_of(runtime, prediction_id).taken is not None
    assert stored(runtime, "scans") == [run_key(scan_of(runtime, prediction_id).id)]


def test_of_a_bids_subject_the_facts_are_kept_and_no_name(runtime, tmp_path):
    noise = np.random.default_rng(1).normal(1000, 50, (12, 12, 8, 30)).astype(np.float32)
    folder = tmp_path / "sub-ZAPHODSON" / "func"
    name = "sub-ZAPHODSON_task-rest_bold"
    write_run(folder / f"{name}.nii.gz", noise, mark=b"ZAPHODSON slept")
    times_s = [round(0.3 * number, 1) for number in range(8)]
    said = {"RepetitionTime": 2.5, "SliceTiming": times_s, "NumberOfVolumesDiscardedByScanner": 2}
    (folder / f"{name}.json").write_text(json.dumps({**said, "PatientName": "ZAPHODSON"}))
    packed = zipped(folder.parent, tmp_path / "subject.zip")
    shutil.rmtree(folder.parent)
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    packed.unlink()
    assert telling(tmp_path, {b"ZAPHODSON"}) != []
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    scan = scan_of(runtime, prediction_id)
    assert scan.taken["input"] == {
        "origin": "bids",
        "tr_s": 2.5,
        "tr_from": "sidecar",
        "slice_times_from": "sidecar",
        "t1w_available": False,
    }
    assert (scan.taken["slice_times_s"], scan.taken["discarded_volumes"]) == (times_s, 2)
    assert scan.taken["converter"] is None
    assert telling(tmp_path, {b"ZAPHODSON"}) == []


def test_times_that_are_said_stand_above_those_of_a_zip(runtime, tmp_path):
    # Noise is no brain, but what is known of a run stays when it is refused.
    noise = np.random.default_rng(1).normal(1000, 50, (12, 12, 8, 30)).astype(np.float32)
    name = "sub-1_task-rest_bold"
    write_run(tmp_path / "sub-1" / "func" / f"{name}.nii.gz", noise)
    sidecar = {"RepetitionTime": 2.5, "SliceTiming": [0.3 * number for number in range(8)]}
    (tmp_path / "sub-1" / "func" / f"{name}.json").write_text(json.dumps(sidecar))
    packed, times_s = zipped(tmp_path / "sub-1", tmp_path / "subject.zip"), [0.0, 1.0] * 4
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip", slice_times_s=times_s)
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    taken = scan_of(runtime, prediction_id).taken
    assert (taken["slice_times_s"], taken["input"]["slice_times_from"]) == (times_s, "asked")
    assert "slice_order_overridden" in {warning["code"] for warning in taken["warnings"]}


class Killed(BaseException):
    """Passes through everything, as the end of a process does."""


def killed_at(
    runtime: Runtime, monkeypatch: pytest.MonkeyPatch, place: object, name: str, prediction_id: str
) -> None:
    """Begin the work, end it where a function is called, and let the prediction wait for another worker."""

    def stop(*_args: object, **_more: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(place, name, stop)
        with pytest.raises(Killed):
            run_normalising(runtime, prediction_id)
    with runtime.sessions.begin() as session:
        row = session.get_one(PredictionRow, prediction_id)
        row.lease_owner, row.lease_expires_at, row.state = None, None, "queued"


def test_work_that_ends_between_any_two_steps_goes_on_from_what_is_there(runtime, tmp_path, monkeypatch):
    packed = zipped(write_series(tmp_path / "series", n_frames=30), tmp_path / "series.zip")
    taken_runs = []
    real = taking.take_enclosed

    def counted(*args, **more):
        taken_runs.append(real(*args, **more))
        return taken_runs[-1]

    monkeypatch.setattr(taking, "take_enclosed", counted)

    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    at = {
        "file": (jobs, "keep_taken", {"scans/aa/run.zip", "run"}, 1),
        "row": (taking, "remove_leftover", {"scans/aa/run.zip", "run"}, 2),
        "zip": (template_space, "_made", {"run"}, 2),
    }
    run_name = run_key(scan_of(runtime, prediction_id).id)
    for place, name, files, n_taken in at.values():
        killed_at(runtime, monkeypatch, place, name, prediction_id)
        assert set(stored(runtime, "scans")) == {run_name if file == "run" else file for file in files}
        assert len(taken_runs) == n_taken
        # What a killed worker could not remove is removed by the housekeeping.
        remove_leftovers(runtime.sessions, runtime.storage)
    run_normalising(runtime, prediction_id)
    assert stored(runtime, "scans") == [run_name]
    # The same zip gives the same bytes.
    assert len({run.sha256 for run in taken_runs}) == 1


@pytest.mark.thorough
def test_the_same_zip_again_is_the_same_scan(runtime, head_zip, monkeypatch):
    first = upload(runtime, head_zip, key="scans/aa/run.zip")
    again = upload(runtime, head_zip, key="scans/ab/run.zip")
    for prediction_id in (first, again):
        run_prediction(runtime, prediction_id)
    run_normalising(runtime, first)
    monkeypatch.setattr(template_space, "normalise_enclosed", None)
    run_normalising(runtime, again)
    one, other = kept(runtime, first), kept(runtime, again)
    assert (one.sha256, one.summary) == (other.sha256, other.summary)
    assert scan_of(runtime, first).stored_sha256 == scan_of(runtime, again).stored_sha256
    assert set(stored(runtime, "scans")) == {run_key(one.scan_id), run_key(other.scan_id)}


@pytest.fixture(scope="module")
def t1w_zip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a zip with a BIDS subject whose T1-weighted image shows the way."""
    folder = tmp_path_factory.mktemp("t1w")
    write_subject(folder / "sub-01")
    return zipped(folder / "sub-01", folder / "subject.zip")


@pytest.fixture(scope="module")
def by_the_command(t1w_zip: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Give the digest of the file that the command makes of it, and what it was registered through."""
    folder = tmp_path_factory.mktemp("command")
    run = take_in(t1w_zip, folder)
    found = normalise(open_scan(run.path), t1w=run.t1w)
    with (folder / "made.nii.gz").open("wb") as file:
        write_nifti(found.scan, file)
    digest = hashlib.sha256((folder / "made.nii.gz").read_bytes()).hexdigest()
    return digest, found.registration.through


def test_a_t1_weighted_image_shows_the_way_and_goes_with_its_zip(
    runtime, t1w_zip, by_the_command, monkeypatch, sessions
):
    prediction_id = upload(runtime, t1w_zip, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    run_name = run_key(scan_of(runtime, prediction_id).id)

    # Between the registration and the row that names the run: the zip is there and what it showed is known.
    killed_at(runtime, monkeypatch, template_space, "take_its_place", prediction_id)
    assert stored(runtime, "scans") == ["scans/aa/run.zip"]
    found = kept(runtime, prediction_id).known
    assert found["registration"]["through"] == "t1w"
    killed_at(runtime, monkeypatch, jobs, "keep_taken", prediction_id)
    assert set(stored(runtime, "scans")) == {"scans/aa/run.zip", run_name}
    assert scan_of(runtime, prediction_id).packed
    # After it: the run is there and what the image showed is known.
    killed_at(runtime, monkeypatch, taking, "remove_leftover", prediction_id)
    assert not scan_of(runtime, prediction_id).packed
    remove_leftovers(runtime.sessions, runtime.storage)
    assert stored(runtime, "scans") == [run_name]
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []
    run_normalising(runtime, prediction_id)

    made = kept(runtime, prediction_id)
    assert (made.sha256, made.summary["registered_through"]) == by_the_command
    assert (by_the_command[1], made.known) == ("t1w", found)
    assert made.summary["input"]["t1w_available"]
    assert "t1w_not_used" not in [warning["code"] for warning in made.summary["warnings"]]
    again = upload(runtime, t1w_zip, key="scans/ab/run.zip")
    assert copy_of_equal_scan(runtime, scan_of(runtime, again), check=lambda: None).known == found

    # A file that is lost is made again by what the image showed.
    with sessions.begin() as session:
        session.get_one(NormalisedScanRow, made.scan_id).finished_at = None
        session.get_one(PredictionRow, prediction_id).lane = "normalising"
    runtime.storage.delete(made.storage_key)
    run_normalising(runtime, prediction_id)
    assert (kept(runtime, prediction_id).sha256, kept(runtime, prediction_id).known) == (made.sha256, found)

    # By another version it cannot be, and that is said; the zip handed over again is not content with that.
    with sessions.begin() as session:
        session.get_one(NormalisedScanRow, made.scan_id).version = VERSION - 1
        session.get_one(PredictionRow, prediction_id).lane = "normalising"
    run_normalising(runtime, prediction_id)
    without = kept(runtime, prediction_id)
    assert (without.version, without.known) == (VERSION, None)
    assert without.summary["registered_through"] == "template"
    (said,) = [one["message"] for one in without.summary["warnings"] if one["code"] == "t1w_not_used"]
    assert "it is not kept" in said
    assert copy_of_equal_scan(runtime, scan_of(runtime, again), check=lambda: None) is None


@pytest.mark.thorough
def test_a_zip_with_a_t1_weighted_image_whose_run_is_refused_leaves_the_run(runtime, tmp_path):
    noise = np.random.default_rng(1).normal(1000, 50, (12, 12, 8, 30)).astype(np.float32)
    write_run(tmp_path / "sub-01" / "func" / "sub-01_task-rest_bold.nii.gz", noise)
    write_run(tmp_path / "sub-01" / "anat" / "sub-01_T1w.nii.gz", noise)
    packed = zipped(tmp_path / "sub-01", tmp_path / "subject.zip")
    prediction_id = upload(runtime, packed, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "failed"
    scan = scan_of(runtime, prediction_id)
    assert (scan.given_up_at, scan.taken["input"]["t1w_available"]) == (None, True)
    assert stored(runtime, "scans") == [run_key(scan.id)]


@pytest.mark.thorough
def test_a_cancelled_zip_with_a_t1_weighted_image_can_be_tried_again(runtime, t1w_zip, monkeypatch):
    prediction_id = upload(runtime, t1w_zip, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    real, seen = template_space.normalise_enclosed, []

    def until_motion(*args, progress, t1w, **more):
        def report(stage, fraction):
            if stage == "motion":
                seen.append(t1w.is_file())
                raise JobStoppedError(StopReason.CANCELLED)
            progress(stage, fraction)

        return real(*args, progress=report, t1w=t1w, **more)

    monkeypatch.setattr(template_space, "normalise_enclosed", until_motion)
    run_normalising(runtime, prediction_id)
    assert seen == [True]
    assert stored(runtime, "scans") == ["scans/aa/run.zip"]
    assert list(runtime.settings.scratch_dir.glob("restnet-*")) == []


def test_a_file_that_is_lost_or_of_an_older_version_is_made_again(runtime, head_zip, sessions):
    prediction_id = upload(runtime, head_zip, key="scans/aa/run.zip")
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    made = kept(runtime, prediction_id)
    # Lost before the answer: the prediction goes back to the queue that makes it.
    runtime.storage.delete(made.storage_key)
    with sessions.begin() as session:
        session.get_one(NormalisedScanRow, made.scan_id).finished_at = utc_now(-3600)
    run_prediction(runtime, prediction_id)
    waiting = prediction(runtime, prediction_id)
    assert (waiting.state, waiting.lane, waiting.error_code) == ("queued", "normalising", None)
    run_normalising(runtime, prediction_id)
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "succeeded"
    assert kept(runtime, prediction_id).sha256 == made.sha256
    with sessions() as session:
        answer = session.get_one(ResultRow, prediction_id)

    # Of a version that is no more: a score, for shadow or over earlier scans, makes it on its way.
    with sessions.begin() as session:
        row = session.get_one(NormalisedScanRow, made.scan_id)
        row.version, row.storage_key = VERSION - 1, normalised_key(made.scan_id, VERSION - 1)
        batch = RescoreRow(
            model_version_id=answer.model_version_id, until=utc_now(), n_asked=1, actor="t", reason="t"
        )
        session.add(batch)
        session.flush()
        score = ScoreRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            scan_id=made.scan_id,
            prediction_id=prediction_id,
            model_version_id=answer.model_version_id,
            purpose="rescore",
            rescore_id=batch.id,
        )
        session.add(score)
    run_score(runtime, score.id)
    with sessions() as session:
        scored = session.get_one(ScoreRow, score.id)
    assert (scored.state, scored.error_code) == ("succeeded", None)
    assert scored.adhd_probability == pytest.approx(answer.adhd_probability, abs=1e-6)
    again = kept(runtime, prediction_id)
    assert (again.version, again.sha256) == (VERSION, made.sha256)
    assert stored(runtime, "normalised") != []


def test_a_fault_of_drawing_leaves_the_answer(runtime, native_scan, monkeypatch):
    figures = normalising_enclosed.figures_in
    monkeypatch.setattr(normalising_enclosed, "figures_in", lambda packed: figures(packed[:-1]))
    prediction_id = upload(runtime, native_scan)
    run_prediction(runtime, prediction_id)
    run_normalising(runtime, prediction_id)
    run_prediction(runtime, prediction_id)
    assert prediction(runtime, prediction_id).state == "succeeded"
    assert kept(runtime, prediction_id).provenance["figures"] == {}
    with runtime.sessions() as session:
        result = session.get_one(ResultRow, prediction_id).result
    assert "figures_missing" in {warning["code"] for warning in result["warnings"]}
