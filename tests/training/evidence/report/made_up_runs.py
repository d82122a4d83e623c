"""Run folders with known figures, written through the seam that training writes them through."""

from pathlib import Path

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from imaging import PreprocessingSpec, brain_cube
from model.card import RegionsRecord
from model.methods.catalogue import METHODS
from tests.training.cohort.store.made_up_store import write_store
from training.cohort.store.cohort_store import CohortStore
from training.cohort.subjects import Subject
from training.evidence.kept_connectivity import KeptConnectivity, ground_of
from training.run_files import read_rows, write_json, write_rows
from training.runs import (
    CONNECTIVITY_FILE,
    EPOCHS_FILE,
    INNER_PREDICTIONS_FILE,
    OUTCOME_FILE,
    PREDICTIONS_FILE,
    RUN_FILE,
    SUBJECTS_FILE,
    EpochRecord,
    FoldOutcome,
    InnerPrediction,
    Prediction,
    RunRecord,
    RunSubject,
    fold_folder,
    read_run,
)

MEGABYTE = 2**20
COARSE = PreprocessingSpec(grid_size=12)
SITE_SHARES = {"NYU": 0.4, "Peking": 0.35, "NeuroIMAGE": 0.25}
TR_S = {"NYU": 2.0, "Peking": 2.0, "NeuroIMAGE": 1.96, "Pittsburgh": 1.5}
BEST_EPOCH = {"A": 18, "B": 15, "C": 9, "D": 7}
QUANTILES = {"level": 0.9, "control": 0.7, "adhd": 0.75}


def made_up_run(
    folder: Path,
    *,
    network: str = "C",
    rnn: str = "lstm",
    method: str = "network",
    regions: RegionsRecord | None = None,
    people_seed: int | None = None,
    n: int = 200,
    auc: float = 0.7,
    phenotype_effect: float = 0.0,
    site_cases: dict[str, float] | None = None,
    site_logit: float = 0.0,
    folds: int = 5,
    protocol: str = "nested",
    simulated: bool = False,
    mixed: bool = False,
    condition: str = "ADHD",
    cohort: str = "made-up",
    leave_site_out: bool = False,
    unfinished: tuple[int, ...] = (),
    best_epoch: dict[str, int] | None = None,
    connectivity_auc: float | None = 0.5,
    seed: int = 0,
) -> Path:
    """Write a run of `n` subjects whose logits tell the classes apart with the given area under the curve.

    `phenotype_effect` moves the age of the cases by so many standard deviations; `site_cases` gives the share
    of cases by site, one half if not given; `site_logit` adds a site's share of cases to its logits. The run
    keeps a ridge on connectivity of the given area under the curve; none at all where that is None. Runs of
    one `people_seed` have the same people in the same folds, whatever their `seed`. One of a `method` that is
    solved at once has a single epoch and no stopping part.
    """
    generator = np.random.default_rng(seed if people_seed is None else people_seed)
    solved = method != "network" and not METHODS[method].learns_in_epochs
    sites = generator.choice(list(SITE_SHARES), size=n, p=list(SITE_SHARES.values()))
    shares = site_cases or dict.fromkeys(SITE_SHARES, 0.5)
    labels = np.zeros(n, dtype=int)
    for site in SITE_SHARES:
        members = np.flatnonzero(sites == site)
        labels[members[: round(shares[site] * len(members))]] = 1
    fold_names = sorted(SITE_SHARES) if leave_site_out else [str(fold) for fold in range(folds)]
    if leave_site_out:
        fold_of = np.array([fold_names.index(site) for site in sites])
    else:
        # Within a site and class in turn, as a stratified split deals them.
        fold_of = np.empty(n, dtype=int)
        fold_of[np.lexsort((generator.random(n), labels, sites))] = np.arange(n) % folds
    distance = np.sqrt(2) * norm.ppf(auc)
    share = np.array([shares[site] for site in sites])
    noise = generator.normal(size=n)
    if people_seed is not None:
        noise = np.random.default_rng([seed, 2]).normal(size=n)
    logits = distance * (labels - 0.5) + noise + site_logit * (share - 0.5)
    ages = 12.5 + 2.5 * (generator.normal(size=n) + phenotype_effect * (labels - 0.5))
    subjects = [
        RunSubject(
            subject_id=str(10_000 + i),
            site=str(sites[i]),
            label=int(labels[i]),
            fold=int(fold_of[i]),
            age_years=round(float(np.clip(ages[i], 7.1, 21.5)), 2) if i % 29 else None,
            sex=(None if i % 41 == 40 else "male" if generator.random() < 0.6 else "female"),
            handedness=None if i % 17 == 16 else "right" if generator.random() < 0.9 else "left",
            iq=None if i % 7 == 6 else round(float(generator.normal(108, 13))),
            tr_s=TR_S[sites[i]],
            n_frames=float({"NYU": 172, "Peking": 232, "NeuroIMAGE": 257}[sites[i]]),
            dvars_mean=float(generator.normal(1.0, 0.1)),
            spikes=float(generator.poisson(2)),
        )
        for i in range(n)
    ]
    folder.mkdir(parents=True)
    record = RunRecord(
        settings={
            "network": network,
            "rnn": rnn,
            "width": 16,
            "protocol": protocol,
            "folds": folds,
            "epochs": 100,
            "patience": 5,
            "batch_size": 32,
            "learning_rate": 0.0001,
            "seed": seed,
            **({} if method == "network" else {"method": method}),
        },
        regions=regions,
        cohort_name=cohort,
        cohort_fingerprint=f"{cohort:0<64}"[:64],
        condition=condition,
        simulated=simulated,
        mixed=mixed,
        selection="all",
        preprocessing={"version": 1, "grid_size": 34, "tr_s": 2.0},
        split="leave_site_out" if leave_site_out else "stratified",
        fold_names=fold_names,
        n_parameters=24_311
        if method != "network"
        else {"A": 40_295_569, "B": 12_034_385, "C": 4_354_769, "D": 2_700_753}[network],
        machine={"device": "cpu", "threads": 2, "precision": "float32"},
        code_version="0.1.0",
    )
    write_json(folder / RUN_FILE, record)
    write_rows(folder / SUBJECTS_FILE, subjects)
    if connectivity_auc is not None:
        linear = np.random.default_rng([seed if people_seed is None else people_seed, 1]).normal(size=n)
        linear += np.sqrt(2) * norm.ppf(connectivity_auc) * (labels - 0.5)
        keep(folder, record, subjects, expit(linear))
    predictions: list[Prediction] = []
    inner: list[InnerPrediction] = []
    for fold in range(len(fold_names)):
        if fold in unfinished:
            continue
        best = 1 if solved else (best_epoch or BEST_EPOCH)[network] + fold % 3
        temperature, threshold = (1.0, 0.5) if protocol == "paper" else (1 + 0.1 * fold, 0.47 + 0.02 * fold)
        others = generator.permutation(np.flatnonzero(fold_of != fold))
        parts = {} if solved else dict.fromkeys(others[: len(others) // 7], "stopping")
        parts |= dict.fromkeys(others[len(others) // 7 : len(others) // 3], "calibration")
        if protocol == "paper":
            parts = {}
        write_fold(
            folder,
            FoldOutcome(
                fold=fold,
                n_training=len(others) - len(parts),
                n_stopping=sum(part == "stopping" for part in parts.values()),
                n_calibration=sum(part == "calibration" for part in parts.values()),
                n_test=int((fold_of == fold).sum()),
                epochs_run=1 if solved else best + 5,
                best_epoch=best,
                offset=0.0,
                temperature=temperature,
                threshold=threshold,
                conformal_quantiles=None if protocol == "paper" else QUANTILES,
                seconds_per_epoch=20.0 + 3 * "ABCD".index(network) + 0.3 * fold,
                peak_memory_bytes=int((4200 - 600 * "ABCD".index(network)) * MEGABYTE),
                device="cpu",
            ),
        )
        members = np.flatnonzero(fold_of == fold)
        predictions += [
            predict(
                subjects[i],
                float(logits[i]) / temperature,
                threshold=threshold,
                sets=protocol == "nested",
            )
            for i in members
        ]
        fresh = distance * (labels - 0.5) + generator.normal(size=n)
        inner += [
            InnerPrediction(subject_id=subjects[i].subject_id, fold=fold, part=part, logit=float(fresh[i]))
            for i, part in sorted(parts.items())
        ]
    for fold in {row.fold for row in predictions}:
        write_tables(fold_folder(folder, fold), predictions, inner, only=fold)
    if not unfinished:
        write_tables(folder, predictions, inner)
    return folder


def keep(run: Path, record: RunRecord, subjects: list[RunSubject], probabilities: np.ndarray) -> None:
    """Write what a report with the cohort at hand keeps in the run."""
    kept = KeptConnectivity(
        ground=ground_of(record, subjects),
        cohort_name=record.cohort_name,
        n_regions=221,
        probabilities={
            subject.subject_id: float(probability)
            for subject, probability in zip(subjects, probabilities, strict=True)
        },
    )
    write_json(run / CONNECTIVITY_FILE, kept)


def store_of(run: Path, folder: Path, *, planted: float = 2.0) -> CohortStore:
    """Write a cohort with noise for the scans of a run's subjects, coarse and short, and make it the run's.

    In cases the voxels of the brain's first half share a course of the given strength.
    """
    rows = read_rows(run, SUBJECTS_FILE, RunSubject)
    n_voxels = int(brain_cube(COARSE.grid_size).mask.sum())
    generator = np.random.default_rng(7)
    series = {}
    for row in rows:
        noise = generator.normal(size=(30, n_voxels)).astype(np.float32)
        noise[:, : n_voxels // 2] += planted * row.label * generator.normal(size=(30, 1))
        series[row.subject_id] = [noise]
    subjects = [
        Subject(subject_id=row.subject_id, site=row.site, label=row.label, diagnosis=str(row.label))
        for row in rows
    ]
    store = write_store(folder, subjects=subjects, series=series, spec=COARSE, name="made-up", simulated=True)
    record = read_run(run).model_copy(update={"cohort_fingerprint": store.fingerprint(subjects)})
    write_json(run / RUN_FILE, record)
    return store


def write_tables(
    folder: Path, predictions: list[Prediction], inner: list[InnerPrediction], *, only: int | None = None
) -> None:
    """Write both tables of predictions, a header alone where the protocol has no inner parts."""
    tables = ((PREDICTIONS_FILE, predictions, Prediction), (INNER_PREDICTIONS_FILE, inner, InnerPrediction))
    for name, rows, row_class in tables:
        chosen = [row for row in rows if only is None or row.fold == only]
        write_rows(folder / name, chosen, row_class=row_class)


def predict(subject: RunSubject, logit: float, *, threshold: float, sets: bool) -> Prediction:
    probability = float(expit(logit))
    in_adhd, in_control = 1 - probability <= QUANTILES["adhd"], probability <= QUANTILES["control"]
    alone = {(True, False): "case", (False, True): "control"}.get((in_adhd, in_control), "uncertain")
    return Prediction(
        subject_id=subject.subject_id,
        fold=subject.fold,
        logit=logit,
        probability=probability,
        called="case" if probability > threshold else "control",
        decision=alone if sets else None,
    )


def write_fold(run: Path, outcome: FoldOutcome) -> None:
    folder = fold_folder(run, outcome.fold)
    folder.mkdir(parents=True)
    write_json(folder / OUTCOME_FILE, outcome)
    epochs = np.arange(1, outcome.epochs_run + 1)
    falling = 0.72 * np.exp(-epochs / (1.2 * outcome.best_epoch)) + 0.02 * outcome.fold
    watched = 0.69 - 0.03 * np.exp(-(((epochs - outcome.best_epoch) / 6.0) ** 2)) + 0.002 * outcome.fold
    nested = outcome.n_stopping > 0
    write_rows(
        folder / EPOCHS_FILE,
        [
            EpochRecord(
                epoch=int(epoch),
                training_loss=float(falling[i]),
                stopping_loss=float(watched[i]) if nested else None,
                stopping_auc=0.6 if nested else None,
                learning_rate=1e-4,
                seconds=outcome.seconds_per_epoch,
            )
            for i, epoch in enumerate(epochs)
        ],
    )
