"""Whose scans a training may take, on both databases."""

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from service import jobs
from service.db.base import utc_now
from service.db.organisations import DEFAULT_ORGANISATION_ID
from service.db.rows import PredictionRow, PredictionState, ReviewRow, ScanRow
from service.identity.actor import Actor
from service.identity.organisations import create_organisation
from service.retention import Reason, mark_deleted
from service.reviews import consented_people
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

YES, NO = {"training_consent": True}, {"training_consent": False}
CASE, CONTROL, OTHER = ({"diagnosis": diagnosis} for diagnosis in ("adhd", "control", "other"))
Say = Callable[..., str]


@pytest.fixture
def say(sessions: sessionmaker[Session]) -> Say:
    """Add a scan whose prediction has reviews, each later than all before; gives the scan's id."""
    moments = count(-1000)

    def say(
        *reviews: dict[str, Any],
        subject: str | None = "P-1",
        sha256: str | None = None,
        organisation_id: str = DEFAULT_ORGANISATION_ID,
        scan_id: str | None = None,
        state: PredictionState = PredictionState.SUCCEEDED,
    ) -> str:
        moment = next(moments)
        with sessions.begin() as session:
            scan = None if scan_id is None else session.get(ScanRow, scan_id)
            if scan is None:
                scan = ScanRow(
                    organisation_id=organisation_id,
                    sha256=sha256 or f"{moment & 0xFFFF:064x}",
                    size_bytes=1,
                    display_name="scan.nii.gz",
                    storage_key=f"scans/{moment}",
                    subject_id=subject,
                )
                session.add(scan)
                session.flush()
            prediction = jobs.enqueue(session, scan_id=scan.id)
            session.execute(
                update(PredictionRow).where(PredictionRow.id == prediction.id).values(state=state)
            )
            for review in reviews:
                session.add(
                    ReviewRow(
                        organisation_id=scan.organisation_id,
                        prediction_id=prediction.id,
                        verdict="accepted",
                        created_at=utc_now(next(moments)),
                        **review,
                    )
                )
            return scan.id

    return say


def found(sessions: sessionmaker[Session]) -> tuple[list[tuple[tuple[str, ...], int, int]], dict[str, int]]:
    with sessions() as session:
        consented = consented_people(session, organisation_id=DEFAULT_ORGANISATION_ID)
        people = [(one.pseudonyms, one.label, len(one.scans)) for one in consented.people]
        assert consented.n_scans == sum(scans for *_, scans in people)
        assert consented.n_cases == sum(label for _, label, _ in people)
        return sorted(people), dict(consented.left_out)


def test_consent_and_diagnosis_are_both_needed(sessions: sessionmaker[Session], say: Say) -> None:
    say(YES | CASE, subject="A")
    say(YES, CONTROL, subject="B")
    say(YES, subject="C")
    say(YES | OTHER, subject="D")
    say(CASE, subject="E")
    say({}, subject="F")
    say(YES | CASE, subject="G", state=PredictionState.CANCELLED)
    assert found(sessions) == ([(("A",), 1, 1), (("B",), 0, 1)], {"no_diagnosis": 3})


def test_nobody_is_found_where_nothing_was_said(sessions: sessionmaker[Session], say: Say) -> None:
    say(CASE)
    assert found(sessions) == ([], {})


def test_the_newest_word_counts(sessions: sessionmaker[Session], say: Say) -> None:
    """A review that says nothing of it leaves what was said."""
    say(YES | CASE, NO, subject="A")
    say(NO, YES | CASE, {}, subject="B")
    say(YES | CASE, CONTROL, subject="C")
    assert found(sessions) == ([(("B",), 1, 1), (("C",), 0, 1)], {"withdrawn": 1})


def test_the_newest_word_of_all_predictions_of_a_scan_counts(
    sessions: sessionmaker[Session], say: Say
) -> None:
    scan_id = say(YES | CASE)
    assert found(sessions)[0] == [(("P-1",), 1, 1)]
    say(NO, scan_id=scan_id)
    assert found(sessions) == ([], {"withdrawn": 1})


def test_a_withdrawal_on_one_scan_holds_for_every_scan_of_the_person(
    sessions: sessionmaker[Session], say: Say
) -> None:
    first = say(YES | CASE)
    say(YES | CASE)
    assert found(sessions)[0] == [(("P-1",), 1, 2)]
    third = say(NO)
    assert found(sessions) == ([], {"withdrawn": 2})
    say(YES, scan_id=first)
    assert found(sessions) == ([(("P-1",), 1, 1)], {"withdrawn": 1})
    say(NO, scan_id=third)
    assert found(sessions) == ([], {"withdrawn": 2})


def test_scans_of_nobody_known_are_left_out(sessions: sessionmaker[Session], say: Say) -> None:
    say(YES | CASE, subject=None)
    say(YES | CASE, subject=None, sha256="a" * 64)
    say(YES | CASE, subject="A", sha256="a" * 64)
    assert found(sessions) == ([(("A",), 1, 1)], {"without_pseudonym": 1, "same_file": 1})


def test_the_same_file_under_two_pseudonyms_is_one_person(sessions: sessionmaker[Session], say: Say) -> None:
    say(YES | CASE, subject="A", sha256="a" * 64)
    say(YES | CASE, subject="B")
    say(YES | CASE, subject="B", sha256="a" * 64)
    assert found(sessions) == ([(("A", "B"), 1, 2)], {"same_file": 1})
    say(NO, subject="A")
    assert found(sessions) == ([], {"withdrawn": 3})


@pytest.mark.parametrize("other", [CONTROL, OTHER])
def test_somebody_with_two_diagnoses_is_left_out(
    sessions: sessionmaker[Session], say: Say, other: dict[str, str]
) -> None:
    """Also where nobody asked for a consent on the second scan."""
    say(YES | CASE, subject="A")
    say(other, subject="A")
    say(YES | CASE, subject="B")
    assert found(sessions) == ([(("B",), 1, 1)], {"conflicting_diagnoses": 1})


def test_neither_a_deleted_scan_nor_anothers_organisation_is_looked_at(
    sessions: sessionmaker[Session], say: Say
) -> None:
    with sessions.begin() as session:
        clinic = create_organisation(session, name="clinic").id
    say(YES | CASE, subject="A", organisation_id=clinic)
    say(NO, subject="B", organisation_id=clinic)
    gone = say(YES | CASE, subject="C")
    say(YES | CASE, subject="B")
    with sessions.begin() as session:
        mark_deleted(session, gone, actor=Actor("user:1", "test"), reason=Reason.REQUEST)
    assert found(sessions) == ([(("B",), 1, 1)], {})


def delete(sessions: sessionmaker[Session], scan_id: str) -> None:
    with sessions.begin() as session:
        assert mark_deleted(session, scan_id, actor=Actor("user:1", "test"), reason=Reason.REQUEST)


def test_a_refusal_holds_also_where_it_was_taken_back_on_its_own_scan(
    sessions: sessionmaker[Session], say: Say
) -> None:
    say(YES | CASE)
    refused = say(NO)
    say(YES | CASE, scan_id=refused)
    assert found(sessions) == ([(("P-1",), 1, 1)], {"withdrawn": 1})


def test_a_withdrawal_outlives_the_scan_that_it_was_said_of(
    sessions: sessionmaker[Session], say: Say
) -> None:
    first = say(YES | CASE)
    say(YES | CASE, subject="other")
    refused = say(NO)
    delete(sessions, refused)
    assert found(sessions) == ([(("other",), 1, 1)], {"withdrawn": 1})
    say(YES, scan_id=first)
    assert found(sessions) == ([(("P-1",), 1, 1), (("other",), 1, 1)], {})
    say(YES | CASE)
    assert found(sessions)[0] == [(("P-1",), 1, 2), (("other",), 1, 1)], "a scan from after it"


def test_a_withdrawal_goes_on_from_scan_to_scan_as_they_are_deleted(
    sessions: sessionmaker[Session], say: Say
) -> None:
    say(YES | CASE, subject="A", sha256="a" * 64)
    between = say(YES | CASE, subject="B", sha256="a" * 64)
    delete(sessions, say(NO, subject="B"))
    delete(sessions, between)
    assert found(sessions) == ([], {"withdrawn": 1})


def test_a_refusal_is_seen_across_an_upload_that_nobody_reviewed(
    sessions: sessionmaker[Session], say: Say
) -> None:
    """Also across two of them, and once the one between is deleted."""
    consented = say(YES | CASE, subject="A", sha256="a" * 64)
    say(subject="B", sha256="a" * 64)
    say(subject="B", sha256="b" * 64)
    assert found(sessions) == ([(("A", "B"), 1, 1)], {})
    between = say(subject="C", sha256="b" * 64)
    say(NO, subject="C")
    assert found(sessions) == ([], {"withdrawn": 1})
    delete(sessions, between)
    assert found(sessions) == ([], {"withdrawn": 1})
    say(YES, scan_id=consented)
    assert found(sessions) == ([(("A", "B", "C"), 1, 1)], {})


def test_what_a_deleted_scan_showed_to_be_one_person_is_still_known_to_be(
    sessions: sessionmaker[Session], say: Say
) -> None:
    """What is refused later on the one pseudonym holds for the other, and for a third behind it."""
    say(YES | CASE, subject="A")
    first = say(subject="A", sha256="b" * 64)
    second = say(subject="B", sha256="b" * 64)
    third = say(subject="B", sha256="c" * 64)
    say(subject="C", sha256="c" * 64)
    for one in (first, second, third):
        delete(sessions, one)
        assert found(sessions) == ([(("A", "B", "C") if one != third else ("A", "C"), 1, 1)], {})
    say(NO, subject="C")
    assert found(sessions) == ([], {"withdrawn": 1})


def test_scans_that_show_it_themselves_are_not_linked(sessions: sessionmaker[Session], say: Say) -> None:
    say(YES | CASE, subject="A", sha256="a" * 64)
    say(subject="B", sha256="a" * 64)
    delete(sessions, say(subject="B"))
    with sessions() as session:
        assert set(session.scalars(select(ScanRow.linked_as))) == {None}


def test_another_organisations_scans_show_nothing(sessions: sessionmaker[Session], say: Say) -> None:
    with sessions.begin() as session:
        clinic = create_organisation(session, name="clinic").id
    say(YES | CASE, subject="A", sha256="a" * 64)
    say(subject="B", sha256="a" * 64, organisation_id=clinic)
    say(YES | CASE, subject="A", organisation_id=clinic)
    delete(sessions, say(NO, subject="A", organisation_id=clinic))
    assert found(sessions) == ([(("A",), 1, 1)], {})
