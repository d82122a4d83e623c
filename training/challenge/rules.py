"""The promotion gate: stated rules, each of which a challenger passes or fails with a reason.

Whether it is worse is asked as a non-inferiority trial asks it: the whole 95 % interval of the difference has
to lie above minus the margin. Few people leave a wide interval, and then the answer is no: not because the
challenger was shown to be worse, but because nobody has shown that it is not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

from scipy.stats import binomtest

from model.card import ModelCard
from training.challenge.leaks import Overlap
from training.challenge.side_by_side import Measured, SideBySide
from training.evidence.estimates import Estimate
from training.evidence.metrics import FIGURES

# A logit may differ by this much between the backend that serves and the networks themselves: a probability
# then differs by a quarter of it at most.
PARITY_LOGIT = 1e-3
# A promise of coverage counts as broken where it would be missed as far in one of 40 samples.
_COVERAGE_DOUBT = 0.025
_TOLD_BY: Mapping[str, str] = MappingProxyType(
    {"set": "trained on this very set", "cohort": "trained on the whole cohort that this set is taken from"}
)


@dataclass(frozen=True)
class Margins:
    """How much worse than the champion a challenger may be, and how much slower.

    Attributes
    ----------
    auc, sensitivity : float
        Shares; the interval of the difference lies above minus these.
    uncertain : float
        A share; the interval of the difference of uncertain answers lies below this.
    seconds_ratio : float
        Of the time to classify one scan.
    """

    auc: float = 0.05
    sensitivity: float = 0.10
    uncertain: float = 0.10
    seconds_ratio: float = 2.0


@dataclass(frozen=True)
class Rule:
    """One rule of the gate, and what it found.

    Attributes
    ----------
    name : str
        Stable, for programs.
    passed : bool
    expected, found : str
        As a person reads them.
    overridable : bool
        Whether a written reason can stand in for it.
    """

    name: str
    passed: bool
    expected: str
    found: str
    overridable: bool = True

    def to_json(self) -> dict[str, Any]:
        """Give every field."""
        return asdict(self)


def judge(
    together: SideBySide, challenger: ModelCard, *, overlap: Overlap | None, margins: Margins | None = None
) -> tuple[Rule, ...]:
    """Judge a challenger that was measured beside the champion.

    Parameters
    ----------
    together : SideBySide
    challenger : ModelCard
        For what it claims of itself.
    overlap : Overlap or None
        Who of the evaluation set it was trained on; None where nobody knows.
    margins : Margins, optional

    Returns
    -------
    tuple of Rule
        In the order in which a reader wants them: what makes all other figures worthless first.
    """
    margins = margins or Margins()
    new, old = together.challenger, together.champion
    return (
        _nobody_trained_on(overlap),
        evidence_finished(challenger),
        _claims_hold(challenger, new.evaluation.auc),
        Rule(
            "better_than_chance",
            new.evaluation.auc.low > 0.5,
            "an AUC whose 95 % interval lies above .5",
            _with_interval(new.evaluation.auc),
        ),
        _not_worse("auc", together.differences["auc"], margin=margins.auc),
        _not_worse("sensitivity", together.differences["sensitivity"], margin=margins.sensitivity),
        Rule(
            "calibrated",
            new.evaluation.ece <= new.calibration_limit,
            f"a calibration error of at most {new.calibration_limit:.3f}, which exact probabilities stay "
            "below in 95 of 100 such samples",
            f"{new.evaluation.ece:.3f}",
        ),
        *_coverage_kept(new),
        _decides_enough(together.differences["uncertain_share"], margin=margins.uncertain),
        backends_agree(
            f"{new.backend_difference:.1e} ({new.backend})", passed=new.backend_difference <= PARITY_LOGIT
        ),
        Rule(
            "fast_enough",
            new.seconds_per_scan <= margins.seconds_ratio * old.seconds_per_scan,
            f"at most {margins.seconds_ratio:g} times the champion's {old.seconds_per_scan:.3f} s a scan",
            f"{new.seconds_per_scan:.3f} s",
        ),
    )


def backends_agree(found: str, *, passed: bool) -> Rule:
    """Ask the backend that serves for the numbers of the networks themselves."""
    expected = f"logits of the backend that serves within {PARITY_LOGIT:g} of the networks' own"
    return Rule("backends_agree", passed, expected, found, overridable=False)


def evidence_finished(card: ModelCard) -> Rule:
    """Ask for cross-validated figures, each with an interval, under a protocol that leaks nothing.

    The rule needs the card alone.
    """
    metrics = card.metrics
    missing = [name for name in FIGURES if not _is_estimate(metrics.get(name))]
    protocol = metrics.get("protocol")
    found = []
    if missing:
        found.append(f"none for {', '.join(missing)}")
    if protocol != "nested":
        found.append(f"figures of the protocol {str(protocol or 'that nobody named')!r}")
    return Rule(
        "evidence_finished",
        not found,
        "figures with intervals, cross-validated under the protocol 'nested'",
        "; ".join(found) or "all of them",
    )


def failed(rules: Sequence[Rule]) -> tuple[Rule, ...]:
    """Give the rules that were not passed."""
    return tuple(rule for rule in rules if not rule.passed)


def _nobody_trained_on(overlap: Overlap | None) -> Rule:
    expected = "nobody of the evaluation set among the people that it was trained on"
    if overlap is None:
        return Rule(
            "no_leak",
            passed=False,
            expected=expected,
            found="no record of whom it was trained on, or that of another model",
        )
    found = f"{overlap.people} of {overlap.of}"
    if overlap.told_by is not None:
        found += f": {_TOLD_BY[overlap.told_by]}, by the fingerprint in its card"
    elif overlap.people:
        found += f" ({overlap.by_scan} by their scans, {overlap.by_name} by name)"
    return Rule("no_leak", passed=not overlap.people, expected=expected, found=found)


def _claims_hold(card: ModelCard, measured: Estimate) -> Rule:
    """Compare what the card claims with what is found on people whom nobody could have tuned to.

    A leak inside the cross-validation shows here: what it claims then lies above what is measured.
    """
    claimed = card.metrics.get("auc")
    expected = "an AUC in its card that these people bear out"
    if not isinstance(claimed, dict) or not _is_estimate(claimed):
        return Rule("claims_hold", passed=False, expected=expected, found="none in its card")
    low = float(str(claimed["low"]))
    return Rule(
        "claims_hold",
        low <= measured.high,
        expected,
        f"{float(str(claimed['value'])):.3f} claimed (from {low:.3f}), {_with_interval(measured)} here",
    )


def _not_worse(figure: str, difference: Estimate, *, margin: float) -> Rule:
    return Rule(
        f"{figure}_not_worse",
        difference.low > -margin,
        f"the interval of its difference to the champion's above -{margin:.2f}",
        _with_interval(difference, signed=True),
    )


def _coverage_kept(measured: Measured) -> tuple[Rule, ...]:
    """Hold conformal sets to their promise; a model without them promises nothing."""
    found, promised = measured.coverage, measured.promised_coverage
    if found is None or promised is None:
        return ()
    held = found.overall
    doubt = binomtest(held.hits, held.n, promised, alternative="less").pvalue
    return (
        Rule(
            "coverage_kept",
            bool(doubt >= _COVERAGE_DOUBT),
            f"sets that hold the diagnosis of {promised:.0%} of people, less what chance allows",
            f"{held.hits} of {held.n} ({held.value:.0%})",
        ),
    )


def _decides_enough(difference: Estimate, *, margin: float) -> Rule:
    """Ask that it decides about as often: sets keep any promise of coverage by holding both classes."""
    return Rule(
        "decides_enough",
        difference.high < margin,
        "the interval of the difference of its share of uncertain answers to the champion's below "
        f"+{margin:.2f}",
        _with_interval(difference, signed=True),
    )


def _is_estimate(found: object) -> bool:
    return isinstance(found, dict) and all(
        isinstance(found.get(name), int | float) for name in ("value", "low", "high")
    )


def _with_interval(estimate: Estimate, *, signed: bool = False) -> str:
    sign = "+" if signed else ""
    return f"{estimate.value:{sign}.3f} [{estimate.low:{sign}.3f}, {estimate.high:{sign}.3f}]"
