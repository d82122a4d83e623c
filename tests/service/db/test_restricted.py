"""Sessions of one organisation, whatever is asked of them."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import delete, exists, func, insert, literal, select, text, true, union_all, update
from sqlalchemy.orm import (
    Session,
    aliased,
    contains_eager,
    immediateload,
    joinedload,
    selectinload,
    sessionmaker,
    subqueryload,
)

from service import jobs
from service.audit import record
from service.db.organisations import OrganisationRow
from service.db.restricted import (
    COUNTS_EVERY_ORGANISATION,
    ForeignRowError,
    OrganisationSessions,
    UnrestrictedStatementError,
)
from service.db.rows import (
    AuditEventRow,
    PredictionRow,
    ResultRow,
    ScanRow,
    UserRow,
)
from service.identity.actor import Actor
from tests.service.conftest import BOTH_DATABASES

pytestmark = BOTH_DATABASES

ORGANISATIONS = ("north", "south")


@dataclass
class Two:
    """Two organisations, each with a scan, its prediction and its result: ``north-scan``, ``north-job``."""

    everything: sessionmaker[Session]
    of: dict[str, OrganisationSessions] = field(default_factory=dict)


@pytest.fixture
def two(sessions: sessionmaker[Session], model_version_id: str) -> Two:
    with sessions.begin() as session:
        for name in ORGANISATIONS:
            session.add(OrganisationRow(id=name, name=name))
            session.flush()
            session.add(scan(name))
            session.flush()
            session.add(PredictionRow(id=f"{name}-job", organisation_id=name, scan_id=f"{name}-scan"))
            session.flush()
            session.add(
                ResultRow(
                    organisation_id=name,
                    prediction_id=f"{name}-job",
                    model_version_id=model_version_id,
                    adhd_probability=0.5,
                    interval_low=0.4,
                    interval_high=0.6,
                    decision="uncertain",
                    result={},
                )
            )
    engine = sessions.kw["bind"]
    return Two(sessions, {name: OrganisationSessions(engine, name) for name in ORGANISATIONS})


def scan(organisation_id: str | None, **values: Any) -> ScanRow:
    return ScanRow(
        **{
            "id": f"{organisation_id}-scan",
            "organisation_id": organisation_id,
            "sha256": "0" * 64,
            "size_bytes": 1,
            "display_name": "a.nii",
            "storage_key": f"scans/{organisation_id}.nii",
        }
        | values
    )


job = aliased(PredictionRow)
nested = select(PredictionRow.id).subquery()
common = select(PredictionRow.id).cte()


@pytest.mark.parametrize(
    "statement",
    [
        select(PredictionRow.id),
        select(job.id),
        select(nested.c.id),
        select(common.c.id),
        select(PredictionRow.id).where(PredictionRow.organisation_id.in_(ORGANISATIONS)),
        select(PredictionRow.id).where(PredictionRow.scan_id.in_(select(ScanRow.id))),
        select(PredictionRow.id).join(PredictionRow.scan),
        select(PredictionRow.id).join(ScanRow, true()),
        select(job.id).join(PredictionRow, true()),
        select(PredictionRow.id).join(PredictionRow.scan).where(ScanRow.id.like("%-scan")),
        union_all(select(PredictionRow.id), select(job.id).where(job.state == "failed")),
    ],
)
@pytest.mark.parametrize("name", ORGANISATIONS)
def test_a_query_finds_the_organisations_rows_only(two: Two, name: str, statement: Any) -> None:
    with two.of[name].open() as session:
        assert session.scalars(statement).all() == [f"{name}-job"]


@pytest.mark.parametrize("name", ORGANISATIONS)
def test_rows_are_counted_loaded_and_looked_up_within_the_organisation(two: Two, name: str) -> None:
    other = next(one for one in ORGANISATIONS if one != name)
    with two.of[name].open() as session:
        assert session.scalar(select(func.count()).select_from(ScanRow)) == 1
        assert session.scalar(select(func.count(ScanRow.id))) == 1
        theirs = exists(select(ScanRow.id).where(ScanRow.id == f"{other}-scan"))
        assert session.scalar(select(theirs)) is False
        assert session.scalar(select(literal(1)).where(theirs)) is None
        assert session.query(ScanRow).one().id == f"{name}-scan"
        assert session.get(ScanRow, f"{other}-scan") is None
        assert session.get(ScanRow, f"{other}-scan", populate_existing=True) is None
        assert session.get_one(ScanRow, f"{name}-scan").id == f"{name}-scan"
    for load in (joinedload, selectinload):
        with two.of[name].open() as session:
            [row] = session.scalars(
                select(PredictionRow)
                .join(PredictionRow.scan)
                .options(contains_eager(PredictionRow.scan), load(PredictionRow.result))
            )
            assert (row.scan.id, row.result.organisation_id) == (f"{name}-scan", name)


@pytest.mark.parametrize("load", [immediateload, joinedload, selectinload, subqueryload])
def test_a_related_row_of_another_organisation_is_not_loaded(two: Two, load: Any) -> None:
    """Should a reference ever cross from one organisation to another, the filter holds at its far end too."""
    with two.everything.begin() as session:
        session.get_one(ResultRow, "south-job").organisation_id = "north"
    with two.of["south"].open() as session:
        [row] = session.scalars(select(PredictionRow).options(load(PredictionRow.result)))
        assert row.result is None


def test_updates_and_deletions_stay_within_the_organisation(two: Two) -> None:
    with two.of["north"].begin() as session:
        touched = session.scalars(update(ScanRow).values(site="changed").returning(ScanRow.id)).all()
        assert touched == ["north-scan"]
        assert jobs.cancel(session, PredictionRow, "south-job") is None
        assert jobs.cancel(session, PredictionRow, "north-job") is not None
        session.execute(delete(ResultRow))
    with two.everything() as session:
        assert session.scalars(select(ScanRow.id).where(ScanRow.site == "changed")).all() == ["north-scan"]
        assert session.scalars(select(ResultRow.organisation_id)).all() == ["south"]
        assert session.get_one(PredictionRow, "south-job").cancel_requested is False


def test_new_rows_are_stamped(two: Two) -> None:
    with two.of["north"].begin() as session:
        session.add(scan(None, id="new"))
        record(session, actor=Actor("user:1", "test"), action="a", subject_kind="b", subject_id="c")
    with two.everything() as session:
        assert session.get_one(ScanRow, "new").organisation_id == "north"
        assert session.scalars(select(AuditEventRow.organisation_id)).all() == ["north"]


def test_what_concerns_the_installation_is_in_no_organisations_audit(two: Two) -> None:
    with two.everything.begin() as session:
        record(session, actor=Actor("command-line", "test"), action="a", subject_kind="b", subject_id="c")
    for name in ORGANISATIONS:
        with two.of[name].open() as session:
            assert session.scalars(select(AuditEventRow)).all() == []


def give_away(session: Session, _foreign: ScanRow) -> None:
    session.get_one(ScanRow, "north-scan").organisation_id = "south"


def adopt(session: Session, foreign: ScanRow) -> None:
    foreign.organisation_id = "north"
    session.add(foreign)


def change(session: Session, foreign: ScanRow) -> None:
    foreign.site = "changed"
    session.add(foreign)


@pytest.mark.parametrize(
    "act",
    [
        give_away,
        adopt,
        change,
        lambda session, _foreign: session.add(scan("south", id="new")),
        lambda session, foreign: session.delete(foreign),
    ],
)
def test_a_row_of_another_organisation_is_never_written(two: Two, act: Any) -> None:
    with two.everything() as session:
        foreign = session.get_one(ScanRow, "south-scan")
    with pytest.raises(ForeignRowError), two.of["north"].begin() as session:
        act(session, foreign)
    with two.everything() as session:
        kept = session.scalars(select(ScanRow).order_by(ScanRow.id)).all()
        assert [(row.id, row.organisation_id, row.site) for row in kept] == [
            ("north-scan", "north", None),
            ("south-scan", "south", None),
        ]


@pytest.mark.parametrize(
    "statement",
    [
        text("SELECT id FROM scans"),
        select(ScanRow.__table__.c.id),
        insert(UserRow).values(username="x", password_hash="x", role="clinician", organisation_id="south"),
    ],
)
def test_what_cannot_be_filtered_is_refused(two: Two, statement: Any) -> None:
    with two.of["north"].open() as session, pytest.raises(UnrestrictedStatementError):
        session.execute(statement)


def test_only_a_figure_that_says_so_is_about_everybody(two: Two) -> None:
    everybody = {COUNTS_EVERY_ORGANISATION: True}
    with two.of["north"].open() as session:
        counted = select(func.count(PredictionRow.id))
        assert session.scalar(counted, execution_options=everybody) == 2
        assert session.scalar(counted) == 1
