"""The promotion gate: rules that a version has to meet before it answers, judged without any data.

A rule that needs a data set is evaluated by a worker and joins these as another :class:`Rule`
(:mod:`service.registry.comparison`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from imaging.spec import PreprocessingSpec, PreprocessingSpecError
from service.db.rows import ModelVersionRow
from service.registry.errors import CheckpointDamagedError, CheckpointMissingError, GateNotPassedError
from service.registry.intactness import require_intact
from service.registry.reasons import OVERRIDE_REASON_MIN_LENGTH, checked_reason
from service.storage import EncryptionKeyMissingError, Storage, StorageUnavailableError

MEASURED = ("auc", "balanced_accuracy", "sensitivity", "specificity")
"""What a card has to give with an interval each."""
PROTOCOL = "nested"
"""The protocol whose figures were measured on people that nothing was chosen by (docs/science.md)."""
FILE_INTACT = "file_intact"
PREPROCESSING_UNCHANGED = "preprocessing_unchanged"
AS_EXPECTED = "as expected"
NO_OTHER_MODEL = "no other model answers"


@dataclass(frozen=True)
class Rule:
    """One rule, judged.

    Attributes
    ----------
    name : str
        Stable, for programs and translations.
    passed : bool or None
        None where it could not be judged, or there is nothing to compare with; that holds nobody up.
    expected, found : str
    overridable : bool
        Whether a person may overrule it and say why.
    """

    name: str
    passed: bool | None
    expected: str
    found: str
    overridable: bool


def evaluate_gate(
    storage: Storage,
    version: ModelVersionRow,
    *,
    champion: ModelVersionRow | None,
    compared: Sequence[Rule],
) -> tuple[Rule, ...]:
    """Judge every rule for a version.

    Parameters
    ----------
    storage : Storage
        Its file is read through.
    version : ModelVersionRow
    champion : ModelVersionRow or None
        The one that answers; None where none does.
    compared : sequence of Rule
        Of :func:`service.registry.comparison.judge_comparison`, which needs the database and no file.
    """
    return (_file_intact(storage, version), *judge_card(version, champion=champion), *compared)


def judge_card(version: ModelVersionRow, *, champion: ModelVersionRow | None) -> tuple[Rule, ...]:
    """Judge what a version's card says; parameters as :func:`evaluate_gate` takes them."""
    card = version.card
    reference = None if champion is None or champion.id == version.id else champion.card
    return (
        _preprocessing_known(card),
        _preprocessing_unchanged(card, reference),
        _evidence_complete(card),
        _protocol(card),
    )


def require_runnable(storage: Storage, version: ModelVersionRow) -> None:
    """Refuse a version that could not answer a single scan here, whatever it is wanted for.

    Raises
    ------
    CheckpointMissingError, CheckpointDamagedError
        If its file is gone, or not the one that was registered.
    GateNotPassedError
        If this RestNet does not carry its preprocessing out.
    """
    # As a promotion says it: what is wrong with a file has codes of its own.
    require_intact(storage, version)
    require_passed([_preprocessing_known(version.card)], override_reason=None)


def require_passed(rules: Sequence[Rule], *, override_reason: str | None) -> dict[str, Any] | None:
    """Let a version through whose rules hold, or whose failed rules may be and are overruled.

    Parameters
    ----------
    rules : sequence of Rule
    override_reason : str or None
        Why the failed rules shall not matter.

    Returns
    -------
    dict or None
        What was overruled and why, as a deployment keeps it; None where nothing had to be.

    Raises
    ------
    GateNotPassedError
        If a rule failed that cannot be overruled, or nobody said why it should be.
    ReasonNotValidError
        If the reason is too short to be one.
    """
    failed = [rule for rule in rules if rule.passed is False]
    if not failed:
        return None
    told = [{key: value for key, value in asdict(rule).items() if key != "passed"} for rule in failed]
    if override_reason is None or not all(rule.overridable for rule in failed):
        raise GateNotPassedError(rules=told)
    reason = checked_reason(override_reason, least=OVERRIDE_REASON_MIN_LENGTH)
    return {"reason": reason, "rules": told}


def _file_intact(storage: Storage, version: ModelVersionRow) -> Rule:
    passed: bool | None = False
    try:
        require_intact(storage, version)
        passed, found = True, AS_EXPECTED
    except CheckpointMissingError:
        found = "no file"
    except CheckpointDamagedError as error:
        found = error.found
    except (EncryptionKeyMissingError, StorageUnavailableError):
        passed, found = None, "storage is away"
    return Rule(FILE_INTACT, passed, f"sha256 {version.sha256}", found, overridable=False)


def _preprocessing_known(card: Mapping[str, Any]) -> Rule:
    expected = "a preprocessing that this version of RestNet carries out"
    try:
        PreprocessingSpec.from_json(card.get("preprocessing") or {})
    except PreprocessingSpecError as error:
        found = f"{error.field}: {error.found}"
    except (TypeError, ValueError, IndexError, AttributeError):
        found = "fields that do not read"
    else:
        found = AS_EXPECTED
    return Rule("preprocessing_known", found == AS_EXPECTED, expected, found, overridable=False)


def _preprocessing_unchanged(card: Mapping[str, Any], reference: Mapping[str, Any] | None) -> Rule:
    expected = "the preprocessing of the model that answers"
    if reference is None:
        return Rule(PREPROCESSING_UNCHANGED, None, expected, NO_OTHER_MODEL, overridable=False)
    own, theirs = preprocessing_of(card), preprocessing_of(reference)
    changed = sorted(field for field in own.keys() | theirs.keys() if own.get(field) != theirs.get(field))
    found = ", ".join(f"{field}: {own.get(field)} instead of {theirs.get(field)}" for field in changed)
    return Rule(PREPROCESSING_UNCHANGED, not changed, expected, found or AS_EXPECTED, overridable=False)


def preprocessing_of(card: Mapping[str, Any]) -> dict[str, Any]:
    """Give a card's preprocessing with every field: one that is not written has its default."""
    return PreprocessingSpec().to_json() | (card.get("preprocessing") or {})


def _evidence_complete(card: Mapping[str, Any]) -> Rule:
    metrics = card.get("metrics") or {}
    lacking = [name for name in MEASURED if not _has_interval(metrics.get(name))]
    found = "without: " + ", ".join(lacking) if lacking else AS_EXPECTED
    expected = f"{', '.join(MEASURED)}, each with an interval"
    return Rule("evidence_complete", not lacking, expected, found, overridable=True)


def _protocol(card: Mapping[str, Any]) -> Rule:
    protocol = (card.get("metrics") or {}).get("protocol")
    return Rule(
        "protocol",
        protocol == PROTOCOL,
        PROTOCOL,
        AS_EXPECTED if protocol == PROTOCOL else str(protocol or "none"),
        overridable=True,
    )


def _has_interval(figure: object) -> bool:
    return isinstance(figure, Mapping) and all(
        isinstance(figure.get(key), int | float) for key in ("value", "low", "high")
    )
