"""Describing the people of a training in figures that single nobody out, for the model's card."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean

import numpy as np

from model.population import FEWEST_FOR_TAILS, FigureName, Population, RepetitionTime, Spread
from training.cohort.phenotypes.adhd200 import site_name
from training.cohort.store.cohort_store import CohortStore
from training.cohort.store.index import StoredScan
from training.cohort.subjects import Subject

_QUANTILES: Mapping[str, float] = {
    "minimum": 0.0,
    "p1": 0.01,
    "p5": 0.05,
    "p25": 0.25,
    "p50": 0.5,
    "p75": 0.75,
    "p95": 0.95,
    "p99": 0.99,
    "maximum": 1.0,
}
_MIDDLE = ("p25", "p50", "p75")
# As a scan's quality report has them; series of parcels, and cohorts of earlier versions, lack some.
_OF_THE_REPORT: tuple[FigureName, ...] = ("tsnr", "dvars_max", "template_coverage", "in_band_power")
# The last places of a figure differ between processors.
_DECIMALS = 4
# Repetition times that are one in the protocol differ by rounding in the files.
_TR_DECIMALS = 3


def describe_population(
    store: CohortStore,
    subjects: Sequence[Subject],
    *,
    added: tuple[CohortStore, Sequence[Subject]] | None = None,
) -> Population:
    """Describe exactly these people, from what the cohort keeps of them and their scans.

    Parameters
    ----------
    store : CohortStore
    subjects : sequence of Subject
        Of this store, labelled.
    added : (CohortStore, sequence of Subject), optional
        Others who are trained on beside them. What their sites are called was typed by somebody, so it is
        told only where ADHD-200 has the name.

    Returns
    -------
    Population
        Names sites only where nobody exists, or where ADHD-200 has them.
    """
    made_up = store.simulated and not store.mixed
    of_each = [(subject, store.scans_of(subject.subject_id)) for subject in subjects]
    at_sites = Counter(_public_name(subject.site, made_up=made_up) for subject in subjects)
    if added is not None:
        of_each += [(subject, added[0].scans_of(subject.subject_id)) for subject in added[1]]
        at_sites += Counter(_public_name(subject.site, made_up=False) for subject in added[1])
    subjects, scans = [subject for subject, _ in of_each], [own for _, own in of_each]
    tr_s = Counter(tr for own in scans for tr in {round(scan.tr_s, _TR_DECIMALS) for scan in own})
    return Population(
        subjects=len(subjects),
        cases=sum(subject.label == 1 for subject in subjects),
        controls=sum(subject.label == 0 for subject in subjects),
        sex={sex: sum(subject.sex == sex for subject in subjects) for sex in ("female", "male")},
        sites={site: n for site, n in sorted(at_sites.items()) if site},
        subjects_at_unnamed_sites=at_sites[""],
        repetition_times=tuple(RepetitionTime(tr_s=tr, subjects=n) for tr, n in sorted(tr_s.items())),
        figures=_figures(subjects, scans),
    )


def _public_name(site: str, *, made_up: bool) -> str:
    """Give the name that may be told of a site; empty where a hospital's own would be."""
    return site if made_up else site_name(site) or ""


def _figures(subjects: Sequence[Subject], scans: Sequence[Sequence[StoredScan]]) -> dict[FigureName, Spread]:
    known: dict[FigureName, list[float]] = {
        "age_years": [subject.age_years for subject in subjects if subject.age_years is not None],
        "tr_s": _by_person([scan.tr_s for scan in own] for own in scans),
        "n_frames": _by_person([scan.n_frames for scan in own] for own in scans),
        "duration_s": _by_person([scan.n_frames * scan.tr_s for scan in own] for own in scans),
        "dvars_mean": _by_person([scan.dvars_mean for scan in own] for own in scans),
        "spike_share": _by_person([_spike_share(scan) for scan in own] for own in scans),
    }
    for name in _OF_THE_REPORT:
        known[name] = _by_person([scan.quality.get(name) for scan in own] for own in scans)
    return {name: _spread(values) for name, values in known.items()}


def _by_person(of_scans: Iterable[Sequence[float | None]]) -> list[float]:
    """Give the mean over each person's scans, of those of whom it is known."""
    known = ([value for value in values if value is not None] for values in of_scans)
    return [fmean(values) for values in known if values]


def _spike_share(scan: StoredScan) -> float | None:
    return None if scan.spikes is None or scan.n_frames < 2 else scan.spikes / (scan.n_frames - 1)


def _spread(values: Sequence[float]) -> Spread:
    if not values:
        return Spread(n_known=0)
    told = _QUANTILES if len(values) >= FEWEST_FOR_TAILS else _MIDDLE
    quantiles = np.quantile(values, [_QUANTILES[name] for name in told])
    rounded = {name: round(float(value), _DECIMALS) for name, value in zip(told, quantiles, strict=True)}
    return Spread(n_known=len(values), **rounded)
