"""The rules of the promotion gate, on cards that meet them and cards that do not."""

from pathlib import Path
from typing import Any

import pytest

from model import demonstration_checkpoint
from model.card import read_card
from service.db.rows import ModelVersionRow
from service.registry import GateNotPassedError, ReasonNotValidError, evaluate_gate
from service.registry.gate import judge_card, require_passed
from service.storage import EncryptionKeyMissingError, FolderStorage, StorageUnavailableError
from tests.service.registry.conftest import CARD, FIGURE, Registry


def version(**changes: Any) -> ModelVersionRow:
    return ModelVersionRow(id=str(changes), name="n", version="1", sha256="a" * 64, card=CARD | changes)


def failed(**changes: Any) -> dict[str, str]:
    rules = judge_card(version(**changes), champion=version())
    return {rule.name: rule.found for rule in rules if rule.passed is False}


def test_the_demonstration_passes_whatever_answers() -> None:
    card = read_card(demonstration_checkpoint()).model_dump(mode="json")
    for champion in (None, version(preprocessing=card["preprocessing"])):
        rules = judge_card(version(**card), champion=champion)
        assert {rule.passed for rule in rules} <= {True, None}
        assert require_passed(rules, override_reason=None) is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {}),
        ({"metrics": CARD["metrics"] | {"protocol": "paper"}}, {"protocol": "paper"}),
        ({"metrics": CARD["metrics"] | {"protocol": None}}, {"protocol": "none"}),
        (
            {"metrics": CARD["metrics"] | {"auc": {"value": 0.9}, "specificity": FIGURE | {"low": None}}},
            {"evidence_complete": "without: auc, specificity"},
        ),
        (
            {"preprocessing": CARD["preprocessing"] | {"tr_s": 1.5}},
            {"preprocessing_unchanged": "tr_s: 1.5 instead of 2.0"},
        ),
        (
            {"preprocessing": CARD["preprocessing"] | {"version": 2}},
            {"preprocessing_known": "version: 2", "preprocessing_unchanged": "version: 2 instead of 1"},
        ),
        (
            {"preprocessing": CARD["preprocessing"] | {"band_hz": [0.1]}},
            {
                "preprocessing_known": "fields that do not read",
                "preprocessing_unchanged": "band_hz: [0.1] instead of [0.009, 0.08]",
            },
        ),
    ],
)
def test_a_rule_says_what_it_found(changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert failed(**changes) == expected


def test_a_first_model_is_compared_with_none() -> None:
    rules = judge_card(version(), champion=None)
    [compared] = [rule for rule in rules if rule.name == "preprocessing_unchanged"]
    assert (compared.passed, compared.found) == (None, "no other model answers")


def test_a_file_is_intact_missing_damaged_or_out_of_reach(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = registry.add("1")

    def found() -> tuple[bool | None, str, bool]:
        rule = evaluate_gate(registry.storage, added, champion=None, compared=())[0]
        return rule.passed, rule.found, rule.overridable

    assert found() == (True, "as expected", False)
    registry.damage(added)
    passed, digest, overridable = found()
    assert (passed, len(digest), overridable) == (False, 64, False)
    registry.lose(added)
    assert found() == (False, "no file", False)

    for outage in (StorageUnavailableError("away"), EncryptionKeyMissingError(n_keys=0)):

        def away(_self: FolderStorage, _key: str, *, compare: bool, why: Exception = outage) -> Path:
            assert not compare
            raise why

        monkeypatch.setattr(FolderStorage, "open_local", away)
        assert found() == (None, "storage is away", False)


def test_a_file_with_weights_that_are_no_numbers_is_not_intact(registry: Registry) -> None:
    broken = registry.add_broken("1")
    rule = evaluate_gate(registry.storage, broken, champion=None, compared=())[0]
    assert (rule.name, rule.passed, rule.overridable) == ("file_intact", False, False)
    assert rule.found == "NaN or infinite values"


def test_what_may_be_overruled_needs_a_reason_that_says_something() -> None:
    rules = judge_card(version(metrics={}), champion=None)
    with pytest.raises(GateNotPassedError, match=r"protocol: expected nested, found none") as refused:
        require_passed(rules, override_reason=None)
    assert [rule["name"] for rule in refused.value.rules] == ["evidence_complete", "protocol"]
    with pytest.raises(ReasonNotValidError, match="of 10 to 1000 characters, found 2"):
        require_passed(rules, override_reason=" ok ")
    kept = require_passed(rules, override_reason="an older card, measured by hand")
    assert kept is not None
    assert kept["reason"] == "an older card, measured by hand"
    assert [rule["found"] for rule in kept["rules"]] == [
        "without: auc, balanced_accuracy, sensitivity, specificity",
        "none",
    ]


def test_an_unknown_preprocessing_cannot_be_overruled() -> None:
    rules = judge_card(version(preprocessing={"version": 2}), champion=None)
    with pytest.raises(GateNotPassedError):
        require_passed(rules, override_reason="nobody may do this")
