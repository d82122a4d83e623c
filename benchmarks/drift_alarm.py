"""How often the drift alarm rings for nothing, and how often it hears what it is for.

Values are drawn of one population: a reference, and for every repeat twelve weeks of scans of three sites,
each with a repetition time and a length of its own and figures above or below the others'. The reference
names its sites as the scans do, or it does not, and each site is then compared with its own first weeks.
Counted are the evaluations with any alarm over weeks of the same population (false), also where the last week
is looked at every day as it fills; those where every third person comes three times a week and each scan is
taken for another person's, as the service does not do; and, of a quarter of the repeats, those that hear what
happens to the last week of one site (power).

    python benchmarks/drift_alarm.py --repeats 150 --out benchmarks/results/drift_alarm.json
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from service.drift.baselines import baselines_of
from service.drift.judging import Finding, Rule, compare, correct
from service.drift.outcomes import described_share
from service.drift.reference import build_reference
from service.drift.scans import Scan, SeenScan
from service.drift.variables import NOT_GIVEN

WEEKS = [f"2026-W{number:02d}" for number in range(1, 13)]
# Scans a week, repetition time, frames, and how far its figures lie from the middle, in standard deviations
# between people.
SITES = {"a": (15, 2.5, 120, -0.8), "b": (25, 2.0, 172, 0.0), "c": (40, 1.96, 232, 0.8)}
PEOPLE = 100
# The rule's own level, and one so loose that it rings often enough to tell what looking again adds.
LEVELS = (Rule().level, 0.1)
# What happens to the 25 scans of one week and site; noise in standard deviations of the people's own spread.
CHANGES: dict[str, dict[str, Any]] = {
    "another_tr": {"other_tr": True},
    "noise_of_half_a_sd": {"noise": 0.5},
    "noise_of_one_sd": {"noise": 1.0},
    "noise_of_two_sd": {"noise": 2.0},
    "another_tr_and_noise_of_one_sd": {"other_tr": True, "noise": 1.0},
    "intensity_doubled": {"brighter": 2.0},
}


def draw(
    generator: np.random.Generator,
    sites: list[str],
    *,
    other_tr: bool = False,
    noise: float = 0.0,
    brighter: float = 1.0,
) -> list[Scan]:
    """Draw a scan of each site that is named, like those of ADHD-200: figures go together by the person.

    Intensities are log-normal, two thirds of them within a factor of 1.65 of the median: scanners and coils
    of several sites.
    """
    scans = []
    for site in sites:
        _, own_tr_s, n_frames, apart = SITES[site]
        quality = apart + generator.normal()
        tr_s = 1.5 if other_tr else own_tr_s
        embedding = generator.normal(size=16) * np.linspace(0.5, 4, 16) + 0.5 * quality + noise
        probability = float(1 / (1 + np.exp(-generator.normal())))
        tsnr = float(np.exp(4 - 0.2 * (quality + noise) + 0.1 * generator.normal()))
        intensity = brighter * float(np.exp(7 + 0.5 * generator.normal()))
        scans.append(
            Scan(
                figures={
                    "tr_s": tr_s,
                    "grid": "49x58x47, 4.00x4.00x4.00 mm",
                    "n_frames": float(n_frames),
                    "duration_s": n_frames * tr_s,
                    "tsnr": tsnr,
                    "mean_intensity": intensity,
                    "temporal_sd": intensity / tsnr * float(np.exp(0.1 * generator.normal())),
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
                site=site,
            )
        )
    return scans


def weeks_of(generator: np.random.Generator, weeks: list[str], **changed: Any) -> list[SeenScan]:
    """Draw some weeks; the last one of site b is changed."""
    seen = []
    for week in weeks:
        for site, (n, *_) in SITES.items():
            of_this = changed if (week, site) == (weeks[-1], "b") else {}
            seen += [SeenScan(week=week, **vars(scan)) for scan in draw(generator, n * [site], **of_this)]
    return seen


def as_it_fills(scans: list[SeenScan]) -> list[list[SeenScan]]:
    """Return what there is of a week on each of its seven days, where its scans come evenly."""
    by_site = [[scan for scan in scans if scan.site == site] for site in SITES]
    return [[scan for own in by_site for scan in own[: round(day * len(own) / 7)]] for day in range(1, 8)]


def with_repeats(scans: list[SeenScan]) -> list[SeenScan]:
    """Let every third person come three times, each time alike."""
    return [*scans, *scans[::3], *scans[::3]]


def alarming(found: list[Finding], *, level: float = LEVELS[0]) -> set[str]:
    """Return the weeks with an alarm, of what is corrected together."""
    return {finding.week for finding in correct(found, Rule(level=level)) if finding.alarm}


def alarms(repeats: int, *, named: bool) -> dict[str, Any]:
    """Count alarms over repeats."""
    generator = np.random.default_rng(2026)
    false: dict[float, dict[str, list[bool]]] = {level: defaultdict(list) for level in LEVELS}
    repeated: list[bool] = []
    heard: dict[str, list[bool]] = {name: [] for name in CHANGES}
    for number in range(repeats):
        # A reference of its own each time: what one that was drawn unluckily does must count too.
        share = np.array([n for n, *_ in SITES.values()], dtype=float)
        people = generator.choice(list(SITES), PEOPLE, p=share / share.sum()).tolist()
        measured = draw(generator, people)
        if not named:
            measured = [replace(scan, site=NOT_GIVEN) for scan in measured]
        reference = build_reference(measured, fitted=False)
        # One a person and week, as the service takes them.
        scans, newest = weeks_of(generator, WEEKS[:-1]), weeks_of(generator, WEEKS[-1:])
        look = partial(compare, reference=reference, baselines=baselines_of(scans, reference), rule=Rule())
        before = look(scans)
        by_day = [before + look(seen) for seen in as_it_fills(newest)]
        for level, counted in false.items():
            rang = [alarming(found, level=level) for found in by_day]
            counted["an_evaluation"].append(bool(rang[-1]))
            counted["any_of_seven_looks"].append(any(rang))
            counted["the_last_week"].append(WEEKS[-1] in rang[-1])
            counted["the_last_week_in_any_of_seven_looks"].append(any(WEEKS[-1] in weeks for weeks in rang))
        repeated.append(bool(alarming(look(with_repeats(scans + newest)))))
        if number % 4 == 0:
            for name, change in CHANGES.items():
                changed = weeks_of(generator, WEEKS[-1:], **change)
                heard[name].append(WEEKS[-1] in alarming(before + look(changed)))
    return {
        "false_alarm_at_a_level_of": {
            str(level): {name: described_share(sum(rang), len(rang)) for name, rang in counted.items()}
            for level, counted in false.items()
        },
        "false_alarm_where_repeats_count_as_people": described_share(sum(repeated), len(repeated)),
        "power": {name: described_share(sum(found), len(found)) for name, found in heard.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=150)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    results = {
        "command": f"python benchmarks/drift_alarm.py --repeats {asked.repeats} --out {asked.out}",
        "rule": vars(Rule()),
        "reference_people": PEOPLE,
        "weeks": len(WEEKS),
        "scans_a_week_by_site": {name: n for name, (n, *_) in SITES.items()},
        "where_the_reference_names_the_sites": alarms(asked.repeats, named=True),
        "where_it_does_not": alarms(asked.repeats, named=False),
    }
    asked.out.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
