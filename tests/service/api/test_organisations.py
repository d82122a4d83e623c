"""Two organisations in one installation: nothing of the one is seen, changed or counted by the other."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from service.db.organisations import OrganisationOwned
from service.db.rows import (
    ApiKeyRow,
    AuditEventRow,
    Base,
    CohortRow,
    ModelVersionRow,
    PredictionState,
    SessionRow,
    UserRow,
)
from service.identity.roles import Role
from service.web.prediction.reloaded import SECTIONS
from tests.service.api.serving import (
    PASSWORD,
    Serving,
    make_settings,
    routes_of,
    sample_result,
    scan_bytes,
    serving,
)
from tests.service.api.tus_client import TUS, Client

UNKNOWN = "00000000-0000-0000-0000-000000000000"
# What a route needs to be sent before it looks for what is named.
BODIES = {
    "/api/v1/predictions/{prediction_id}/review": {"verdict": "accepted"},
    "/api/v1/admin/users/{user_id}": {"disabled": True},
}
# Models answer all organisations: whoever may see them sees all, and only one organisation changes them or
# has them score scans.
OF_THE_INSTALLATION = {
    "/api/v1/admin/models/{model_id}",
    "/api/v1/admin/models/{model_id}/promote",
    "/api/v1/admin/models/{model_id}/evaluations",
    "/api/v1/admin/evaluations/{evaluation_id}",
    "/api/v1/admin/evaluations/{evaluation_id}/cancel",
    "/api/v1/admin/evaluation-sets/{set_id}",
    "/api/v1/admin/evaluation-sets/{set_id}/use",
    "/evaluation/{set_id}/remove",
    "/evaluation/{set_id}/use",
    "/models/{model_id}/comparison",
    "/models/{model_id}/evaluations",
    "/models/{model_id}/evaluations/{evaluation_id}/cancel",
    "/models/{model_id}",
    "/models/{model_id}/promote",
    "/api/v1/admin/models/{model_id}/shadow",
    "/api/v1/admin/models/{model_id}/shadow/end",
    "/api/v1/admin/models/{model_id}/shadow/comparison",
    "/api/v1/admin/models/{model_id}/shadow/changes",
    "/api/v1/admin/rescores/{rescore_id}",
    "/api/v1/admin/rescores/{rescore_id}/cancel",
    "/api/v1/admin/rescores/{rescore_id}/comparison",
    "/api/v1/admin/rescores/{rescore_id}/changes",
    "/models/{model_id}/scores",
    "/models/{model_id}/shadow",
    "/models/{model_id}/shadow/end",
    "/models/{model_id}/rescores",
    "/models/{model_id}/rescores/{rescore_id}",
    "/models/{model_id}/rescores/{rescore_id}/cancel",
    "/api/v1/admin/drift/references/{reference_id}/cancel",
    "/drift/references/{reference_id}/cancel",
    "/api/v1/admin/drift/alarms/{alarm_id}/acknowledge",
    "/drift/alarms/{alarm_id}/acknowledge",
}
# Whatever is named, they lead to the page of that name, which says who may see it.
LEADING_ON = {f"/predictions/{{prediction_id}}/{form}" for form in SECTIONS}
HEADERS = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}


@dataclass
class Organisation:
    """One organisation with an account, a key and a login of each role, and what they have brought about."""

    name: str
    id: str
    run_ids: list[str] = field(default_factory=list)
    keys: dict[Role, dict[str, str]] = field(default_factory=dict)
    uploads: dict[Role, dict[str, Any]] = field(default_factory=dict)
    key_ids: list[str] = field(default_factory=list)
    login_ids: list[str] = field(default_factory=list)
    user_ids: list[str] = field(default_factory=list)
    begun_ids: list[str] = field(default_factory=list)
    invitation_ids: list[str] = field(default_factory=list)

    def username(self, role: Role) -> str:
        return f"{self.name}-{role.value}"

    def ids(self, parameter: str) -> list[str]:
        """What of this organisation a route's parameter may name."""
        return {
            "scan_id": [upload["scan_id"] for upload in self.uploads.values()],
            "prediction_id": [upload["prediction_id"] for upload in self.uploads.values()],
            "key_id": self.key_ids,
            "login_id": self.login_ids,
            "user_id": self.user_ids,
            "upload_id": self.begun_ids,
            "run_id": self.run_ids,
            "invitation_id": self.invitation_ids,
            # No link is made of an identifier: what opens one is known to who was given it alone.
            "token": self.invitation_ids,
        }[parameter]


@dataclass
class World:
    served: Serving
    north: Organisation
    south: Organisation

    def rows(self, organisation: Organisation) -> list[tuple[Any, ...]]:
        """Everything in the database that is an organisation's."""
        found: list[tuple[Any, ...]] = []
        with self.served.sessions() as session:
            for mapper in Base.registry.mappers:
                if issubclass(mapper.class_, OrganisationOwned):
                    own = mapper.class_.organisation_id == organisation.id
                    columns = mapper.local_table.columns
                    found += sorted(
                        (mapper.local_table.name, *map(str, row))
                        for row in session.execute(select(*columns).where(own))
                    )
        return found

    def traces(self, organisation: Organisation) -> set[str]:
        """Texts that give an organisation away: its identifiers, names and hashes."""
        given = {organisation.name, organisation.id}
        for row in self.rows(organisation):
            given |= {value for value in row if re.fullmatch(r"[0-9a-f-]{36}|[0-9a-f]{64}", value)}
        with self.served.sessions() as session:
            shared = set(session.scalars(select(ModelVersionRow.id)))
            shared |= set(session.scalars(select(CohortRow.id)))
            # There is one chain: an event names the hash of the one before it, whosever that is.
            shared |= set(session.scalars(select(AuditEventRow.hash)))
            # What another test has asked the audit for, in whatever order: who asked knew it already.
            asked_for = select(AuditEventRow.subject_id).where(AuditEventRow.action == "audit.read")
            shared |= set(session.scalars(asked_for))
        return given - shared - {"0" * 64, "a" * 64}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, database_template: Path) -> Iterator[World]:
    settings = make_settings(tmp_path_factory.mktemp("two"), database_template)
    with serving(settings) as served:
        model_version_id = served.register_model()
        served.register_cohort()
        # Training is the installation's: neither of the two may ask for it, nor look.
        run_ids = [run["id"] for run in served.train(served.key("chief", Role.ADMINISTRATOR))]
        both = [Organisation(name, served.organisation(name), run_ids) for name in ("north", "south")]
        for number, organisation in enumerate(both):
            for role in Role:
                populate(served, organisation, role, seed=number * 10 + len(organisation.keys))
            done = organisation.uploads[Role.CLINICIAN]["prediction_id"]
            served.finish(done, sample_result(), model_version_id=model_version_id)
            said = {"verdict": "accepted", "reason": organisation.name, "diagnosis": "adhd"}
            address = f"/api/v1/predictions/{done}/review"
            key = organisation.keys[Role.CLINICIAN]
            assert served.client.post(address, headers=key, json=said).status_code == 201
            for upload in organisation.uploads.values():
                served.explain(upload["prediction_id"])
                served.normalise(upload["prediction_id"])
            served.set_state(
                organisation.uploads[Role.INTEGRATOR]["prediction_id"],
                PredictionState.FAILED,
                error_code="too_few_frames",
                error_message="expected 20 frames, found 3",
            )
            # None is left waiting: a stream of it would never end.
            for role in (Role.RESEARCHER, Role.ADMINISTRATOR):
                address = organisation.uploads[role]["links"]["prediction"]
                served.client.post(f"{address}/cancel", headers=organisation.keys[role])
            invited, _token = served.invite(
                f"{organisation.name}-newcomer", by=organisation.username(Role.ADMINISTRATOR)
            )
            organisation.invitation_ids = [invited.id]
            with served.sessions() as session:
                own = ApiKeyRow.organisation_id == organisation.id
                organisation.key_ids = list(session.scalars(select(ApiKeyRow.id).where(own)))
                own = SessionRow.organisation_id == organisation.id
                organisation.login_ids = list(session.scalars(select(SessionRow.id).where(own)))
                own = UserRow.organisation_id == organisation.id
                organisation.user_ids = list(session.scalars(select(UserRow.id).where(own)))
        yield World(served, *both)


def populate(served: Serving, organisation: Organisation, role: Role, *, seed: int) -> None:
    """Add an account of a role, which uploads under a key that the other organisation's uses too."""
    key = served.key(organisation.username(role), role, organisation.id)
    organisation.keys[role] = key
    served.log_in(organisation.username(role))
    served.client.cookies.clear()
    organisation.uploads[role] = served.upload(
        key | {"Idempotency-Key": "the-same"},
        scan_bytes(seed=seed),
        subject_id=f"{organisation.name}-{role.value}",
    )
    organisation.begun_ids.append(Client(served.client, key).begun(4).rpartition("/")[2])


def addressed(path: str, organisation: Organisation) -> list[str]:
    """A route's path with each of an organisation's identifiers in it; one that it cannot fill in fails."""
    path = path.replace("{name}", "carpet.png")
    found = re.findall(r"\{(\w+)\}", path)
    assert len(found) == 1, f"expected one parameter, which this test knows how to fill in: {path}"
    return [path.replace(f"{{{found[0]}}}", id_) for id_ in organisation.ids(found[0])]


@pytest.fixture(params=list(Role))
def south(request: pytest.FixtureRequest, world: World) -> Iterator["Asking"]:
    asking = Asking(world, request.param)
    yield asking
    world.served.client.cookies.clear()


class Asking:
    """Somebody of the south with a role: pages are asked under a login, REST by key."""

    def __init__(self, world: World, role: Role) -> None:
        self.world, self.role = world, role
        self.key = world.south.keys[role]
        world.served.client.cookies.clear()
        self.token = world.served.log_in(world.south.username(role))

    def __call__(self, method: str, path: str, **more: Any) -> Any:
        rest = path.startswith("/api/")
        headers = self.key if rest else {"X-CSRF-Token": self.token, "Accept": "text/html"}
        if re.fullmatch(r"/api/v1/uploads/[^/]+", path):
            headers = headers | HEADERS
        return self.world.served.client.request(method, path, headers=headers, **more)


def test_what_is_another_organisations_answers_as_if_it_did_not_exist(world: World, south: Asking) -> None:
    before = world.rows(world.north)
    tried = 0
    for method, path in routes_of(world.served.app):
        if "{" not in path or path in OF_THE_INSTALLATION or (method == "GET" and path in LEADING_ON):
            continue
        named = path.replace("{name}", "carpet.png")
        unknown = south(method, re.sub(r"\{\w+\}", UNKNOWN, named), json=BODIES.get(path))
        assert unknown.status_code in {403, 404}, (method, path)
        for address in addressed(path, world.north):
            answer = south(method, address, json=BODIES.get(path))
            assert answer.status_code == unknown.status_code, (method, address)
            told = re.sub(r"[0-9a-f-]{36}", "ID", answer.text)
            assert told == re.sub(r"[0-9a-f-]{36}", "ID", unknown.text), (method, address)
            tried += 1
        # The same address answers who may see what it names.
        if unknown.status_code == 404 and method == "GET" and not path.startswith("/invitation/"):
            everybodys = south.role in {Role.CLINICIAN, Role.ADMINISTRATOR}
            own = addressed(path, world.south)
            # 409: there is one, and it has no report yet.
            seen = [address for address in own if south(method, address).status_code in {200, 409}]
            assert len(seen) == (len(own) if everybodys else 1), (method, path)
    assert tried >= 40
    assert world.rows(world.north) == before


def test_no_list_page_or_figure_shows_another_organisation(world: World, south: Asking) -> None:
    traces = world.traces(world.north)
    assert len(traces) > 20
    asked = [path for method, path in routes_of(world.served.app) if method == "GET" and "{" not in path]
    assert {"/", "/predictions", "/api/v1/predictions", "/api/v1/admin/audit", "/metrics"} <= set(asked)
    for path in asked:
        answer = south("GET", path)
        assert {trace for trace in traces if trace in answer.text} == set(), path


def test_lists_hold_what_is_ones_own_organisations_in_every_page(world: World) -> None:
    administrator = world.south.keys[Role.ADMINISTRATOR]
    found = {
        path: [item["id"] for item in pages(world, administrator, path)]
        for path in (
            "predictions",
            "admin/users",
            "admin/users/invitations",
            "admin/api-keys",
            "admin/audit",
        )
    }
    assert found["admin/users/invitations"] == world.south.invitation_ids
    assert sorted(found["predictions"]) == sorted(world.south.ids("prediction_id"))
    assert sorted(found["admin/api-keys"]) == sorted(world.south.key_ids)
    with world.served.sessions() as session:
        for path, row in (("admin/users", UserRow), ("admin/audit", AuditEventRow)):
            own = select(row.id).where(row.organisation_id == world.south.id)
            assert sorted(found[path]) == sorted(session.scalars(own)), path
    assert len(found["admin/users"]) == 4


def test_reviews_are_counted_for_ones_own_organisation(world: World) -> None:
    for organisation in (world.north, world.south):
        key = organisation.keys[Role.ADMINISTRATOR]
        counts = world.served.client.get("/api/v1/admin/reviews/counts", headers=key).json()
        assert (counts["accepted"], counts["with_diagnosis"]) == (1, 1)
        assert counts["by_diagnosis"]["adhd"]["uncertain"] == 1


def pages(world: World, key: dict[str, str], path: str) -> Iterator[dict[str, Any]]:
    cursor = None
    while True:
        query = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = world.served.client.get(f"/api/v1/{path}", headers=key, params=query).json()
        yield from page["items"]
        cursor = page["next_cursor"]
        if cursor is None:
            return


def test_filters_and_cursors_of_another_organisation_find_nothing_of_it(world: World) -> None:
    client, key, theirs = world.served.client, world.south.keys[Role.ADMINISTRATOR], world.north
    for path, query in (
        ("predictions", {"subject_id": theirs.username(Role.CLINICIAN)}),
        ("admin/audit", {"subject_id": theirs.uploads[Role.CLINICIAN]["scan_id"]}),
    ):
        found = client.get(f"/api/v1/{path}", headers=key, params=query).json()
        # Looking into the audit is itself told there, under what was asked for.
        assert [item for item in found["items"] if item.get("action") != "audit.read"] == [], path
        of_theirs = client.get(
            f"/api/v1/{path}", headers=theirs.keys[Role.ADMINISTRATOR], params=query
        ).json()
        seen = [item for item in of_theirs["items"] if item.get("action") != "audit.read"]
        assert len(seen) == 1, path
    first = client.get(
        "/api/v1/predictions", headers=theirs.keys[Role.ADMINISTRATOR], params={"limit": 1}
    ).json()
    listed = client.get(
        "/api/v1/predictions", headers=key, params={"cursor": first["next_cursor"], "limit": 200}
    ).json()
    assert {item["id"] for item in listed["items"]} <= set(world.south.ids("prediction_id"))


def test_within_an_organisation_some_see_everything_and_some_their_own(world: World) -> None:
    for role, key in world.south.keys.items():
        listed = world.served.client.get("/api/v1/predictions", headers=key).json()["items"]
        own = {world.south.uploads[role]["prediction_id"]}
        everybodys = role in {Role.CLINICIAN, Role.ADMINISTRATOR}
        expected = set(world.south.ids("prediction_id")) if everybodys else own
        assert {item["id"] for item in listed} == expected, role


def test_one_idempotency_key_stands_for_each_organisations_own_upload(world: World) -> None:
    for organisation in (world.north, world.south):
        again = world.served.client.post(
            "/api/v1/scans",
            headers=organisation.keys[Role.CLINICIAN] | {"Idempotency-Key": "the-same"},
            files={
                "scan": ("scan.nii.gz", scan_bytes(seed=0 if organisation is world.north else 10)),
            },
            data={"subject_id": organisation.username(Role.CLINICIAN)},
        )
        assert again.status_code == 202, again.text
        assert again.json()["prediction_id"] == organisation.uploads[Role.CLINICIAN]["prediction_id"]


def test_an_administrator_adds_accounts_and_keys_of_their_own_organisation_only(served: Serving) -> None:
    north, south = (Organisation(name, served.organisation(name)) for name in ("north", "south"))
    admin = served.key("south-admin", Role.ADMINISTRATOR, south.id)
    served.user("north-doctor", Role.CLINICIAN, north.id)
    wanted = {"username": "nurse", "password": PASSWORD, "role": "clinician"}
    added = served.client.post("/api/v1/admin/users", headers=admin, json=wanted)
    assert added.status_code == 201
    with served.sessions() as session:
        assert session.get_one(UserRow, added.json()["id"]).organisation_id == south.id
    foreign = {"name": "x", "username": "north-doctor"}
    unknown = {"name": "x", "username": "nobody"}
    answers = [
        served.client.post("/api/v1/admin/api-keys", headers=admin, json=asked)
        for asked in (foreign, unknown)
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "account_not_found")}
    # A log-in page without a field for the organisation needs names that are the installation's.
    taken = served.client.post(
        "/api/v1/admin/users", headers=admin, json=wanted | {"username": "North-Doctor"}
    )
    assert (taken.status_code, taken.json()["code"]) == (409, "username_taken")


def test_a_place_in_the_queue_counts_everybody_and_names_nobody(served: Serving) -> None:
    north, south = (served.organisation(name) for name in ("north", "south"))
    theirs = [served.upload(served.key("n", organisation_id=north)) for _ in range(2)]
    key = served.key("s", organisation_id=south)
    mine = served.upload(key)
    answer = served.client.get(mine["links"]["prediction"], headers=key)
    assert answer.json()["queue_position"] == 3
    assert not any(upload["prediction_id"] in answer.text for upload in theirs)


def test_a_persons_new_organisation_counts_from_the_next_request(served: Serving) -> None:
    """The filter follows the account's row, not what a key or a login was made with."""
    north, south = (served.organisation(name) for name in ("north", "south"))
    key = served.key("n", organisation_id=north)
    accepted = served.upload(key)
    assert served.client.get(accepted["links"]["prediction"], headers=key).status_code == 200
    with served.sessions.begin() as session:
        for row in session.scalars(select(UserRow)):
            row.organisation_id = south
    assert served.client.get(accepted["links"]["prediction"], headers=key).status_code == 404
