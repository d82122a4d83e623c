"""A web process over rows that nobody had to wait for: a prediction in each state, and thousands to list."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session, sessionmaker

from model import demonstration_checkpoint, read_card
from service import jobs
from service.db.engine import make_engine, session_factory
from service.db.migrate import upgrade
from service.db.organisations import DEFAULT_ORGANISATION_ID, OrganisationRow
from service.db.rows import (
    CohortRow,
    EvaluationState,
    ExplanationState,
    ModelVersionRow,
    PredictionRow,
    PredictionState,
    ResultRow,
    RunState,
    ScanRow,
    ScoreRow,
    ScoreState,
)
from service.drift.evaluating import evaluate_version
from service.explanations import pack
from service.identity.accounts import create_user
from service.identity.actor import program
from service.identity.roles import Role
from service.registry import active_model, begin_shadow
from service.scoring import Extent, begin_rescore
from service.settings import Settings
from service.storage import Storage, checkpoint_key, explanation_key, open_storage
from tests.browser.watching import Site
from tests.service.answering import let_answer
from tests.service.api.serving import (
    CARD,
    PASSWORD,
    SAMPLE_PICTURES,
    SAMPLE_PNG,
    sample_facts,
    sample_result,
    web_process,
)
from tests.service.api.training_rows import add_runs
from tests.service.checkpoint_bytes import checkpoint_bytes
from tests.service.drift.drift_rows import add_answers, add_reference
from tests.service.drift.people import draw
from tests.service.evaluated import evaluate, outcome

# Who has uploaded nothing and sees nobody else's; who logs in with a code too.
NEWCOMER, WITH_CODE = "newcomer", "with-a-code"
ADMINISTRATOR = "chief"


@dataclass(frozen=True)
class Seeded:
    """A service with rows in it, and the address of each thing to look at, by its state where it has one.

    Attributes
    ----------
    models : dict
        Pages of the model that answers, of one that may and what it says of scans, and of one that fails
        rules of the gate.
    """

    site: Site
    pages: dict[PredictionState, str]
    explained: str
    models: dict[str, str]
    training: dict[RunState, str]
    sessions: sessionmaker[Session]


@contextmanager
def seeded_site(folder: Path, *, predictions: int) -> Iterator[Seeded]:
    """Run a web process, and no worker, over a database of its own.

    Parameters
    ----------
    folder : Path
    predictions : int
        How many finished ones there are beside one in each state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{folder / 'restnet.db'}"
    upgrade(url)
    engine = make_engine(url)
    sessions = session_factory(engine)
    pages, explained_id = _fill(sessions, predictions)
    training = _train(sessions)
    settings = Settings(data_dir=folder, requests_per_minute=0, requests_per_minute_per_address=0)
    _store_explanation(open_storage(settings), explained_id)
    models = _add_models(sessions, open_storage(settings))
    sound = models["sound"].rpartition("/")[2]
    models |= _score(sessions, open_storage(settings), sound, explained_id)
    models["drifting"] = _drift(sessions, sound)
    try:
        with web_process(settings) as (address, _, _):
            explained = f"/predictions/{explained_id}"
            site = Site(address, "doctor", PASSWORD, "")
            yield Seeded(site, pages, explained, models, training, sessions)
    finally:
        engine.dispose()


def _fill(sessions: sessionmaker[Session], predictions: int) -> tuple[dict[PredictionState, str], str]:
    """Add the rows; gives the page of a prediction in each state, and the id of one with an explanation."""
    now = datetime.now(UTC)
    with sessions.begin() as session:
        for name, role in (
            ("doctor", Role.CLINICIAN),
            (NEWCOMER, Role.INTEGRATOR),
            (WITH_CODE, Role.CLINICIAN),
            (ADMINISTRATOR, Role.ADMINISTRATOR),
        ):
            create_user(
                session,
                username=name,
                password=PASSWORD,
                role=role,
                organisation_id=DEFAULT_ORGANISATION_ID,
                by_owner=True,
            )
        version = ModelVersionRow(
            name=CARD["name"], version="1", sha256="a" * 64, storage_key="models/a.st", card=CARD
        )
        let_answer(session, version)
        states = [PredictionState.SUCCEEDED] * predictions + [*PredictionState, PredictionState.SUCCEEDED]
        rows = [_rows(number, state, now, version.id) for number, state in enumerate(states)]
        session.execute(insert(ScanRow), [scan for scan, _, _ in rows])
        session.execute(insert(PredictionRow), [prediction for _, prediction, _ in rows])
        session.execute(insert(ResultRow), [result for _, _, result in rows if result])
        explained_id = str(rows[-1][1]["id"])
        explanation = jobs.enqueue_explanation(session, session.get_one(PredictionRow, explained_id))
        explanation.state, explanation.progress = ExplanationState.SUCCEEDED, 1.0
        explanation.facts = sample_facts()
    shown = zip(states[predictions:-1], rows[predictions:-1], strict=True)
    pages = {state: f"/predictions/{prediction['id']}" for state, (_, prediction, _) in shown}
    return pages, explained_id


def _add_models(sessions: sessionmaker[Session], storage: Storage) -> dict[str, str]:
    """Add two models to the one that answers, the first of which has answered before it."""
    described = read_card(demonstration_checkpoint()).model_dump(mode="json")
    cards = {
        "sound": described | {"version": "3"},
        "failing": described | {"version": "4", "metrics": {"protocol": "paper"}},
    }
    pages = {}
    with sessions.begin() as session:
        answering = active_model(session)
        assert answering is not None
        pages["answering"] = f"/models/{answering.id}"
        for name, card in cards.items():
            content = checkpoint_bytes(json.dumps(card))
            with storage.receive(max_bytes=len(content)) as upload:
                upload.write(content)
                sha256 = upload.sha256
                storage.promote(upload, checkpoint_key(sha256))
            version = ModelVersionRow(
                name=card["name"],
                version=card["version"],
                sha256=sha256,
                storage_key=checkpoint_key(sha256),
                card=card,
                added_by="command-line",
            )
            session.add(version)
            session.flush()
            pages[name] = f"/models/{version.id}"
            if name == "sound":
                let_answer(session, version)
                let_answer(session, answering)
            found = outcome() if name == "sound" else outcome("auc_not_worse", "no_leak")
            evaluate(session, champion=answering.id, challenger=version.id, found=found)
        under_way = {"being-compared": EvaluationState.EVALUATING, "not-compared": EvaluationState.FAILED}
        for name, state in under_way.items():
            version = ModelVersionRow(
                name=CARD["name"],
                version=name,
                sha256=name.ljust(64, "0"),
                storage_key="models/b.st",
                card=CARD,
            )
            session.add(version)
            session.flush()
            failure = {"error_code": "evaluation_set_changed", "error_message": "expected others"}
            said = failure if state == EvaluationState.FAILED else {}
            evaluate(session, champion=answering.id, challenger=version.id, state=state, **said)
            pages[name] = f"/models/{version.id}"
    return pages


def _score(
    sessions: sessionmaker[Session], storage: Storage, model_id: str, prediction_id: str
) -> dict[str, str]:
    """Put a model in shadow, begin a batch, and add a score that differs to each; gives their pages."""
    with sessions.begin() as session:
        version, actor = session.get_one(ModelVersionRow, model_id), program("command-line")
        shadow = begin_shadow(session, storage, version, actor=actor, reason="to see")
        batch = begin_rescore(session, storage, version, Extent(), actor=actor, reason="the last quarter")
        prediction = session.get_one(PredictionRow, prediction_id)
        for cause in ({"shadow_id": shadow.id}, {"rescore_id": batch.id}):
            score = ScoreRow(
                organisation_id=prediction.organisation_id,
                prediction_id=prediction_id,
                scan_id=prediction.scan_id,
                model_version_id=model_id,
                purpose="shadow" if "shadow_id" in cause else "rescore",
                state=ScoreState.SUCCEEDED,
                finished_at=datetime.now(UTC),
                adhd_probability=0.8,
                interval_low=0.7,
                interval_high=0.9,
                decision="adhd",
                **cause,
            )
            session.add(score)
    return {
        "scores": f"/models/{model_id}/scores?count=1",
        "batch": f"/models/{model_id}/rescores/{batch.id}",
    }


def _drift(sessions: sessionmaker[Session], model_id: str) -> str:
    """Let the scans of one site differ in the last week; of another organisation, outside the lists."""
    generator = np.random.default_rng(1)
    with sessions.begin() as session:
        clinic = OrganisationRow(name="clinic")
        session.add(clinic)
        session.flush()
        add_reference(session, model_id)
        for site in ("NYU", "Peking"):
            for weeks in (3, 2, 1, 0):
                differs = (site, weeks) == ("Peking", 0)
                scans = draw(generator, 15, tr_s=1.2 if differs else 2.0, noise=0.2 if differs else 0.0)
                ago = timedelta(weeks=weeks)
                add_answers(session, model_id, scans, site=site, ago=ago, organisation_id=clinic.id)
    evaluate_version(sessions, model_id, actor=program("sweeper"))
    return f"/drift?model={model_id}"


def _train(sessions: sessionmaker[Session]) -> dict[RunState, str]:
    """Add a cohort and a training run in each state; gives their pages."""
    with sessions.begin() as session:
        cohort = CohortRow(
            name="ADHD-200 (simulated)",
            folder="/cohorts/adhd200",
            fingerprint="b" * 64,
            index_sha256="c" * 64,
            condition="ADHD",
            simulated=True,
            n_subjects=973,
            n_cases=362,
            n_controls=585,
            n_scans=1100,
            sites={"NYU": {"cases": 118, "controls": 98}},
            preprocessing={},
            registered_by="sweeper",
        )
        session.add(cohort)
        session.flush()
        model = session.scalars(select(ModelVersionRow.id)).one()
        runs = add_runs(session, cohort, model_version_id=model)
    return {state: f"/training/{run_id}" for state, run_id in runs.items()}


def _store_explanation(storage: Storage, prediction_id: str) -> None:
    content = pack(dict.fromkeys(SAMPLE_PICTURES, SAMPLE_PNG))
    with storage.receive(max_bytes=len(content)) as upload:
        upload.write(content)
        storage.promote(upload, explanation_key(prediction_id))


def _rows(
    number: int, state: PredictionState, now: datetime, version: str
) -> tuple[dict[str, object], dict[str, object], dict[str, object] | None]:
    id_ = str(UUID(int=number + 1))
    made = now - timedelta(days=300) + timedelta(minutes=40 * number)
    owned = {"organisation_id": DEFAULT_ORGANISATION_ID, "created_at": made}
    scan = owned | {
        "id": id_,
        "sha256": "a" * 64,
        "size_bytes": 33_000_000,
        "display_name": f"sfnwmrda{number:07}_session_1_rest_1.nii.gz",
        "storage_key": f"scans/{id_}",
        # Some have none.
        "subject_id": f"P-{number // 3}" if number % 7 else None,
    }
    ended = state not in {"queued", "preprocessing", "classifying"}
    failed = state == PredictionState.FAILED
    prediction = owned | {
        "id": id_,
        "scan_id": id_,
        "state": state,
        "progress": 1.0 if ended else 0.4,
        "queued_at": made,
        "finished_at": made + timedelta(seconds=2) if ended else None,
        "error_code": "time_limit" if failed else None,
        "error_message": "expected an answer within 600 s, found none" if failed else None,
        "error_reference": "0f3c9a" if failed else None,
    }
    if state != PredictionState.SUCCEEDED:
        return scan, prediction, None
    probability = (number * 37 % 101) / 100
    answer = sample_result(probability, max(probability - 0.17, 0.0), min(probability + 0.14, 1.0))
    return (
        scan,
        prediction,
        owned
        | {
            "prediction_id": id_,
            "model_version_id": version,
            "adhd_probability": probability,
            "interval_low": answer["interval"]["low"],
            "interval_high": answer["interval"]["high"],
            "decision": answer["decision"],
            "result": answer,
        },
    )
