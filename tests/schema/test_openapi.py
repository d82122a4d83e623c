"""What the OpenAPI document promises, asked of a running service by Schemathesis, as each role and as nobody.

``RESTNET_SCHEMA_EXAMPLES`` is how many requests are made up for each operation. Without it there are few, and
the systematic ones, refused much alike in every role, are left to the administrator and to nobody;
``make schema`` puts many, and the systematic ones in every role.
"""

import json
import logging
import os
import shutil
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.identity.roles import Role
from tests.schema.populated import Known, populate, settings_of
from tests.service.api.serving import REPOSITORY, scan_bytes, web_process

pytestmark = [
    pytest.mark.integration,
    pytest.mark.slow,
    pytest.mark.enable_socket,
    pytest.mark.timeout(7200 if "RESTNET_SCHEMA_EXAMPLES" in os.environ else 300),
]

EXAMPLES = os.environ.get("RESTNET_SCHEMA_EXAMPLES", "5")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
NOBODY = "nobody"

Asked = tuple[str, str]
"""A method and a path of the document."""

log = logging.getLogger(__name__)


@pytest.fixture(scope="module")
def populated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Known]:
    folder = tmp_path_factory.mktemp("populated") / "data"
    return folder, populate(folder)


@pytest.mark.parametrize("who", [*Role, NOBODY])
def test_the_service_keeps_what_its_document_promises(
    who: str, tmp_path: Path, populated: tuple[Path, Known]
) -> None:
    template, known = populated
    folder = tmp_path / "data"
    shutil.copytree(template, folder)
    with web_process(settings_of(folder, template / "restnet.db")) as (address, _process, _seconds):
        run = schemathesis(address, known, tmp_path, who=who)
        operations, answered = documented(address), answers(address)
    totals = Counter[str]()
    for (_method, _route, status), number in answered.items():
        totals[status] += number
    log.info("%s: %d calls, %s", who, sum(totals.values()), dict(sorted(totals.items())))
    assert run.returncode == 0, run.stdout

    def with_status(first: str) -> set[Asked]:
        found = {(method, route) for method, route, status in answered if status.startswith(first)}
        return found & operations

    # Without these, a run that never came past the door would pass.
    if who == NOBODY:
        inside = [asked for asked in answered if asked[1].startswith("/api/v1/")]
        unread = {asked[:2] for asked in inside if asked[2] in {"400", "422"}}
        # A JSON body is parsed before anybody asks whose it is; one that is none is refused as such.
        assert unread <= {
            ("POST", "/api/v1/admin/users"),
            ("PATCH", "/api/v1/admin/users/{user_id}"),
            ("POST", "/api/v1/admin/users/invitations"),
            ("POST", "/api/v1/admin/api-keys"),
            ("POST", "/api/v1/admin/models/{model_id}/promote"),
            ("POST", "/api/v1/admin/models/rollback"),
            ("POST", "/api/v1/admin/evaluation-sets"),
            ("POST", "/api/v1/admin/models/{model_id}/shadow"),
            ("POST", "/api/v1/admin/rescores"),
            ("POST", "/api/v1/admin/training-runs"),
            ("POST", "/api/v1/admin/drift/references"),
            ("POST", "/api/v1/admin/drift/evaluations"),
            ("POST", "/api/v1/admin/drift/alarms/acknowledge"),
            ("POST", "/api/v1/predictions/{prediction_id}/review"),
            ("POST", "/api/v1/uploads/{upload_id}/complete"),
        }
        assert {status for _method, _route, status in inside} <= {"400", "401", "405", "422"}
        assert with_status("401") == {asked for asked in operations if asked[1].startswith("/api/v1/")}
    else:
        assert with_status("2") | with_status("403") == operations
        assert not with_status("2") & with_status("403")
        # One's own account is for a login, and no key opens it.
        personal = {asked for asked in operations if asked[1].startswith("/api/v1/account/")}
        assert personal
        assert (with_status("403") == personal) == (who == Role.ADMINISTRATOR)


def schemathesis(address: str, known: Known, folder: Path, *, who: str) -> subprocess.CompletedProcess[str]:
    """Put the questions to a running service."""
    configuration = folder / "schemathesis.toml"
    account = known.asking[Role.ADMINISTRATOR if who == NOBODY else Role(who)]
    values = {
        "scans": account.scans + known.stranger.scans,
        "predictions": account.predictions + known.stranger.predictions,
        "keys": known.keys,
        "models": known.models,
        "runs": known.runs,
        "evaluations": known.evaluations,
        "sets": known.sets,
        "references": known.references,
        "alarms": known.alarms,
        "rescores": known.rescores,
        "uploads": [*account.begun, account.whole, *known.stranger.begun],
    }
    dictionaries = [f"[dictionaries.{name}]\nvalues = {json.dumps(ids)}\n" for name, ids in values.items()]
    configuration.write_text("\n".join([CONFIGURATION.read_text(), *dictionaries]))
    for_hooks = folder / "known.json"
    for_hooks.write_text(
        json.dumps(
            {
                "ended": account.ended,
                "failed": account.failed,
                "begun": account.begun,
                "whole": account.whole,
                "models": known.models,
                "runs": known.runs,
                "evaluations": known.evaluations,
                "sets": known.sets,
                "shadowed": known.shadowed,
                "rescores": known.rescores,
                "sound_scan": scan_bytes().hex(),
            }
        )
    )
    options = ["--max-examples", EXAMPLES]
    if who != NOBODY:
        options += ["--header", f"Authorization: {account.headers['Authorization']}"]
    if "RESTNET_SCHEMA_EXAMPLES" not in os.environ and who not in {NOBODY, Role.ADMINISTRATOR}:
        options += ["--phases", "examples,fuzzing,stateful"]
    program = [sys.executable, "-m", "schemathesis.cli", "--no-color", "--config-file", str(configuration)]
    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY),
        "SCHEMATHESIS_HOOKS": "tests.schema.hooks",
        "RESTNET_SCHEMA_KNOWN": str(for_hooks),
    }
    return subprocess.run(
        [*program, "run", *options, f"{address}/api/openapi.json"],
        cwd=folder,
        env=environment,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def documented(address: str) -> set[Asked]:
    document = json.loads(_read(f"{address}/api/openapi.json"))
    return {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}


def answers(address: str) -> Counter[tuple[str, str, str]]:
    """Read off the service how often it answered each method and route with each status."""
    counted = Counter[tuple[str, str, str]]()
    for family in text_string_to_metric_families(_read(f"{address}/metrics")):
        for sample in family.samples:
            if sample.name == "restnet_http_requests_total":
                labels = sample.labels
                counted[labels["method"], labels["route"], labels["status"]] = int(sample.value)
    return counted


def _read(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  (loopback)
        return answer.read().decode()
