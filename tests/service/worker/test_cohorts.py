"""Cohorts that register themselves, and what becomes of those that change or go."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, sessionmaker

from service.cohorts import CohortReleaseUnknownError, require_release
from service.db.rows import AuditEventRow, CohortRow, CohortState
from service.identity.actor import program
from service.worker import cohorts
from service.worker.cohorts import CohortNameTakenError, look_after_cohorts, register_cohort
from tests.training.cohort.store.made_up_store import write_store
from tests.training.validation.tiny_cohorts import SPEC, series_of, tiny_store, tiny_subjects
from training.cohort.selecting.selection import ReleaseUnknownError
from training.cohort.selecting.selection import select as select_people
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import CohortNotFoundError
from training.cohort.subjects import Subject

ACTOR = program("sweeper")


def known(sessions: sessionmaker[Session]) -> dict[str, CohortRow]:
    with sessions() as session:
        return {row.name: row for row in session.scalars(select(CohortRow))}


def look(sessions: sessionmaker[Session], folder: Path) -> dict[str, str]:
    look_after_cohorts(sessions, folder, actor=ACTOR)
    return {name: row.state.value for name, row in known(sessions).items()}


def test_what_lies_in_the_folder_is_registered_once_with_a_name_of_its_own(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    assert look(sessions, tmp_path / "nowhere") == {}
    first = tiny_store(tmp_path / "a")
    tiny_store(tmp_path / "b", seed=1, n_subjects=18)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "cohort.json").write_text("{}")
    for _ in range(2):
        assert look(sessions, tmp_path) == {"tiny": "present", "tiny 2": "present"}
    rows = known(sessions)
    one, other = rows["tiny"], rows["tiny 2"]
    assert (one.folder, one.fingerprint) == (str(tmp_path / "a"), first.fingerprint(first.subjects))
    assert (one.n_subjects, one.n_cases, one.n_controls, one.n_scans) == (16, 8, 8, 17)
    assert one.sites == {"KKI": {"cases": 4, "controls": 4}, "NYU": {"cases": 4, "controls": 4}}
    assert other.n_subjects == 18
    with sessions() as session:
        assert len(session.scalars(select(AuditEventRow)).all()) == 2


def test_what_is_known_of_releases_is_noted_and_looked_up_where_it_is_not(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    tiny_store(tmp_path / "a")
    for people, name in ((_released(tiny_subjects()), "b"), (tiny_subjects()[:9], "c")):
        write_store(
            tmp_path / name,
            subjects=people,
            series={person.subject_id: [series_of(person)] for person in people},
            spec=SPEC,
            name=name,
        )
    look(sessions, tmp_path)
    told = {"tiny": [], "b": ["test", "train"], "c": []}
    assert {name: row.releases for name, row in known(sessions).items()} == told
    # As rows are that are older than the column.
    with sessions.begin() as session:
        session.execute(update(CohortRow).values(releases=None))
    look(sessions, tmp_path)
    assert {name: row.releases for name, row in known(sessions).items()} == told


def test_the_refusal_at_once_says_what_planning_would(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    store = tiny_store(tmp_path / "a")
    look(sessions, tmp_path)
    with pytest.raises(CohortReleaseUnknownError) as at_once:
        require_release(known(sessions)["tiny"], "seed430")
    with pytest.raises(ReleaseUnknownError) as by_planning:
        select_people(store.subjects, "seed430")
    assert str(at_once.value) == str(by_planning.value)
    assert at_once.value.code == by_planning.value.code


def _released(people: list[Subject]) -> list[Subject]:
    return [
        replace(person, release="test" if number < 4 else "train") for number, person in enumerate(people)
    ]


def test_a_store_that_changes_or_goes_is_marked_and_comes_back(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    store = tiny_store(tmp_path / "a")
    assert look(sessions, tmp_path) == {"tiny": "present"}
    kept = tmp_path / "kept"
    shutil.move(store.folder, kept)
    assert look(sessions, tmp_path / "nowhere") == {"tiny": "missing"}
    tiny_store(store.folder, seed=3)
    assert look(sessions, tmp_path / "nowhere") == {"tiny": "changed"}
    shutil.rmtree(store.folder)
    shutil.move(kept, store.folder)
    assert look(sessions, tmp_path / "nowhere") == {"tiny": "present"}


def test_a_changed_cohort_is_registered_anew_under_its_name(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    store = tiny_store(tmp_path / "a")
    with sessions.begin() as session:
        first = register_cohort(session, store.folder, actor=ACTOR, name="mine")
    shutil.rmtree(store.folder)
    tiny_store(store.folder, seed=3)
    assert look(sessions, tmp_path / "nowhere") == {"mine": "changed"}
    with sessions.begin() as session:
        again = register_cohort(session, store.folder, actor=ACTOR)
    assert (again.id, again.name, again.state) == (first.id, "mine", "present")
    assert again.fingerprint != first.fingerprint


def test_a_cohort_that_is_registered_anew_while_it_is_looked_at_stays_present(
    sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tiny_store(tmp_path / "a")
    look(sessions, tmp_path)
    shutil.rmtree(store.folder)
    tiny_store(store.folder, seed=3)
    judge = cohorts._state_now

    def meanwhile(row: CohortRow) -> CohortState:
        state = judge(row)
        with sessions.begin() as session:
            register_cohort(session, store.folder, actor=ACTOR)
        return state

    with monkeypatch.context() as patched:
        patched.setattr(cohorts, "_state_now", meanwhile)
        assert look(sessions, tmp_path) == {"tiny": "present"}
    assert look(sessions, tmp_path) == {"tiny": "present"}


def test_a_mark_that_came_too_late_is_taken_back(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    tiny_store(tmp_path / "a")
    look(sessions, tmp_path)
    with sessions.begin() as session:
        session.execute(update(CohortRow).values(state=CohortState.CHANGED))
    assert look(sessions, tmp_path) == {"tiny": "present"}


@pytest.mark.parametrize("wrong", [PermissionError("no"), OperationalError("", {}, Exception())])
def test_one_cohort_that_cannot_be_read_keeps_nobody_from_the_others(
    sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Exception
) -> None:
    for number, name in enumerate("abcd"):
        tiny_store(tmp_path / name, seed=number)
    read = CohortStore.open

    def open_(folder: Path) -> CohortStore:
        if folder.name in "ac":
            raise wrong
        return read(folder)

    with sessions.begin() as session:
        for name in "ab":
            register_cohort(session, tmp_path / name, actor=ACTOR, name=name)
        session.execute(update(CohortRow).values(state=CohortState.CHANGED))
    monkeypatch.setattr(CohortStore, "open", open_)
    assert look(sessions, tmp_path) == {"a": "changed", "b": "present", "tiny": "present"}
    assert known(sessions)["tiny"].folder == str(tmp_path / "d")


def test_a_taken_name_and_what_is_no_cohort_are_refused(
    sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    with sessions.begin() as session:
        register_cohort(session, tiny_store(tmp_path / "a").folder, actor=ACTOR)
    with pytest.raises(CohortNameTakenError, match="'tiny'"), sessions.begin() as session:
        register_cohort(session, tiny_store(tmp_path / "b", seed=1).folder, actor=ACTOR)
    with pytest.raises(CohortNotFoundError), sessions.begin() as session:
        register_cohort(session, tmp_path, actor=ACTOR)
    assert list(known(sessions)) == ["tiny"]
