"""A worker is killed while it brings a scan into template space: the next one goes on, to the same file."""

import hashlib
import os
import time
from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import nibabel as nib
import numpy as np
import pytest
from pydicom import FileDataset

from imaging.native import sources
from imaging.native.normalise import STAGES
from service import jobs
from service.db.rows import NormalisedScanRow, PredictionState, ResultRow, ScanRow
from service.identity.actor import program
from service.registry import active_model
from service.storage import PrivateFolders, run_key
from tests.identity import identity_of, telling
from tests.imaging.native.people import write_subject
from tests.imaging.native.sources.series import write_head, zipped
from tests.integration.conftest import MakeWorkplace, Workplace
from tests.servers import wait_until
from tests.thorough import first

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.enable_socket]

QUEUES = ("inference", "normalising", "maintenance")


def kept(place: Workplace, prediction_id: str) -> NormalisedScanRow | None:
    with place.sessions() as session:
        return jobs.normalised_of(session, place.row(prediction_id).scan_id)


def scan_of(place: Workplace, prediction_id: str) -> ScanRow:
    with place.sessions() as session:
        return session.get_one(ScanRow, place.row(prediction_id).scan_id)


def samples_sha256(place: Workplace, prediction_id: str) -> str:
    row = kept(place, prediction_id)
    assert row is not None
    with place.storage.open_local(row.storage_key) as path:
        return hashlib.sha256(np.asarray(nib.load(path).dataobj).tobytes()).hexdigest()


def probability(place: Workplace, prediction_id: str) -> float:
    with place.sessions() as session:
        return session.get_one(ResultRow, prediction_id).adhd_probability


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a zip of a simulated series of somebody with a name."""

    def named(image: FileDataset, _frame: int, _slice: int) -> None:
        image.PatientName = "ZAPHODSON^TRILLIAN"

    folder = tmp_path_factory.mktemp("series")
    return zipped(write_head(folder / "head", change=named), folder / "series.zip")


def of_other_bytes(packed: Path) -> bytes:
    """Pack the same images once more: what was made of an equal zip would be taken over."""
    content = BytesIO(packed.read_bytes())
    with ZipFile(content, "a") as archive:
        archive.writestr("another", "file")
    return content.getvalue()


# Ten workers start and end; on a machine that is busy otherwise too that takes its time.
@pytest.mark.timeout(900)
@pytest.mark.parametrize("database", first(1, ["postgresql", "sqlite"]))
def test_a_zip_comes_to_the_same_although_a_worker_is_killed_in_every_stage(
    make_workplace: MakeWorkplace, series: Path, database: str
) -> None:
    stages = (*sources.STAGES, *STAGES)
    place = make_workplace(database=database, max_attempts=len(stages) + 2)
    words = identity_of(series)
    # Those that are killed load no model, and so are there soon.
    place.worker("inference", "maintenance")
    place.worker("normalising")
    unharmed = place.upload("unharmed", content=of_other_bytes(series))
    place.wait_for(unharmed, PredictionState.SUCCEEDED, within_s=120)

    for stage in stages:
        (place.marks / f"wanted-{stage}").touch()
    prediction_id = place.upload("killed in every stage", content=series.read_bytes())
    for stage in stages:
        # The next one is ready when its turn comes.
        place.worker("normalising")
        place.wait_for_mark(f"held-{stage}", within_s=120)
        wait_until(lambda: place.row(prediction_id).stage == stage, f"{stage} to be shown")  # noqa: B023
        assert place.row(prediction_id).state == PredictionState.NORMALISING, stage
        number = int((place.marks / f"held-{stage}").read_text())
        place.kill(next(worker for worker in place.processes if worker.pid == number))
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)

    assert place.row(prediction_id).attempts <= 2
    assert samples_sha256(place, prediction_id) == samples_sha256(place, unharmed)
    assert probability(place, prediction_id) == probability(place, unharmed)
    assert place.results(prediction_id) == 1
    killed, other = scan_of(place, prediction_id), scan_of(place, unharmed)
    assert (killed.stored_sha256, killed.taken) == (other.stored_sha256, other.taken)
    keys = {file.key for file in place.storage.stored("scans")}
    assert keys == {run_key(killed.id), run_key(other.id)}
    # The folders of those that were killed go a minute later.
    scratch = place.settings.scratch_dir
    for folder in scratch.glob("restnet-*"):
        os.utime(folder, (0, 0))
    PrivateFolders(scratch).remove_abandoned()
    assert list(scratch.glob("restnet-*")) == []
    assert telling(place.settings.data_dir, words) == []


def test_what_was_found_before_the_kill_is_not_looked_for_again(
    make_workplace: MakeWorkplace, native_scan
) -> None:
    place = make_workplace()
    worker = place.worker(*QUEUES)
    (place.marks / "wanted-resampling").touch()
    prediction_id = place.upload("killed", content=native_scan.read_bytes())
    place.wait_for_mark("held-resampling")
    row = kept(place, prediction_id)
    assert row is not None
    assert row.known is not None
    assert row.known["registration"] is not None
    place.kill(worker)
    # A worker that came to motion again would stand still there for good.
    (place.marks / "wanted-motion").touch()
    place.worker(*QUEUES)
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)
    assert (place.marks / "wanted-motion").exists()


def test_what_a_t1_weighted_image_showed_outlives_the_worker_and_the_image(
    make_workplace: MakeWorkplace, tmp_path: Path
) -> None:
    write_subject(tmp_path / "sub-01")
    packed = zipped(tmp_path / "sub-01", tmp_path / "subject.zip")
    place = make_workplace(max_attempts=4)
    place.worker("inference", "maintenance")
    prediction_id = place.upload("killed", content=packed.read_bytes())
    # Before the image has shown the way, and when it has.
    for stage, known in (("motion", False), ("resampling", True)):
        (place.marks / f"wanted-{stage}").touch()
        worker = place.worker("normalising")
        place.wait_for_mark(f"held-{stage}", within_s=120)
        assert ((row := kept(place, prediction_id)) is not None and row.known is not None) == known
        assert scan_of(place, prediction_id).packed
        place.kill(worker)
    # A worker that came to motion again would stand still there for good.
    (place.marks / "held-motion").rename(place.marks / "wanted-motion")
    place.worker("normalising")
    place.wait_for(prediction_id, PredictionState.SUCCEEDED, within_s=120)
    assert (place.marks / "wanted-motion").exists()
    made = kept(place, prediction_id)
    assert made is not None
    assert made.summary is not None
    assert made.summary["registered_through"] == "t1w"
    assert [file.key for file in place.storage.stored("scans")] == [run_key(made.scan_id)]


def test_a_cancellation_is_heard_within_two_seconds(make_workplace: MakeWorkplace, native_scan) -> None:
    place = make_workplace()
    place.worker(*QUEUES)
    (place.marks / "wanted-motion").touch()
    prediction_id = place.upload("cancelled", content=native_scan.read_bytes())
    place.wait_for_mark("held-motion")
    with place.sessions.begin() as session:
        jobs.request_cancel(session, prediction_id, actor=program("test"))
    asked_at = time.monotonic()
    place.wait_for(prediction_id, PredictionState.CANCELLED)
    assert time.monotonic() - asked_at < 2


def test_a_scan_that_takes_long_keeps_none_waiting_that_is_in_template_space(
    make_workplace: MakeWorkplace, native_scan
) -> None:
    place = make_workplace()
    place.worker("inference", "maintenance")
    place.worker("normalising")
    (place.marks / "wanted-motion").touch()
    long = place.upload("long", content=native_scan.read_bytes())
    place.wait_for_mark("held-motion")
    quick = place.upload("quick")
    place.wait_for(quick, PredictionState.SUCCEEDED)
    with place.sessions() as session:
        assert active_model(session) is not None
    assert place.row(long).state == PredictionState.NORMALISING
