import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from model import demonstration_checkpoint
from model.card import ModelCard, parse_card, read_card
from model.errors import CheckpointCorruptError


def header_with(card):
    return json.dumps({"__metadata__": {"card": json.dumps(card)}}).encode()


def test_the_card_is_read_from_the_header_alone(checkpoint_file, card):
    length = int.from_bytes(checkpoint_file.read_bytes()[:8], "little")
    only_header = checkpoint_file.with_suffix(".header")
    only_header.write_bytes(checkpoint_file.read_bytes()[: 8 + length])
    assert read_card(only_header) == card


def test_a_header_longer_than_the_cap_is_not_read(tmp_path):
    path = tmp_path / "huge"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(CheckpointCorruptError, match="cap"):
        read_card(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("network", "E"),
        ("rnn", "transformer"),
        ("width", 0),
        ("width", 10_000),
        ("members", 0),
        ("threshold", 1.0),
        ("temperature", 0.0),
        ("temperature", float("nan")),
        ("decision_rule", "always"),
        ("intended_use", "clinical"),
        ("trained_on", ""),
        ("surprise", 1),
    ],
)
def test_a_card_that_means_nothing_is_refused_by_field(card, field, value):
    fields = json.loads(card.model_dump_json()) | {field: value}
    with pytest.raises(CheckpointCorruptError, match=field) as caught:
        parse_card(header_with(fields), name="x")
    assert caught.value.code == "checkpoint_corrupt"


def test_a_card_cannot_be_changed(card):
    with pytest.raises(ValidationError):
        card.threshold = 0.1


def test_a_card_survives_json(card):
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


@pytest.mark.parametrize(
    "statement",
    ["import model", "import model.card", "import model; model.read_card(model.demonstration_checkpoint())"],
)
def test_cards_are_read_without_torch(statement):
    code = f"{statement}; import sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_committed_demonstration_says_what_it_is():
    path = demonstration_checkpoint()
    card = read_card(path)
    assert path.stat().st_size < 10_000_000
    assert card.intended_use == "demonstration"
    assert "simulated" in card.trained_on
    assert (card.network, card.rnn, card.width, card.members) == ("C", "lstm", 4, 4)
    auc = card.metrics["auc"]
    assert auc["low"] <= auc["value"] <= auc["high"]
