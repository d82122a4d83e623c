"""A report for programs: one object a run. Its members may grow in number, never change."""

from dataclasses import asdict

from imaging.words import counted
from training.evidence.conformal import Coverage
from training.evidence.estimates import Estimate
from training.evidence.groups import GroupEvaluation
from training.evidence.metrics import Evaluation
from training.evidence.published import published_beside
from training.evidence.report.banners import banners
from training.evidence.report.contents import CLASS_NAMES, METRICS, RunReport
from training.evidence.report.judging import answer
from training.evidence.report.side_by_side import Comparison
from training.evidence.report.wording import FEW_WORDS
from training.runs import FoldOutcome

Json = dict[str, object]


def run_json(report: RunReport, *, comparison: Comparison | None = None) -> Json:
    """Give the object of a run, as `restnet report --json` prints it.

    Parameters
    ----------
    report : RunReport
    comparison : Comparison, optional
        Of the runs that it is reported with.

    Returns
    -------
    dict
        JSON values; shares and areas from 0 to 1, rounded to four places.
    """
    data, overall, condition = report.data, report.overall, report.data.record.condition
    outcomes = {data.record.fold_names[outcome.fold]: outcome for outcome in data.outcomes}
    return {
        "run": data.name,
        "system": data.record.system,
        "title": report.title,
        "kind": report.method.kind,
        "regions": None if data.record.regions is None else data.record.regions.model_dump(),
        "network": report.network,
        "rnn": data.record.settings.get("rnn") if report.is_network else None,
        "protocol": data.record.settings.get("protocol"),
        "split": data.record.split,
        "cohort": {
            "name": data.record.cohort_name,
            "fingerprint": data.record.cohort_fingerprint,
            "condition": condition,
            "selection": data.record.selection,
            "simulated": data.record.simulated,
        },
        "added": None if data.record.added is None else data.record.added.model_dump(),
        "n": report.n,
        "n_cases": report.n_cases,
        "missing_folds": list(data.missing),
        "summary": answer(report),
        "warnings": [
            {"code": banner.code, "message": f"{banner.title}: {banner.text}"} for banner in banners(report)
        ],
        "overall": {
            **figures(overall),
            "average_precision": overall.average_precision.to_json(),
            "brier": overall.brier.to_json(),
            "within_fold_auc": _or_none(report.within_fold_auc),
        },
        "confusion": _confusion(overall),
        "baselines": {
            baseline.name: {
                **figures(baseline.evaluation),
                "confusion": _confusion(baseline.evaluation),
                "auc_difference": baseline.difference.to_json(),
            }
            for baseline in report.baselines
        },
        "imaging_adds_to_phenotype": {
            "auc_difference": _or_none(report.gain.gain),
            "together": _or_none(report.gain.together),
            "phenotype": _or_none(report.gain.phenotype),
            "reason": report.gain.reason,
        },
        "site": {
            "finding": report.site.finding,
            "verdict": report.site.sentence,
            "within_site_auc": _or_none(report.site.within_site),
            "site_alone_auc": report.site.site_alone.to_json(),
        },
        "folds": [
            {"fold": fold.name, **_group(fold, condition), "training": _training(outcomes[fold.name])}
            for fold in report.folds
        ],
        "sites": {site.name: _group(site, condition) for site in report.sites},
        "sexes": {sex.name: _group(sex, condition) for sex in report.sexes},
        "age_bands": {band.name: _group(band, condition) for band in report.age_bands},
        "calibration": {
            "ece": round(overall.ece, 4),
            "bins": [
                {
                    "low": round(bin_.low, 4),
                    "high": round(bin_.high, 4),
                    "n": bin_.n,
                    "mean_probability": round(bin_.mean_probability, 4),
                    "observed": bin_.observed.to_json(),
                }
                for bin_ in overall.reliability
            ],
        },
        "coverage": None if report.coverage is None else _coverage(report.coverage, report.coverage_level),
        "n_parameters": data.record.n_parameters,
        "training_seconds": round(report.training_seconds, 3),
        "devices": list(report.devices),
        "peak_memory_bytes": report.peak_memory_bytes,
        "comparison": None if comparison is None else _compared(report, comparison),
        "published": [asdict(row) for row in published_beside([condition])],
        "code_version": data.record.code_version,
    }


def figures(evaluation: Evaluation | GroupEvaluation) -> dict[str, dict[str, float] | None]:
    """Give the five figures of the interface, each with its interval; None where a class is missing."""
    return {name: _or_none(getattr(evaluation, name)) for name in METRICS}


def _confusion(counts: Evaluation | GroupEvaluation) -> dict[str, int]:
    return {"tp": counts.tp, "fn": counts.fn, "fp": counts.fp, "tn": counts.tn}


def _group(group: GroupEvaluation, condition: str) -> Json:
    reason = None
    if group.auc is None:
        reason = f"one class only: {group.n_cases} with {condition}, {counted(group.n_controls, 'control')}"
    return {
        "n": group.n,
        "n_cases": group.n_cases,
        **figures(group),
        "confusion": _confusion(group),
        "reason": reason,
        "auc_caution": FEW_WORDS if group.few else None,
    }


def _training(outcome: FoldOutcome) -> Json:
    found: Json = outcome.model_dump(exclude={"fold"})
    if outcome.conformal_quantiles is not None:
        quantiles = outcome.conformal_quantiles.items()
        found["conformal_quantiles"] = {CLASS_NAMES.get(name, name): value for name, value in quantiles}
    return found


def _compared(report: RunReport, comparison: Comparison) -> Json:
    row = comparison.of(report)
    return {
        "reference": comparison.reference,
        "is_reference": row.is_reference,
        "auc_difference": _or_none(row.above_reference),
        "ridge": row.ridge,
        "ridge_auc_difference": _or_none(row.above_ridge),
        "cautions": list(comparison.sentences),
    }


def _coverage(coverage: Coverage, level: float | None) -> Json:
    return {
        "level": level,
        "overall": coverage.overall.to_json(),
        "classes": {CLASS_NAMES[name]: share.to_json() for name, share in coverage.by_class.items()},
        "sites": {site: share.to_json() for site, share in coverage.by_site.items()},
        "sets": {"empty": coverage.n_empty, "single": coverage.n_single, "both": coverage.n_both},
        "single_right": None if coverage.single_right is None else coverage.single_right.to_json(),
    }


def _or_none(estimate: Estimate | None) -> dict[str, float] | None:
    return None if estimate is None else estimate.to_json()
