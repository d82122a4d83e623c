"""The registry of checkpoints from the command line."""

import pytest

from model import demonstration_checkpoint
from model.card import read_card


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


def test_the_last_import_answers_and_the_same_bytes_are_one_version(at, other, restnet_json):
    _, first = restnet_json("models", "import", *at)
    _, second = restnet_json("models", "import", other, *at)
    assert (second["version"], second["active"]) != (first["version"], first["active"])
    _, again = restnet_json("models", "import", *at)
    assert again["id"] == first["id"]
    _, listed = restnet_json("models", "list", *at)
    assert [(row["id"], row["active"]) for row in listed] == [(first["id"], True), (second["id"], False)]


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
