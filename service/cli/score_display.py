"""What would have changed, as the command line says it."""

from typing import TYPE_CHECKING, Any

from service.cli.output import print_table, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from service.db.rows import RescoreRow, ShadowRow
    from service.scoring import Standing


def standing_of(standing: "Standing") -> dict[str, Any]:
    """Return where scores stand, as JSON."""
    return {**standing.by_state, "failed_by_code": standing.failed_by_code}


def say_standing(scores: "Mapping[str, Any]") -> None:
    """Print how many scores stand where, those that failed by what was wrong."""
    codes = scores["failed_by_code"]
    say(", ".join(f"{number} {state}" for state, number in scores.items() if state != "failed_by_code"))
    for code, number in sorted(codes.items()):
        say(f"{number} failed  [{code}]", fg="red")


def figures_of(session: "Session", cause: "ShadowRow | RescoreRow") -> dict[str, Any]:
    """Compute what would have changed, as JSON."""
    from dataclasses import asdict

    from service import scoring

    figures = asdict(scoring.compare(scoring.pairs_of(session, cause)))
    if figures["differences"] is not None:
        quantiles = figures["differences"]["quantiles"]
        figures["differences"]["quantiles"] = {f"{share:g}": value for share, value in quantiles.items()}
    return figures


def say_figures(figures: dict[str, Any]) -> None:
    """Print the decisions then and now, and how the probabilities differ."""
    if not figures["n"]:
        say("no score yet")
        return
    rows = [{"then": then} | now for then, now in figures["decisions"].items()]
    print_table(rows, ("then", *figures["decisions"]))
    changed = figures["changed"]
    say(
        f"another decision: {changed['count']} of {changed['of']} "
        f"({changed['value']:.1%}, 95% interval {changed['low']:.1%} to {changed['high']:.1%})"
    )
    differences = figures["differences"]
    say(f"probability: {differences['mean']:+.3f} on average, {differences['mean_absolute']:.3f} either way")
    for name, key in (("as answered", "agreement_then"), ("this model", "agreement_now")):
        agreement = figures[key]
        met = [
            f"{measure} {agreement[measure]['count']} of {agreement[measure]['of']}"
            for measure in ("sensitivity", "specificity")
        ]
        say(f"beside diagnoses, {name}: {', '.join(met)}")
