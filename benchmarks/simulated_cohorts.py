"""Does the system find what was planted, and nothing else? Simulated cohorts, cross-validated and reported.

``python benchmarks/simulated_cohorts.py --work FOLDER [--cohorts 20] [--subjects 48] [--processes 1]
[--out results.json]`` takes every cohort the way of any other: people are simulated and ingested, a network
is cross-validated on them (nested, random convolutions as in the demonstration), and the run is reported.
Three questions, with seeds that were fixed before anything was measured:

- effect: how well are the groups told apart at three effect sizes?
- site: with a site effect only, at sites whose shares of cases differ, does the report say in words that site
  explains the result?
- null: with nothing planted, how often does the interval of the AUC hold 0.5, and do the cohorts' AUCs lie
  around it? Pairs of one fold leave out that models lean, pairs of one site that sites differ.

Every cohort is a line of ``cohorts.jsonl`` in FOLDER as soon as it is done: called again, the script goes on
with what is left. Of a cohort's own files the page of its report stays.
"""

import argparse
import json
import platform
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from imaging import PreprocessingSpec
from training.cohort.ingest import ingest
from training.cohort.selecting.selection import select
from training.cohort.sources.simulated import SimulatedSource
from training.evidence.baselines import baseline_probabilities
from training.evidence.report.contents import RunReport
from training.evidence.report.writing import PAGE_FILE, write_report
from training.evidence.sites import within_site_auc
from training.fitting.settings import TrainingSettings
from training.validation.cross_validation import train_run

JOURNAL = "cohorts.jsonl"
SPEC = PreprocessingSpec(tr_s=4.0)  # still above twice the band's upper end, in half the frames
SETTINGS = TrainingSettings(
    network="C",
    rnn="lstm",
    width=4,
    folds=3,
    encoder="frozen",
    feature_norm="batch",
    feature_dropout=0.3,
    epochs=20,
    windows_per_subject=4,
    learning_rate=1e-3,
    schedule="cosine",
    weight_decay=0.01,
    precision="float32",
)
FIRST_SEED = {"null": 100, "effect": 200, "site": 300}
EFFECT_SIZES = (0.5, 1.0, 2.0)
SITE_EFFECT = 1.0
# Cases are 55 % at NYU and 27 % at KKI; the other two have none.
SITES = ("NYU", "KKI", "Pittsburgh", "WashU")
SITES_WITHOUT_CASES = ("Pittsburgh", "WashU")
# Subjects drawn, and cohorts of each kind; of the last, only those of `SITES` are kept.
N_EFFECT, EFFECT_COHORTS = 64, 1
N_SITE, SITE_COHORTS = 120, 1
AREAS = ("auc", "within_fold_auc", "within_site_auc", "site_alone_auc")

Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A cohort and what is planted in it; where `sites` are named, people of others are left out."""

    question: str
    number: int
    n_drawn: int
    effect_size: float = 0.0
    site_effect: float = 0.0
    sites: tuple[str, ...] = ()

    @property
    def seed(self) -> int:
        """Of the people, the folds and the first weights."""
        return FIRST_SEED[self.question] + self.number

    @property
    def name(self) -> str:
        """What its files are called."""
        return f"{self.question}-{self.seed}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--work", type=Path, required=True, help="folder for the journal and the pages")
    arguments.add_argument("--cohorts", type=int, default=20, help="with nothing planted")
    arguments.add_argument("--subjects", type=int, default=48, help="in each of those")
    arguments.add_argument("--processes", type=int, default=1, help="that share the work")
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    if options.cohorts < 2:
        arguments.error(f"expected at least 2 cohorts, for a spread; found {options.cohorts}")
    options.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    trials = planned(n_null=options.cohorts, n_subjects=options.subjects)
    lines = [measured(trial, options.work, processes=options.processes) for trial in trials]
    result = summarised(lines)
    show(result)
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")


def planned(*, n_null: int, n_subjects: int) -> list[Trial]:
    """List the cohorts, each with a seed of its own."""
    effect_sizes = [effect_size for _ in range(EFFECT_COHORTS) for effect_size in EFFECT_SIZES]
    effect = [
        Trial(question="effect", number=number, n_drawn=N_EFFECT, effect_size=effect_size)
        for number, effect_size in enumerate(effect_sizes)
    ]
    site = [
        Trial(question="site", number=number, n_drawn=N_SITE, site_effect=SITE_EFFECT, sites=SITES)
        for number in range(SITE_COHORTS)
    ]
    null = [Trial(question="null", number=number, n_drawn=n_subjects) for number in range(n_null)]
    return [*effect, *site, *null]


def measured(trial: Trial, work: Path, *, processes: int) -> Line:
    """Give a cohort's line of the journal: the one that is there, or a new one."""
    # What is not set here has its default, also one that a later version adds.
    settings = settings_of(trial).model_dump(mode="json", exclude_unset=True)
    plan = {
        **asdict(trial),
        "sites": list(trial.sites),
        "seed": trial.seed,
        "settings": settings,
        "preprocessing": SPEC.to_json(),
    }
    journal = work / JOURNAL
    known: list[Line] = []
    if journal.exists():
        known = [json.loads(line) for line in journal.read_text().splitlines()]
    before = next((one for one in known if one["plan"] == plan), None)
    if before is not None:
        return before
    began, began_cpu = perf_counter(), process_time()
    report = carried_out(trial, work, processes=processes)
    line = {
        "plan": plan,
        **figures(report),
        "people": people(report),
        "seconds": round(perf_counter() - began, 1),
        "cpu_seconds": round(process_time() - began_cpu, 1),
    }
    with journal.open("a") as file:
        file.write(json.dumps(line) + "\n")
    print(f"{trial.name}: AUC {cell(line['auc'])}, {line['seconds']:.0f} s", flush=True)
    return line


def settings_of(trial: Trial) -> TrainingSettings:
    """Give every cohort folds and first weights of its own."""
    return SETTINGS.model_copy(update={"seed": trial.seed})


def carried_out(trial: Trial, work: Path, *, processes: int) -> RunReport:
    """Simulate, ingest, cross-validate and report one cohort."""
    folder = work / trial.name
    source = SimulatedSource(
        n_subjects=trial.n_drawn,
        seed=trial.seed,
        effect_size=trial.effect_size,
        site_effect=trial.site_effect,
    )
    if trial.sites:
        source.profiles = [profile for profile in source.profiles if profile.site.name in trial.sites]
    # One process works in this one: another that only waits would cost its start.
    children = processes if processes > 1 else 0
    store = ingest(source, source.phenotypes(), folder / "cohort", spec=SPEC, processes=children).store
    run = train_run(
        store,
        select(store.subjects),
        settings=settings_of(trial),
        out=folder / trial.name,
        device="cpu",
        processes=processes,
        threads=1,
    )
    written = write_report([run], folder / "report")
    (folder / "report" / PAGE_FILE).replace(work / f"{trial.name}.html")
    shutil.rmtree(folder)
    return written.reports[0]


def figures(report: RunReport) -> dict[str, Any]:
    """Take from the report what the questions are about."""
    return {
        "n": report.n,
        "n_cases": report.n_cases,
        "auc": report.overall.auc.to_json(),
        "within_fold_auc": report.within_fold_auc.to_json() if report.within_fold_auc else None,
        "within_site_auc": report.site.within_site.to_json() if report.site.within_site else None,
        "site_alone_auc": report.site.site_alone.to_json(),
        "site_finding": report.site.finding,
        "site_sentence": report.site.sentence,
        "temperatures": [round(outcome.temperature, 2) for outcome in report.data.outcomes],
        "best_epochs": [outcome.best_epoch for outcome in report.data.outcomes],
    }


def people(report: RunReport) -> dict[str, list[Any]]:
    """List what was said of everybody, for figures that are thought of later; nobody of them exists."""
    subjects = report.data.reported_subjects
    alone = baseline_probabilities("site", report.data.subjects)[report.data.reported]
    return {
        "site": [subject.site for subject in subjects],
        "label": [subject.label for subject in subjects],
        "fold": [subject.fold for subject in subjects],
        "probability": [round(float(one), 6) for one in report.data.probabilities],
        "site_alone": [round(float(one), 6) for one in alone],
    }


def summarised(lines: Sequence[Line]) -> dict[str, Any]:
    """Put the cohorts together, question by question."""
    null = [line for line in lines if line["plan"]["question"] == "null"]
    return {
        "command": "python benchmarks/simulated_cohorts.py --work FOLDER",
        "machine": machine(),
        "settings": SETTINGS.model_dump(mode="json", exclude_unset=True) | {"seed": "the cohort's"},
        "preprocessing": SPEC.to_json(),
        "effect": [row(line) for line in lines if line["plan"]["question"] == "effect"],
        "site": [row(line) for line in lines if line["plan"]["question"] == "site"],
        "null": {
            "cohorts": [row(line) for line in null],
            "n_cohorts": len(null),
            "intervals that hold 0.5": {
                name: sum(line[name]["low"] <= 0.5 <= line[name]["high"] for line in null) for name in AREAS
            },
            "means": {
                **{name: mean([line[name]["value"] for line in null]) for name in AREAS},
                "auc minus within_fold_auc": mean(
                    [line["auc"]["value"] - line["within_fold_auc"]["value"] for line in null]
                ),
                "mean of the folds' AUCs": mean([mean_of_folds(line["people"]) for line in null]),
                "AUC for being at a site that has cases": mean(
                    [knows_sites(line["people"]) for line in null]
                ),
            },
        },
        "cpu_minutes": round(sum(line["cpu_seconds"] for line in lines) / 60, 1),
    }


def row(line: Line) -> dict[str, Any]:
    """Leave out the people, and the settings that all cohorts share."""
    plan = {
        name: value
        for name, value in line["plan"].items()
        if name not in {"question", "number", "settings", "preprocessing"}
    }
    return {**plan, **{name: value for name, value in line.items() if name not in {"plan", "people"}}}


def mean(values: Sequence[float]) -> dict[str, float]:
    """Give the mean over cohorts with its standard error, and their standard deviation."""
    deviation = float(np.std(values, ddof=1))
    found = {"mean": np.mean(values), "standard_error": deviation / len(values) ** 0.5, "sd": deviation}
    return {name: round(float(one), 4) for name, one in found.items()}


def mean_of_folds(people: dict[str, list[Any]]) -> float:
    """Give the mean of the folds' own AUCs."""
    labels, folds, said = (np.array(people[name]) for name in ("label", "fold", "probability"))
    return float(
        np.mean([roc_auc_score(labels[folds == one], said[folds == one]) for one in np.unique(folds)])
    )


def knows_sites(people: dict[str, list[Any]]) -> float:
    """Rank people of sites that have cases against the others by what was said of them, fold by fold."""
    with_cases = np.array([site not in SITES_WITHOUT_CASES for site in people["site"]], dtype=np.int64)
    folds = [str(fold) for fold in people["fold"]]
    found = within_site_auc(with_cases, np.array(people["probability"]), folds, seed=0, n_draws=1)
    return 0.5 if found is None else found.value


def machine() -> str:
    """Describe in a line what this ran on."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.processor()])[0]}, one thread, torch {torch.__version__}"


def show(result: dict[str, Any]) -> None:
    """Print the tables of docs/science.md."""
    print("\n| planted | seed | people, cases | AUC | within sites | site alone |\n|---|---|---|---|---|---|")
    for one in (*result["effect"], *result["site"]):
        planted = (
            f"effect {one['effect_size']:g}" if one["effect_size"] else f"site effect {one['site_effect']:g}"
        )
        areas = " | ".join(cell(one[name]) for name in ("auc", "within_site_auc", "site_alone_auc"))
        print(f"| {planted} | {one['seed']} | {one['n']}, {one['n_cases']} | {areas} |")
    for one in result["site"]:
        print(f"\nseed {one['seed']}: {one['site_finding']}. {one['site_sentence']}")
    null = result["null"]
    print(f"\n| {null['n_cohorts']} cohorts, nothing planted | mean | SD | intervals that hold 0.5 |")
    print("|---|---|---|---|")
    for name, found in null["means"].items():
        figure = f"{found['mean']:.3f} ({found['standard_error']:.3f})"
        print(f"| {name} | {figure} | {found['sd']:.3f} | {null['intervals that hold 0.5'].get(name, '')} |")
    for one in null["cohorts"]:
        print(f"seed {one['seed']}: " + ", ".join(f"{name} {cell(one[name])}" for name in AREAS))


def cell(found: dict[str, float]) -> str:
    """Format a figure with its 95 % interval."""
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


if __name__ == "__main__":
    main()
