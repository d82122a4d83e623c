"""How often the drift alarm rings for nothing, and how often it hears what it is for.

Values are drawn of one population: a reference, and for every repeat twelve weeks of scans of three sites.
Counted are the evaluations with any alarm over weeks of the same population (false); the same where every
third person comes three times a week and each scan is taken for another person's, as the service does not do;
and, of a quarter of the repeats, those that hear what happens to the last week of one site (power).

    python benchmarks/drift_alarm.py --repeats 150 --out benchmarks/results/drift_alarm.json
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from service.drift.judging import Rule, SeenScan, judge
from service.drift.outcomes import described_share
from service.drift.reference import Reference, Scan, build_reference

WEEKS = [f"2026-W{number:02d}" for number in range(1, 13)]
SITES = {"a": 15, "b": 25, "c": 40}
PEOPLE = 100
# What happens to the 25 scans of one week and site; noise in standard deviations of the people's own spread.
CHANGES: dict[str, dict[str, Any]] = {
    "another_tr": {"other_tr": True},
    "noise_of_half_a_sd": {"noise": 0.5},
    "noise_of_one_sd": {"noise": 1.0},
    "noise_of_two_sd": {"noise": 2.0},
    "another_tr_and_noise_of_one_sd": {"other_tr": True, "noise": 1.0},
}


def draw(generator: np.random.Generator, n: int, *, other_tr: bool = False, noise: float = 0.0) -> list[Scan]:
    """Draw scans like those of ADHD-200: three repetition times, figures that go together by the person."""
    scans = []
    for _ in range(n):
        quality = generator.normal()
        tr_s = 1.5 if other_tr else float(generator.choice([2.0, 2.5, 1.96], p=[0.6, 0.3, 0.1]))
        n_frames = int(generator.choice([74, 120, 172, 232], p=[0.2, 0.3, 0.3, 0.2]))
        embedding = generator.normal(size=16) * np.linspace(0.5, 4, 16) + 0.5 * quality + noise
        probability = float(1 / (1 + np.exp(-generator.normal())))
        scans.append(
            Scan(
                figures={
                    "tr_s": tr_s,
                    "grid": "49x58x47, 4.00x4.00x4.00 mm",
                    "n_frames": float(n_frames),
                    "duration_s": n_frames * tr_s,
                    "tsnr": float(np.exp(4 - 0.2 * (quality + noise) + 0.1 * generator.normal())),
                    "dvars_mean": float(1 + 0.04 * (quality + noise) + 0.02 * generator.normal()),
                    "dvars_max": float(np.exp(0.4 + 0.2 * (quality + noise) + 0.1 * generator.normal())),
                    "spike_share": float(generator.binomial(n_frames - 1, 0.03) / (n_frames - 1)),
                    "template_coverage": float(generator.beta(80, 2)),
                    "in_band_power": float(generator.beta(20, 20)),
                },
                embedding=embedding.tolist(),
                probability=probability,
                decision="uncertain"
                if 0.4 < probability < 0.6
                else "adhd"
                if probability > 0.5
                else "control",
            )
        )
    return scans


def weeks_of(generator: np.random.Generator, weeks: list[str], **changed: Any) -> list[SeenScan]:
    """Draw some weeks; the last one of site b is changed."""
    seen = []
    for week in weeks:
        for site, n in SITES.items():
            of_this = changed if (week, site) == (weeks[-1], "b") else {}
            seen += [SeenScan(week=week, site=site, **vars(scan)) for scan in draw(generator, n, **of_this)]
    return seen


def with_repeats(scans: list[SeenScan]) -> list[SeenScan]:
    """Let every third person come three times, each time alike."""
    return [*scans, *scans[::3], *scans[::3]]


def any_alarm(scans: list[SeenScan], reference: Reference, *, week: str | None = None) -> bool:
    findings = judge(scans, reference)
    return any(finding.alarm for finding in findings if week is None or finding.week == week)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=150)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    generator = np.random.default_rng(2026)
    alarms: list[bool] = []
    repeated: list[bool] = []
    heard: dict[str, list[bool]] = {name: [] for name in CHANGES}
    for number in range(asked.repeats):
        # A reference of its own each time: what one that was drawn unluckily does must count too.
        reference = build_reference(draw(generator, PEOPLE), fitted=False)
        scans = weeks_of(generator, WEEKS)
        # One a person and week, as the service takes them.
        alarms.append(any_alarm(scans, reference))
        repeated.append(any_alarm(with_repeats(scans), reference))
        if number % 4 == 0:
            for name, change in CHANGES.items():
                scans = weeks_of(generator, WEEKS, **change)
                heard[name].append(any_alarm(scans, reference, week=WEEKS[-1]))
    results: dict[str, Any] = {
        "command": f"python benchmarks/drift_alarm.py --repeats {asked.repeats} --out {asked.out}",
        "rule": vars(Rule()),
        "reference_people": PEOPLE,
        "weeks": len(WEEKS),
        "scans_a_week_by_site": SITES,
        "false_alarm_an_evaluation": described_share(sum(alarms), len(alarms)),
        "false_alarm_where_repeats_count_as_people": described_share(sum(repeated), len(repeated)),
        "power": {name: described_share(sum(found), len(found)) for name, found in heard.items()},
    }
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
