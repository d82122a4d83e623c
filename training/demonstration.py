"""Make the demonstration checkpoint: ``python -m training.demonstration --out FILE``.

The story is that of any cohort: simulate people, ingest them, cross-validate network C with a Bi-LSTM on
them, and take the run's checkpoint. Its card says what the folds measured on people that their models never
saw. Then the finished file is asked about new simulated people through the very predictor that serves it: one
group with the effect, one without. Everything follows from the seeds below; the same machine makes the same
bytes again.
"""

import argparse
import json
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int

from imaging import PreprocessingSpec, preprocess
from model.card import ModelCard, read_card
from model.checkpoint import load_checkpoint, save_checkpoint
from model.predictor import Predictor
from training.cohort.ingest import ingest
from training.cohort.selecting.selection import select
from training.cohort.sources.simulated import SimulatedSource
from training.cohort.store.cohort_store import CohortStore
from training.evidence.conformal import conformal_sets, coverage
from training.evidence.metrics import evaluate
from training.evidence.sites import within_site_auc
from training.fitting.settings import TrainingSettings
from training.runs import CHECKPOINT_FILE
from training.simulation.simulator import simulate_subject, subject_profile
from training.validation.cross_validation import train_run

SPEC = PreprocessingSpec()
SETTINGS = TrainingSettings(
    network="C",
    rnn="lstm",
    width=4,
    folds=4,
    feature_norm="batch",
    feature_dropout=0.3,
    encoder="frozen",
    epochs=20,
    windows_per_subject=4,
    learning_rate=1e-3,
    schedule="cosine",
    weight_decay=0.01,
    precision="float32",
    weights_dtype="float16",
)
_FIGURES = ("auc", "accuracy", "sensitivity", "specificity", "brier")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides the checkpoint.

    Attributes
    ----------
    seed : int
        Of the cohort; the new subjects and those of the null cohort take the next two.
    n_training, n_test, n_null : int
        Subjects: of the cross-validation, new ones, and new ones without an effect.
    effect_size : float
        Planted in the first two; less than the simulator's own, so that the answers are not beyond doubt.
    settings : TrainingSettings
    """

    seed: int = 20_110
    n_training: int = 400
    n_test: int = 60
    n_null: int = 40
    effect_size: float = 0.5
    settings: TrainingSettings = SETTINGS


@dataclass(frozen=True)
class Answers:
    """What the predictor said about new subjects, in their order."""

    labels: Int[np.ndarray, " S"]
    probabilities: Float64[np.ndarray, " S"]
    decisions: list[str]
    sites: list[str]


def make_demonstration(out: Path, *, plan: Plan | None = None, processes: int = 2) -> ModelCard:
    """Train, calibrate, measure and write the demonstration checkpoint.

    Every process computes on one thread: the result does not depend on how many there are.

    Parameters
    ----------
    out : Path
        File to write, in one step; its folder is made.
    plan : Plan, optional
        The committed checkpoint's, if not given.
    processes : int
        That share the work.

    Returns
    -------
    ModelCard
        Of the file written.
    """
    plan = plan or Plan()
    out.parent.mkdir(parents=True, exist_ok=True)
    clock = _Clock()
    with TemporaryDirectory(prefix="restnet-demonstration-") as scratch:
        store = ingest_cohort(Path(scratch) / "simulated", plan=plan, processes=processes)
        clock.say(f"{len(store.subjects)} subjects simulated and prepared")
        run = train_run(
            store,
            select(store.subjects),
            settings=plan.settings,
            out=Path(scratch) / "run",
            device="cpu",
            processes=processes,
            threads=1,
            finished=lambda fold: clock.say(f"fold {fold + 1} of {plan.settings.folds} trained"),
        )
        checkpoint = run / CHECKPOINT_FILE
        measured = measure_on_new_people(checkpoint, plan=plan, processes=processes)
        card = write_demonstration(out, checkpoint, plan=plan, measured=measured)
    clock.say(f"measured: {json.dumps(card.metrics)}")
    return card


def ingest_cohort(folder: Path, *, plan: Plan, processes: int) -> CohortStore:
    """Simulate the cohort and prepare it as any other."""
    source = SimulatedSource(n_subjects=plan.n_training, seed=plan.seed, effect_size=plan.effect_size)
    return ingest(source, source.phenotypes(), folder, spec=SPEC, processes=processes).store


def ask(checkpoint: Path, n_subjects: int, *, seed: int, effect_size: float, pool: Executor) -> Answers:
    """Let the predictor classify new simulated subjects."""
    question = partial(ask_about_subject, checkpoint, seed=seed, effect_size=effect_size)
    probabilities, decisions = zip(*pool.map(question, range(n_subjects), chunksize=2), strict=True)
    profiles = [subject_profile(index, seed=seed) for index in range(n_subjects)]
    return Answers(
        labels=np.array([profile.label for profile in profiles]),
        probabilities=np.array(probabilities),
        decisions=list(decisions),
        sites=[profile.site.name for profile in profiles],
    )


def ask_about_subject(checkpoint: Path, index: int, *, seed: int, effect_size: float) -> tuple[float, str]:
    """Give the probability and the decision of one simulated subject."""
    scan = simulate_subject(index, seed=seed, effect_size=effect_size)
    answer = Predictor.load(checkpoint, device="cpu").classify(preprocess(scan, SPEC), seed=index)
    return answer.adhd_probability, answer.decision


def measure_on_new_people(checkpoint: Path, *, plan: Plan, processes: int) -> dict[str, Any]:
    """Ask the model as it will be served, by the predictor on weights in half precision, about new people.

    Returns
    -------
    dict
        What the card's ``metrics`` hold beside those of the folds, as JSON values.
    """
    with _pool(processes) as pool:
        test = ask(checkpoint, plan.n_test, seed=plan.seed + 1, effect_size=plan.effect_size, pool=pool)
        null = ask(checkpoint, plan.n_null, seed=plan.seed + 2, effect_size=0.0, pool=pool)
    return {
        "new_subjects": {
            "measured_on": f"{len(test.labels)} simulated subjects never trained on, by the whole ensemble",
            **_figures(test, read_card(checkpoint)),
        },
        "null_cohort": {
            "measured_on": f"{len(null.labels)} simulated subjects with no effect planted",
            **_chance(null),
        },
    }


def write_demonstration(out: Path, checkpoint: Path, *, plan: Plan, measured: dict[str, Any]) -> ModelCard:
    """Write the run's checkpoint under the demonstration's name, its card with what was measured besides."""
    trained = load_checkpoint(checkpoint)
    card = trained.card.model_copy(
        update={
            "name": "RestNet demonstration",
            "version": "2",
            "intended_use": "demonstration",
            "trained_on": (
                f"{plan.n_training} simulated subjects (seed {plan.seed}, "
                f"effect size {plan.effect_size:g}); no person's scan"
            ),
            "metrics": {**trained.card.metrics, **measured},
        }
    )
    save_checkpoint(out, members=trained.members, card=card, weights_dtype=plan.settings.weights_dtype)
    return card


def _figures(answers: Answers, card: ModelCard) -> dict[str, Any]:
    found = evaluate(answers.labels, answers.probabilities, threshold=card.threshold, seed=0)
    measured = {
        **found.to_json(_FIGURES),
        "decisions": _counted(answers.decisions),
    }
    if card.conformal_quantiles is not None:
        sets = conformal_sets(answers.probabilities, card.conformal_quantiles)
        held = coverage(answers.labels, sets)
        measured["coverage"] = held.to_json(level=card.conformal_quantiles["level"])
    return measured


def _chance(answers: Answers) -> dict[str, Any]:
    found = evaluate(answers.labels, answers.probabilities, threshold=0.5, seed=0)
    # Sites differ in their share of ADHD: were they told apart, only this figure would be at chance.
    within = within_site_auc(answers.labels, answers.probabilities, answers.sites, seed=0)
    return {
        "auc": found.auc.to_json(),
        "auc_within_sites": None if within is None else within.to_json(),
        "decisions": _counted(answers.decisions),
    }


def _counted(decisions: list[str]) -> dict[str, int]:
    return {name: decisions.count(name) for name in ("adhd", "control", "uncertain")}


def _pool(processes: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )


class _Clock:
    """Prints what was done, and after how many seconds."""

    def __init__(self) -> None:
        self._began = perf_counter()

    def say(self, what: str) -> None:
        print(f"[{perf_counter() - self._began:6.0f} s] {what}", flush=True)  # noqa: T201


def main() -> None:
    """Read the command line and make the checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--processes", type=int, default=2, help="that share the work; the result is the same"
    )
    arguments = parser.parse_args()
    make_demonstration(arguments.out, processes=arguments.processes)


if __name__ == "__main__":
    main()
