"""A service worth asking: two organisations with scans, predictions in every state, keys, a model."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from service.db.rows import EvaluationRow, EvaluationState, PredictionState
from service.identity.roles import Role
from service.settings import Settings
from tests.service.api.serving import (
    CARD,
    Serving,
    make_settings,
    migrated_database,
    sample_result,
    scan_bytes,
    serving,
)
from tests.service.api.tus_client import Client
from tests.service.drift.drift_rows import add_alarm
from tests.service.evaluated import add_set, outcome
from tests.service.test_population import POPULATION


@dataclass
class Account:
    """An account's header, and what it uploaded.

    Attributes
    ----------
    ended : list of str
        Predictions whose event stream closes by itself, and will: they cannot be tried again.
    failed : list of str
        Predictions that can.

    begun : list of str
        Uploads in parts of which nothing has come.
    whole : str
        One of which everything has.

    Nothing here names the scans of the first of these, so that they stay.
    """

    headers: dict[str, str]
    scans: list[str] = field(default_factory=list)
    predictions: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)
    whole: str = ""


@dataclass
class Known:
    """What the questions may name.

    Attributes
    ----------
    stranger : Account
        Of another organisation than those who ask.
    keys : list of str
        Identifiers of API keys of both organisations, which nobody here needs.
    models : list of str
        Registered models that have not answered; others have, so that there is a way back.
    runs : list of str
        Training runs, which wait; the last one was cancelled.
    sets : list of str
        Evaluation sets, of which the first is in use.
    evaluations : list of str
        Evaluations, which wait; the last one is over.
    references : list of str
        A drift reference that waits.
    alarms : list of str
        Drift alarms, which nobody has acknowledged.
    shadowed : str
        A model that was in shadow.
    rescores : list of str
        Batches at work.
    """

    asking: dict[Role, Account]
    stranger: Account
    keys: list[str]
    models: list[str]
    runs: list[str]
    sets: list[str]
    evaluations: list[str]
    references: list[str]
    alarms: list[str]
    shadowed: str
    rescores: list[str]


def settings_of(folder: Path, template: Path) -> Settings:
    return make_settings(
        folder,
        template,
        max_upload_bytes=200_000,
        unfinished_uploads_per_account=10_000,
        log_level="error",
    )


def populate(folder: Path) -> Known:
    """Fill a data directory; each role asks a copy, and misses nothing that another one deleted."""
    template = migrated_database(folder.parent)
    with serving(settings_of(folder, template)) as service:
        model = service.register_model(CARD | {"population": POPULATION})
        elsewhere = service.organisation("Elsewhere")
        stranger = Account(service.key("stranger", Role.CLINICIAN, elsewhere))
        asking = {role: Account(service.key(f"asks.{role}", role)) for role in Role}
        for account in (stranger, *asking.values(), *asking.values()):
            _add_scans(service, account, model)
        for account in (stranger, *asking.values()):
            _begin_uploads(service, account)
        far = service.key("far", Role.ADMINISTRATOR, elsewhere)
        near = service.key("near", Role.ADMINISTRATOR)
        keys = [_add_key(service, headers) for headers in (far, *[near] * 5)]
        models = [service.add_model(str(number)) for number in range(40)]
        for id_ in models[:10]:
            said = {"reason": "before", "override_reason": "before anybody asks"}
            address = f"/api/v1/admin/models/{id_}/promote"
            assert service.client.post(address, headers=near, json=said).status_code == 200
        service.register_cohort()
        runs = [run["id"] for run in service.train(near, seeds=[0, 1, 2])]
        service.client.post(f"/api/v1/admin/training-runs/{runs[-1]}/cancel", headers=near)
        shadowed = models.pop()
        for act in ("shadow", "shadow/end"):
            address = f"/api/v1/admin/models/{shadowed}/{act}"
            body = {"reason": "before anybody asks"} if act == "shadow" else None
            assert service.client.post(address, headers=near, json=body).is_success
        asked = {"model_version_id": shadowed, "reason": "before anybody asks"}
        rescore = service.client.post("/api/v1/admin/rescores", headers=near, json=asked).json()["id"]
        with service.sessions.begin() as session:
            sets = [add_set(session, name, in_use=name == "a").id for name in "abc"]
            alarms = [add_alarm(session, models[9], week=f"2026-W{number:02d}") for number in range(1, 6)]
        asked = {"cohort": "tiny", "model_version_id": models[9]}
        address = "/api/v1/admin/drift/references"
        reference = service.client.post(address, headers=near, json=asked).json()["id"]
        address = "/api/v1/admin/models/{}/evaluations"
        asked = [service.client.post(address.format(id_), headers=near) for id_ in models[:4]]
        evaluations = [answer.json()["id"] for answer in asked]
        with service.sessions.begin() as session:
            last = session.get_one(EvaluationRow, evaluations[-1])
            last.state, last.outcome, last.passed = EvaluationState.SUCCEEDED, outcome(), True
    return Known(
        asking,
        stranger,
        keys,
        models[10:],
        runs,
        sets,
        evaluations,
        [reference],
        alarms,
        shadowed,
        [rescore],
    )


def _add_scans(service: Serving, account: Account, model_version_id: str) -> None:
    """Upload scans whose predictions are in every state."""
    now = datetime.now(UTC)
    stay = set() if account.ended else {PredictionState.SUCCEEDED, PredictionState.FAILED}
    states: dict[PredictionState, dict[str, Any]] = {
        PredictionState.QUEUED: {},
        PredictionState.CLASSIFYING: {"progress": 0.7, "started_at": now},
        PredictionState.SUCCEEDED: {},
        PredictionState.FAILED: {"error_code": "internal_error", "error_message": "-", "finished_at": now},
        PredictionState.CANCELLED: {"finished_at": now},
    }
    said = {"subject_id": "P-1", "age_years": "31.5", "sex": "other", "site": "north"}
    for state, values in states.items():
        accepted = service.upload(account.headers, **said)
        prediction_id = accepted["prediction_id"]
        if state == PredictionState.SUCCEEDED:
            service.finish(prediction_id, sample_result(), model_version_id=model_version_id)
            service.explain(prediction_id)
            service.normalise(prediction_id)
        else:
            service.set_state(prediction_id, state, **values)
        account.predictions.append(prediction_id)
        if state not in stay:
            account.scans.append(accepted["scan_id"])
        if state == PredictionState.SUCCEEDED:
            account.ended.append(prediction_id)
        if state == PredictionState.FAILED:
            account.failed.append(prediction_id)


def _add_key(service: Serving, headers: dict[str, str]) -> str:
    answer = service.client.post("/api/v1/admin/api-keys", headers=headers, json={"name": "spare"})
    key_id: str = answer.json()["id"]
    return key_id


def _begin_uploads(service: Serving, account: Account) -> None:
    """Begin uploads in parts, and send all of one."""
    tus = Client(service.client, account.headers)
    account.begun = [_id_of(tus.begun(200_000)) for _ in range(20)]
    account.whole = _id_of(tus.send(scan_bytes()))


def _id_of(place: str) -> str:
    return place.rpartition("/")[2]
