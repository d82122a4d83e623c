"""The registry of checkpoints from the command line."""

import json
import sqlite3
from contextlib import closing

import pytest

from model import demonstration_checkpoint
from model.card import read_card
from service.db.engine import make_engine, session_factory
from service.registry import promoting
from tests.service.drift.drift_rows import add_reference

# No set of people to compare on is chosen: whoever promotes has to say why nothing was compared.
UNCOMPARED = ("--override-reason", "there are no people to compare them on")


@pytest.fixture
def at(tmp_path):
    return "--data-dir", tmp_path / "data"


@pytest.fixture
def other(tmp_path):
    """The demonstration model's weights under another version."""
    content = demonstration_checkpoint().read_bytes()
    version = read_card(demonstration_checkpoint()).version.encode()
    changed = content.replace(b'\\"version\\":\\"' + version, b'\\"version\\":\\"' + b"x" * len(version), 1)
    assert changed != content
    path = tmp_path / "other.safetensors"
    path.write_bytes(changed)
    return path


def test_the_demonstration_model_answers_where_none_is_named(at, restnet, restnet_json):
    status, told, _ = restnet("models", "import", *at)
    card = read_card(demonstration_checkpoint())
    assert status == 0
    assert told.startswith(f"{card.name} {card.version} answers now (demonstration, ")
    _, [listed] = restnet_json("models", "list", *at)
    assert listed["active"] is True
    assert listed["sha256"] in told


def test_others_write_while_a_file_is_read_through(at, tmp_path, restnet, monkeypatch):
    wrote = []

    def meanwhile(_storage, _version):
        with closing(sqlite3.connect(tmp_path / "data" / "restnet.db", timeout=0)) as other:
            other.execute("BEGIN IMMEDIATE")
            wrote.append(other.execute("SELECT count(*) FROM model_versions").fetchone())

    monkeypatch.setattr(promoting, "require_intact", meanwhile)
    assert restnet("models", "import", *at)[0] == 0
    assert wrote == [(1,)]


def test_a_further_import_is_registered_and_answers_when_it_is_promoted(at, other, restnet, restnet_json):
    _, first = restnet_json("models", "import", *at)
    status, told, _ = restnet("models", "import", other, *at)
    assert status == 0
    assert "does not answer yet" in told
    _, [kept, second] = restnet_json("models", "list", *at)
    assert (kept["id"], kept["active"], second["active"]) == (first["id"], True, False)
    assert (second["answering_since"], second["added_by"]) == (None, "command-line")

    _, promoted = restnet_json("models", "promote", second["version"], "--reason", "better", *UNCOMPARED, *at)
    assert (promoted["model_version_id"], promoted["kind"]) == (second["id"], "promotion")
    _, again = restnet_json("models", "promote", second["id"], "--reason", "better", *at)
    assert again["error"]["code"] == "model_already_active"
    status, usage = restnet_json("models", "rollback", *at)
    assert (status, usage["error"]["code"]) == (2, "usage")
    status, silent = restnet_json("models", "rollback", "--reason", " ", *at)
    assert (status, silent["error"]["code"]) == (2, "reason_not_valid")
    _, back = restnet_json("models", "rollback", "--reason", "worse", *at)
    assert (back["model_version_id"], back["reason"], back["skipped"]) == (first["id"], "worse", [])
    _, nowhere = restnet_json("models", "rollback", "--reason", "worse", *at)
    assert nowhere["error"]["code"] == "nothing_to_roll_back_to"

    _, history = restnet_json("models", "history", *at)
    assert [(row["number"], row["kind"], row["reason"]) for row in history] == [
        (3, "rollback", "worse"),
        (2, "promotion", "better"),
        (1, "first", "imported where no model answered"),
    ]
    assert history[0]["started_at"] == history[1]["ended_at"]
    assert {row["by"] for row in history} == {"command-line"}
    status, table, _ = restnet("models", "history", *at)
    assert (status, len(table.splitlines())) == (0, 4)


def test_a_promotion_says_that_the_drift_reference_is_another_models(
    at, other, tmp_path, restnet, restnet_json
):
    _, first = restnet_json("models", "import", *at)
    _, second = restnet_json("models", "import", other, *at)
    engine = make_engine(f"sqlite:///{tmp_path / 'data' / 'restnet.db'}")
    with closing(engine.raw_connection()), session_factory(engine).begin() as session:
        add_reference(session, first["id"])
    engine.dispose()
    _, promoted = restnet_json("models", "promote", second["id"], "--reason", "better", *UNCOMPARED, *at)
    assert [one["code"] for one in promoted["warnings"]] == ["reference_of_another_model"]
    status, back = restnet_json("models", "rollback", "--reason", "worse", *at)
    assert (status, back["warnings"]) == (0, [])
    _, _, told = restnet("models", "promote", second["id"], "--reason", "better", *UNCOMPARED, *at)
    assert "belongs to RestNet demonstration" in told
    assert "[reference_of_another_model]" in told


def test_an_import_can_be_promoted_at_once_and_the_same_bytes_are_one_version(at, other, restnet_json):
    _, first = restnet_json("models", "import", *at)
    _, second = restnet_json("models", "import", other, "--promote", "--reason", "better", *UNCOMPARED, *at)
    assert second["active"] is True
    _, again = restnet_json("models", "import", *at)
    assert (again["id"], again["active"]) == (first["id"], False)
    _, listed = restnet_json("models", "list", *at)
    assert [(row["id"], row["active"]) for row in listed] == [(first["id"], False), (second["id"], True)]


def test_a_model_that_fails_the_gate_needs_somebody_who_says_why(at, tmp_path, restnet, restnet_json):
    restnet_json("models", "import", *at)
    paper = tmp_path / "paper.safetensors"
    content = demonstration_checkpoint().read_bytes()
    paper.write_bytes(content.replace(b'\\"protocol\\":\\"nested\\"', b'\\"protocol\\":\\"paper\\" ', 1))
    _, registered = restnet_json("models", "import", paper, *at)
    status, refused = restnet_json("models", "promote", registered["id"], "--reason", "x", *at)
    assert (status, refused["error"]["code"]) == (2, "gate_not_passed")
    assert [rule["found"] for rule in refused["error"]["rules"]] == [
        "paper",
        "no evaluation set is in use: choose one, then compare",
    ]
    _, exported, _ = restnet("audit", "export", *at)
    told = [json.loads(line) for line in exported.splitlines()]
    [event] = [event for event in told if event["action"] == "model.promotion_refused"]
    assert event["subject_id"] == registered["id"]
    assert event["details"]["rules"] == ["protocol", "compared_with_champion"]
    allow = ("--override-reason", "to compare with the paper")
    status, _, said = restnet("models", "promote", registered["id"], "--reason", "x", *allow, *at)
    assert (status, said.strip()) == (0, "overruled: protocol, compared_with_champion")
    _, history = restnet_json("models", "history", *at)
    assert history[0]["overridden"]["reason"] == "to compare with the paper"


def test_a_rollback_names_what_it_passed_over(at, other, tmp_path, restnet, restnet_json):
    _, first = restnet_json("models", "import", *at)
    restnet_json("models", "import", other, "--promote", *UNCOMPARED, *at)
    [file] = (tmp_path / "data" / "storage" / "models").glob(f"{first['sha256']}*")
    file.unlink()
    status, refused = restnet_json("models", "rollback", "--reason", "worse", *at)
    assert (status, refused["error"]["code"]) == (2, "nothing_to_roll_back_to")
    assert [one["code"] for one in refused["error"]["skipped"]] == ["checkpoint_missing"]


def test_a_name_that_no_model_or_several_have_is_refused(at, other, restnet_json):
    _, first = restnet_json("models", "import", *at)
    status, refused = restnet_json("models", "promote", "no-such", "--reason", "x", *at)
    assert (status, refused["error"]["code"]) == (2, "model_not_found")
    changed = other.read_bytes().replace(b"effect size 0.5", b"effect size 0.6")
    version = read_card(other).version.encode()
    same = changed.replace(
        b'\\"version\\":\\"' + version, b'\\"version\\":\\"' + first["version"].encode(), 1
    )
    other.write_bytes(same)
    restnet_json("models", "import", other, *at)
    status, refused = restnet_json("models", "promote", first["version"], "--reason", "x", *at)
    assert (status, refused["error"]["code"], refused["error"]["found"]) == (2, "model_ambiguous", 2)


def test_a_first_start_leaves_what_answers_already(at, other, restnet_json):
    _, chosen = restnet_json("models", "import", other, "--if-none", *at)
    _, kept = restnet_json("models", "import", "--if-none", *at)
    assert kept["id"] == chosen["id"]
    assert len(restnet_json("models", "list", *at)[1]) == 1


def test_what_is_no_checkpoint_is_refused_and_changes_nothing(at, tmp_path, restnet_json):
    _, first = restnet_json("models", "import", *at)
    wrong = tmp_path / "notes.txt"
    wrong.write_text("nothing to see")
    status, answer = restnet_json("models", "import", wrong, *at)
    assert status == 2
    assert answer["error"]["code"] == "checkpoint_corrupt"
    assert restnet_json("models", "list", *at)[1] == [first]


def test_a_file_that_does_not_load_is_refused_and_changes_nothing(at, other, tmp_path, restnet_json):
    _, first = restnet_json("models", "import", *at)
    content = other.read_bytes()
    broken = tmp_path / "broken.safetensors"
    middle = len(content) // 2
    broken.write_bytes(content[:middle] + b"\xff" * 1000 + content[middle + 1000 :])
    status, answer = restnet_json("models", "import", broken, *at)
    assert (status, answer["error"]["code"]) == (2, "checkpoint_mismatch")
    assert "finite weights in 'members." in answer["error"]["expected"]
    # Whole and finite, and of another network than its card names.
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(content.replace(b'\\"width\\":4', b'\\"width\\":5', 1))
    assert foreign.read_bytes() != content
    status, answer = restnet_json("models", "import", foreign, *at)
    assert (status, answer["error"]["code"]) == (2, "checkpoint_mismatch")
    assert restnet_json("models", "list", *at)[1] == [first]
