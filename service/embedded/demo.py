"""The credentials of a demonstration: made once, kept in a file that only its owner can read."""

import json
import os
import secrets
from pathlib import Path

from sqlalchemy.orm import Session

from service.audit import record
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.accounts import create_user, find_user
from service.identity.actor import program
from service.identity.api_keys import API_KEY_PREFIX_LENGTH, create_api_key, require_api_key
from service.identity.roles import Role
from service.identity.scopes import EVERY_SCOPE

FILE_NAME = "demo-credentials.json"
USERNAME = "demo"


def make_demo_credentials(session: Session, data_dir: Path) -> dict[str, str] | None:
    """Add an administrator and an API key, and write both to the data directory (mode 0600).

    Returns
    -------
    dict or None
        ``username``, ``password`` and ``api_key``; None when an earlier run has made them.
    """
    if find_user(session, username=USERNAME) is not None:
        return None
    password = secrets.token_urlsafe(15)
    user = create_user(
        session,
        username=USERNAME,
        password=password,
        role=Role.ADMINISTRATOR,
        organisation_id=DEFAULT_ORGANISATION_ID,
        # Nobody else has it: it stands in the file of whoever starts the demonstration.
        by_owner=True,
    )
    api_key = create_api_key(session, user=user, name="demonstration", scopes=EVERY_SCOPE)
    actor = program("serve")
    key_id = require_api_key(session, api_key[:API_KEY_PREFIX_LENGTH]).id
    record(session, actor=actor, action="user.create", subject_kind="user", subject_id=user.id)
    record(session, actor=actor, action="api_key.create", subject_kind="api_key", subject_id=key_id)
    credentials = {"username": USERNAME, "password": password, "api_key": api_key}
    unfinished = data_dir / f"{FILE_NAME}.part"
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(credentials, file, indent=2)
    unfinished.rename(data_dir / FILE_NAME)
    return credentials
