"""A stored scan with its file, and the steps that take it away."""

from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.audit.verification import verify
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import AuditEventRow, IdempotencyRow, PredictionRow, ReviewRow, ScanRow
from service.identity.actor import Actor
from service.retention import Reason, mark_deleted
from service.storage import FolderStorage

SOMEBODY = Actor("user:1", "192.0.2.7")


@dataclass(frozen=True)
class Place:
    """A database and a storage, and what a test does and asks of them."""

    sessions: sessionmaker[Session]
    storage: FolderStorage

    def add(self, *, age_days: float = 0.0) -> str:
        """Store a scan with a queued prediction and an idempotency key."""
        scan_id = str(uuid4())
        key = f"scans/{scan_id[:2]}/{scan_id}.nii"
        with self.storage.receive(max_bytes=10) as upload:
            upload.write(b"scan")
            self.storage.promote(upload, key)
        with self.sessions.begin() as session:
            session.add(
                ScanRow(
                    id=scan_id,
                    sha256="a" * 64,
                    size_bytes=4,
                    display_name="Jane Doe.nii",
                    storage_key=key,
                    subject_id="P-1",
                    age_years=10.0,
                    sex="female",
                    site="NYU",
                    header={"n_frames": 20},
                    organisation_id=DEFAULT_ORGANISATION_ID,
                )
            )
            session.flush()
            prediction = jobs.enqueue(session, scan_id=scan_id)
            session.add(
                IdempotencyRow(
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    principal="u",
                    key=scan_id,
                    request_sha256="b" * 64,
                    prediction_id=prediction.id,
                )
            )
            session.execute(
                update(ScanRow).where(ScanRow.id == scan_id).values(created_at=utc_now(-age_days * 86400))
            )
        return scan_id

    def add_zip(self) -> str:
        """Store a scan that was handed over as a zip, with a queued prediction."""
        scan_id = self.add()
        key = f"scans/{scan_id[:2]}/{scan_id}.zip"
        self.put(key)
        self.storage.delete(self.scan(scan_id).storage_key)
        with self.sessions.begin() as session:
            session.execute(
                update(ScanRow).where(ScanRow.id == scan_id).values(storage_key=key, header=None, packed=True)
            )
        return scan_id

    def put(self, key: str) -> None:
        """Store something under a key."""
        with self.storage.receive(max_bytes=10) as upload:
            upload.write(b"bytes")
            self.storage.promote(upload, key)

    def scan(self, scan_id: str) -> ScanRow:
        with self.sessions() as session:
            return session.get_one(ScanRow, scan_id)

    def prediction(self, scan_id: str) -> PredictionRow:
        with self.sessions() as session:
            return session.scalars(select(PredictionRow).where(PredictionRow.scan_id == scan_id)).one()

    def review(self, scan_id: str, *, training_consent: bool | None = None) -> None:
        """Add a review of the scan's prediction, as an account would that is gone meanwhile."""
        with self.sessions.begin() as session:
            session.add(
                ReviewRow(
                    organisation_id=DEFAULT_ORGANISATION_ID,
                    prediction_id=self.prediction(scan_id).id,
                    verdict="overridden",
                    decision="control",
                    reason="Jane slept.",
                    diagnosis="other",
                    training_consent=training_consent,
                )
            )

    def claim(self, scan_id: str) -> str:
        """Let a worker begin with the scan's prediction; returns its id."""
        prediction_id = self.prediction(scan_id).id
        with self.sessions.begin() as session:
            assert jobs.claim(session, PredictionRow, prediction_id, owner="w#1", lease_s=60)
        return prediction_id

    def mark(self, scan_id: str, reason: Reason = Reason.REQUEST) -> bool:
        with self.sessions.begin() as session:
            return mark_deleted(session, scan_id, actor=SOMEBODY, reason=reason)

    def told(self, action: str) -> list[AuditEventRow]:
        """The events of one kind, from a chain that is whole."""
        with self.sessions() as session:
            verify(session)
            query = select(AuditEventRow).where(AuditEventRow.action == action)
            return list(session.scalars(query.order_by(AuditEventRow.sequence)))

    def keys(self) -> set[str]:
        return {file.key for file in self.storage.stored("scans")}


@pytest.fixture
def place(tmp_path: Path, sessions: sessionmaker[Session]) -> Place:
    return Place(sessions, FolderStorage(tmp_path / "storage"))
