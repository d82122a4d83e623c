"""Which passwords are refused, and that no rule of composition is among the reasons."""

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from service.db.base import Base
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.identity.accounts import create_user, set_password
from service.identity.passwords import PasswordGuessableError, PasswordLengthError, require_good_password
from service.identity.roles import Role


@pytest.mark.parametrize(
    "password",
    [
        "password1234",
        "administrator",
        "1q2w3e4r5t6y",
        "aaaaaaaaaaaaaaaa",
        "abcabcabcabcabc",
        "Passw0rd!2026",
        "x" * 256,
    ],
)
def test_what_is_tried_first_is_refused(password: str) -> None:
    with pytest.raises(PasswordGuessableError):
        require_good_password(password, username="mina")


@pytest.mark.parametrize(
    "password", ["mina.okonkwo", "mina.okonkwo1", "RestNetRestNet", "clinicianadhd", "restnet2026!"]
)
def test_what_everybody_here_knows_is_worth_nothing(password: str) -> None:
    with pytest.raises(PasswordGuessableError):
        require_good_password(password, username="mina.okonkwo")


def test_the_same_words_serve_whom_they_are_not_about() -> None:
    require_good_password("mina.okonkwo.7", username="doctor")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "lowercase letters only",
        "колибри на крыше поёт",
        "9174 0562 8831",
        "q" + "😀 tëst" * 9,
    ],
)
def test_any_characters_will_do(password: str) -> None:
    require_good_password(password, username="mina")


@pytest.mark.parametrize("length", [64, 256])
def test_long_ones_are_welcome(length: int) -> None:
    require_good_password(("correct horse battery staple of the seven seas " * 6)[:length], username="mina")


@pytest.mark.parametrize("length", [0, 11, 257])
def test_there_is_a_least_and_a_most(length: int) -> None:
    with pytest.raises(PasswordLengthError, match=f"found {length}"):
        require_good_password(
            "correct horse battery"[:length] if length < 12 else "c" * length, username="mina"
        )


def test_a_new_account_and_a_new_password_are_held_to_it() -> None:
    engine = create_engine("sqlite://")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        wanted = {"username": "mina", "role": Role.CLINICIAN, "organisation_id": DEFAULT_ORGANISATION_ID}
        with pytest.raises(PasswordGuessableError):
            create_user(session, password="password1234", **wanted)
        user = create_user(session, password="correct horse battery", **wanted)
        before = user.password_hash
        with pytest.raises(PasswordGuessableError):
            set_password(session, username="mina", password="minaminamina")
        assert user.password_hash == before
    engine.dispose()
