"""One explanation in this process, of a real answer of the demonstration model to a simulated scan."""

import gzip
import hashlib
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

import model.explanation
from model import demonstration_checkpoint
from service import jobs
from service.db.job import JobState
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import ExplanationRow, PredictionRow, ScanRow
from service.explanations import ATTRIBUTION, GRAD_CAM, read_member
from service.identity.actor import program
from service.registry.registering import register
from service.retention import Reason, mark_deleted
from service.settings import Settings
from service.storage import explanation_key
from service.worker import explanation
from service.worker.explanation import run_explanation
from service.worker.prediction import run_prediction
from service.worker.runtime import Runtime, open_runtime
from tests.service.answering import let_answer
from tests.training.methods.tiny_ridge import train_tiny_ridge


@pytest.fixture
def runtime(tmp_path: Path, database_url: str, sessions: sessionmaker[Session]) -> Iterator[Runtime]:
    settings = Settings(data_dir=tmp_path, database_url=database_url, heartbeat_s=0.1, backend="torch")
    opened = open_runtime(settings)
    with sessions.begin() as session:
        version = register(session, opened.storage, demonstration_checkpoint(), actor=program("test"))
        let_answer(session, version)
    yield opened
    opened.enclosure.close()


@pytest.fixture
def prediction_id(runtime: Runtime, sessions: sessionmaker[Session], simulated_scan: Path) -> str:
    content = simulated_scan.read_bytes()
    with runtime.storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        runtime.storage.promote(upload, "scans/a.nii.gz")
    with sessions.begin() as session:
        scan = ScanRow(
            organisation_id=DEFAULT_ORGANISATION_ID,
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            display_name="Jane Doe.nii.gz",
            storage_key="scans/a.nii.gz",
        )
        session.add(scan)
        session.flush()
        prediction_id = jobs.enqueue(session, scan_id=scan.id).id
    run_prediction(runtime, prediction_id)
    return prediction_id


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take two gradients where what they come to does not matter."""
    monkeypatch.setattr(model.explanation, "explain", partial(model.explanation.explain, steps=2, windows=1))


def explained(sessions: sessionmaker[Session], prediction_id: str) -> ExplanationRow:
    with sessions() as session:
        row = jobs.explanation_of(session, prediction_id)
    assert row is not None
    return row


def member(runtime: Runtime, prediction_id: str, name: str) -> bytes:
    with runtime.storage.open_local(explanation_key(prediction_id)) as path:
        content = read_member(path, name)
    assert content is not None
    return content


def test_what_is_no_network_is_not_explained_whoever_queued_it(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str, tmp_path: Path
) -> None:
    row = explained(sessions, prediction_id)
    with sessions.begin() as session:
        ridge = register(
            session, runtime.storage, train_tiny_ridge(tmp_path).checkpoint, actor=program("test")
        )
        session.get_one(PredictionRow, prediction_id).model_version_id = ridge.id
    run_explanation(runtime, row.id)
    row = explained(sessions, prediction_id)
    assert (row.state, row.error_code) == (JobState.FAILED, "explanation_not_available")
    assert row.error_details == {"method": "ridge-connectivity"}


def test_an_answer_queues_its_explanation_which_gives_a_map_and_pictures(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = explained(sessions, prediction_id)
    assert row.state == JobState.QUEUED
    threads = torch.get_num_threads()
    reports: list[float] = []
    before = explanation.Heartbeat.report
    monkeypatch.setattr(
        explanation.Heartbeat,
        "report",
        lambda self, progress, **standing: (reports.append(progress), before(self, progress, **standing))[1],
    )

    run_explanation(runtime, row.id)

    row = explained(sessions, prediction_id)
    assert (row.state, row.error_code) == (JobState.SUCCEEDED, None)
    assert torch.get_num_threads() == threads
    # Often enough that a cancellation is heard in time.
    assert reports == sorted(reports)
    assert sum(0.2 < report < 0.96 for report in reports) >= 16
    facts = row.facts
    assert facts is not None
    assert facts["method"] == "integrated_gradients"
    assert facts["steps"] == 16
    assert 5 <= len(facts["peaks"]) <= 10
    assert len(facts["global_signal"]) > 20

    image: Any = nib.Nifti1Image.from_bytes(gzip.decompress(member(runtime, prediction_id, ATTRIBUTION)))
    shares = image.get_fdata()
    assert shares.sum() == pytest.approx(
        facts["logit"] - facts["baseline_logit"] + facts["completeness_error"], abs=1e-3
    )
    # The strongest place that is named is the strongest of the file.
    at = np.unravel_index(np.abs(shares).argmax(), shares.shape)
    np.testing.assert_allclose(
        facts["peaks"][0]["mni_mm"], nib.affines.apply_affine(image.affine, at), atol=0.1
    )

    assert set(facts["pictures"]) == {"attribution.png", "carpet.png", "temporal_sd.png"}
    for name, described in facts["pictures"].items():
        picture = Image.open(BytesIO(member(runtime, prediction_id, name)))
        assert picture.size == (described["width"], described["height"])
        assert len(set(np.asarray(picture).ravel().tolist())) > 20, name
    assert facts["volumes"] == [ATTRIBUTION, GRAD_CAM, "temporal_sd.nii.gz"]
    assert facts["strongest"][ATTRIBUTION] == pytest.approx(np.abs(shares).max())
    coarse: Any = nib.Nifti1Image.from_bytes(gzip.decompress(member(runtime, prediction_id, GRAD_CAM)))
    assert facts["strongest"][GRAD_CAM] == pytest.approx(np.abs(coarse.get_fdata()).max())


@pytest.mark.usefixtures("quick")
def test_nothing_that_a_person_typed_or_a_header_said_is_in_its_file(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str
) -> None:
    run_explanation(runtime, explained(sessions, prediction_id).id)
    with runtime.storage.open_local(explanation_key(prediction_id)) as path:
        content = path.read_bytes()
    volume = gzip.decompress(member(runtime, prediction_id, "temporal_sd.nii.gz"))
    for whole in (content, volume):
        assert b"Jane" not in whole
    assert b"simulated" not in volume


@pytest.mark.usefixtures("quick")
def test_it_is_the_same_file_again(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str
) -> None:
    row = explained(sessions, prediction_id)
    digests = []
    for _ in range(2):
        run_explanation(runtime, row.id)
        with runtime.storage.open_local(explanation_key(prediction_id)) as path:
            digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        with sessions.begin() as session:
            jobs.queue_again(session, ExplanationRow, row.id, also=JobState.SUCCEEDED)
    assert digests[0] == digests[1]


def test_a_scan_that_is_deleted_meanwhile_gets_none(
    runtime: Runtime,
    sessions: sessionmaker[Session],
    prediction_id: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = explained(sessions, prediction_id)
    picture = explanation.picture_enclosed

    def deleted(*arguments: Any, **more: Any) -> Any:
        with sessions.begin() as session:
            scan_id = session.scalars(select(ScanRow.id)).one()
            mark_deleted(session, scan_id, actor=program("test"), reason=Reason.REQUEST)
        return picture(*arguments, **more)

    monkeypatch.setattr(explanation, "picture_enclosed", deleted)
    run_explanation(runtime, row.id)
    row = explained(sessions, prediction_id)
    assert (row.state, row.facts) == (JobState.CANCELLED, None)


def test_a_changed_file_is_not_explained(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str
) -> None:
    with runtime.storage.receive(max_bytes=10) as upload:
        upload.write(b"other")
        runtime.storage.promote(upload, "scans/a.nii.gz")
    row = explained(sessions, prediction_id)
    run_explanation(runtime, row.id)
    row = explained(sessions, prediction_id)
    assert (row.state, row.error_code) == (JobState.FAILED, "stored_file_changed")


def test_on_request_an_answer_queues_none(
    runtime: Runtime, sessions: sessionmaker[Session], prediction_id: str
) -> None:
    asked = runtime.settings.model_copy(update={"explanations": "on-request"})
    with sessions.begin() as session:
        scan_id = session.scalars(select(ScanRow.id)).one()
        second = jobs.enqueue(session, scan_id=scan_id).id
    runtime.settings = asked
    run_prediction(runtime, second)
    with sessions() as session:
        assert jobs.explanation_of(session, second) is None
