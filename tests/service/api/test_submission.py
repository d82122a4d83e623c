"""What becomes of the file when the rows beside it cannot be written."""

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from service import jobs
from service.db.rows import ScanRow
from tests.service.api.serving import Serving, scan_bytes


def stored(served: Serving) -> list[str]:
    return [file.key for file in served.resources.storage.stored("scans")]


def send(served: Serving) -> int:
    scan = {"scan": ("scan.nii.gz", scan_bytes())}
    return served.client.post("/api/v1/scans", headers=served.key(), files=scan).status_code


def test_a_submission_that_fails_before_the_commit_keeps_no_file(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def away(*_args: object, **_options: object) -> None:
        seen.extend(stored(served))
        raise OperationalError("INSERT", {}, Exception("database is locked"))

    monkeypatch.setattr(jobs, "enqueue", away)
    assert send(served) == 503
    assert len(seen) == 1, "the file was there when the rows were refused"
    assert stored(served) == []
    with served.sessions() as session:
        assert session.query(ScanRow).count() == 0


def test_a_commit_whose_answer_is_lost_keeps_the_file_beside_the_row(
    served: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Session.commit

    def commit_without_an_answer(session: Session) -> None:
        holds_a_scan = session.query(ScanRow).count() > 0
        commit(session)
        if holds_a_scan:
            raise OperationalError("COMMIT", {}, Exception("server closed the connection"))

    key = served.key()
    monkeypatch.setattr(Session, "commit", commit_without_an_answer)
    answer = served.client.post("/api/v1/scans", headers=key, files={"scan": ("s.nii.gz", scan_bytes())})
    assert answer.status_code == 503
    with served.sessions() as session:
        assert [row.storage_key for row in session.query(ScanRow)] == stored(served)
    assert len(stored(served)) == 1
