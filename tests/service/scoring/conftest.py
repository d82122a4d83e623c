"""Answered predictions in a test's database, and versions to score them with."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.orm import Session, sessionmaker

from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID, OrganisationRow
from service.db.rows import (
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    ResultRow,
    ReviewRow,
    ScanRow,
)
from service.identity.actor import Actor
from service.storage import FolderStorage, Storage, checkpoint_key
from tests.service.answering import let_answer
from tests.service.checkpoint_bytes import checkpoint_bytes

ACTOR = Actor("user:chief", "127.0.0.1")


@dataclass
class Place:
    """A database, storage, the model that answers, and another one."""

    sessions: sessionmaker[Session]
    storage: Storage
    champion: str
    challenger: str

    def version(self, session: Session, id_: str) -> ModelVersionRow:
        return session.get_one(ModelVersionRow, id_)

    def organisation(self, name: str) -> str:
        with self.sessions.begin() as session:
            row = OrganisationRow(name=name)
            session.add(row)
        return row.id

    def answer(
        self,
        *,
        probability: float = 0.6,
        decision: str = "adhd",
        organisation_id: str = DEFAULT_ORGANISATION_ID,
        diagnoses: tuple[str, ...] = (),
        ago_s: float = 0.0,
    ) -> str:
        """Add a scan with a prediction that was answered; gives the prediction's id."""
        with self.sessions.begin() as session:
            scan = ScanRow(
                organisation_id=organisation_id,
                sha256=uuid4().hex * 2,
                size_bytes=1,
                display_name="a.nii",
                storage_key=f"scans/{uuid4()}",
                subject_id="P-17",
            )
            session.add(scan)
            session.flush()
            prediction = PredictionRow(
                organisation_id=organisation_id,
                scan_id=scan.id,
                model_version_id=self.champion,
                state=PredictionState.SUCCEEDED,
                queued_at=utc_now(-ago_s),
                finished_at=utc_now(-ago_s),
            )
            session.add(prediction)
            session.flush()
            session.add(
                ResultRow(
                    organisation_id=organisation_id,
                    prediction_id=prediction.id,
                    model_version_id=self.champion,
                    adhd_probability=probability,
                    interval_low=0.0,
                    interval_high=1.0,
                    decision=decision,
                    result={},
                )
            )
            for turn, diagnosis in enumerate(diagnoses):
                session.add(
                    ReviewRow(
                        organisation_id=organisation_id,
                        prediction_id=prediction.id,
                        verdict="accepted",
                        diagnosis=diagnosis,
                        created_at=utc_now(turn - 10.0),
                    )
                )
        return prediction.id


@pytest.fixture
def place(tmp_path: Path, sessions: sessionmaker[Session]) -> Place:
    storage = FolderStorage(tmp_path / "storage")
    ids = []
    for version in ("1", "2"):
        with storage.receive(max_bytes=1000) as upload:
            upload.write(checkpoint_bytes(f"checkpoint {version}"))
            sha256 = upload.sha256
            storage.promote(upload, checkpoint_key(sha256))
        with sessions.begin() as session:
            row = ModelVersionRow(
                name="demo", version=version, sha256=sha256, storage_key=checkpoint_key(sha256), card={}
            )
            session.add(row)
            session.flush()
            if version == "1":
                let_answer(session, row)
            ids.append(row.id)
    return Place(sessions, storage, *ids)
