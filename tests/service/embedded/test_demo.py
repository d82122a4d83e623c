import json
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from service.db.rows import AuditEventRow
from service.embedded.demo import FILE_NAME, make_demo_credentials
from service.identity.accounts import verify_login
from service.identity.api_keys import find_api_key
from service.identity.roles import Role


def test_the_credentials_work_are_kept_private_and_made_once(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    with sessions.begin() as session:
        made = make_demo_credentials(session, tmp_path)
    with sessions.begin() as session:
        assert make_demo_credentials(session, tmp_path) is None
    file = tmp_path / FILE_NAME
    assert made == json.loads(file.read_text())
    assert file.stat().st_mode & 0o777 == 0o600
    user = verify_login(sessions, username=made["username"], password=made["password"])
    assert user.role == Role.ADMINISTRATOR
    # It lasts: nobody else has it.
    assert user.first_password_at is None
    with sessions.begin() as session:
        key, owner = find_api_key(session, made["api_key"])
        assert owner.id == key.user_id == user.id
        told = session.scalars(select(AuditEventRow).order_by(AuditEventRow.sequence)).all()
    assert [(event.actor, event.action, event.subject_id) for event in told] == [
        ("serve", "user.create", user.id),
        ("serve", "api_key.create", key.id),
    ]
