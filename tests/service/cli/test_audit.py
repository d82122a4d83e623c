"""Verifying and exporting the audit from the command line."""

import io
import json
import sys

import pytest
from sqlalchemy import text

from service.db.engine import make_engine

PASSWORD = "correct horse battery"


@pytest.fixture
def at(monkeypatch, tmp_path, restnet):
    """The options that name a data directory with three events of the audit."""
    place = "--data-dir", tmp_path / "data"
    monkeypatch.setattr(sys, "stdin", io.StringIO(PASSWORD + "\n"))
    restnet("users", "add", "mina", *place)
    restnet("users", "disable", "mina", *place)
    restnet("users", "enable", "mina", *place)
    return place


def lay_hands_on(at, *statements):
    engine = make_engine(f"sqlite:///{at[1]}/restnet.db")
    with engine.begin() as connection:
        for act in ("update", "delete"):
            connection.execute(text(f"DROP TRIGGER audit_events_no_{act}"))
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def test_a_whole_chain_is_verified_for_machines_and_for_people(at, restnet, restnet_json):
    status, answer = restnet_json("audit", "verify", *at)
    assert (status, answer["events"], answer["anchors"]) == (0, 3, 0)
    assert answer["head"].startswith("3:")
    assert len(answer["head"]) == 2 + 64
    status, out, _ = restnet("audit", "verify", "--anchor", answer["head"], *at)
    assert status == 0
    assert out.splitlines()[-1] == answer["head"]


def test_the_first_event_that_is_wrong_is_named(at, restnet, restnet_json):
    lay_hands_on(at, "UPDATE audit_events SET actor = 'somebody' WHERE sequence = 2")
    status, answer = restnet_json("audit", "verify", *at)
    assert status == 2
    assert answer["error"] == {
        "code": "audit_chain_broken",
        "message": "expected audit event 2 as it was recorded, "
        "found one that differs from its own hash: edited",
        "sequence": 2,
        "fault": "edited",
    }
    status, out, err = restnet("audit", "verify", *at)
    assert (status, out) == (2, "")
    assert "audit event 2" in err


def test_what_was_cut_off_is_found_against_a_head_that_was_kept(at, restnet_json):
    head = restnet_json("audit", "verify", *at)[1]["head"]
    lay_hands_on(
        at,
        "DELETE FROM audit_events WHERE sequence = 3",
        "UPDATE audit_heads SET sequence = 2, hash = (SELECT hash FROM audit_events WHERE sequence = 2)",
    )
    assert restnet_json("audit", "verify", *at)[0] == 0
    status, answer = restnet_json("audit", "verify", "--anchor", head, *at)
    assert (status, answer["error"]["sequence"], answer["error"]["fault"]) == (2, 3, "missing")


def test_a_chain_without_its_head_is_named(at, restnet_json):
    lay_hands_on(at, "DELETE FROM audit_heads")
    assert restnet_json("audit", "verify", *at)[1]["error"]["code"] == "audit_head_missing"


@pytest.mark.parametrize("printed", ["", "3", "3:", ":" + "0" * 64, "03:" + "0" * 64, "3:" + "G" * 64])
def test_what_is_no_anchor_is_refused(at, restnet_json, printed):
    status, answer = restnet_json("audit", "verify", "--anchor", printed, *at)
    assert (status, answer["error"]["code"]) == (2, "audit_anchor_not_valid")


def test_an_export_is_json_lines_with_itself_in_it(at, restnet, restnet_json):
    status, out, err = restnet("audit", "export", *at)
    assert (status, err) == (0, "")
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["sequence"] for event in events] == [1, 2, 3, 4]
    assert (events[0]["action"], events[3]["action"]) == ("user.create", "audit.export")
    assert events[3]["address"].startswith("uid ")
    assert f"4:{events[3]['hash']}" == restnet_json("audit", "verify", *at)[1]["head"]
    _, out, _ = restnet("audit", "export", "--after", 4, "--json", *at)
    assert [json.loads(line)["sequence"] for line in out.splitlines()] == [5]


@pytest.mark.parametrize("command", ["verify", "export"])
def test_a_mistyped_data_directory_is_no_empty_audit(restnet_json, tmp_path, command):
    status, answer = restnet_json("audit", command, "--data-dir", tmp_path / "daat")
    assert (status, answer["error"]["code"]) == (2, "database_not_found")
