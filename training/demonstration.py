"""Make the demonstration checkpoint: ``python -m training.demonstration --out FILE``.

The story: simulate a cohort, prepare every scan as prediction does, train four networks C with a Bi-LSTM,
calibrate them on subjects of their own, and measure the finished checkpoint on subjects that nothing before
has seen, through the very predictor that serves it: one group with the effect, one without. Everything
follows from the seeds below; the same machine makes the same bytes again.
"""

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float64, Int

from imaging import NetworkInput, PreprocessingSpec, preprocess
from model.card import ModelCard
from model.checkpoint import load_checkpoint, save_checkpoint
from model.networks import RestNetwork, build_network
from model.predictor import Classification, Predictor
from training.calibration import fit_temperature
from training.loop import TrainingSettings, train_network
from training.metrics import Evaluation, evaluate
from training.prepared import PreparedScan
from training.simulator import DEFAULT_EFFECT_SIZE, simulate_subject, subject_profile
from training.warm_start import ReaderSettings, encode_scans, settle_normalisation, train_reader

SPEC = PreprocessingSpec()
THRESHOLD = 0.5
READER = ReaderSettings(epochs=12)
END_TO_END = TrainingSettings(epochs=1, learning_rate=3e-4, weight_decay=0.01)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that decides the checkpoint.

    Attributes
    ----------
    seed : int
        Of the training cohort; calibration, test and null cohorts take the next three.
    n_training, n_calibration, n_test, n_null : int
        Subjects.
    members, width : int
        Of the ensemble; a member leaves out its own part of the training cohort.
    warm_start_windows : int
        Windows a scan that the readers are first trained on.
    reader : ReaderSettings
    end_to_end : TrainingSettings
    """

    seed: int = 20_110
    n_training: int = 320
    n_calibration: int = 60
    n_test: int = 100
    n_null: int = 60
    members: int = 4
    width: int = 4
    warm_start_windows: int = 4
    reader: ReaderSettings = READER
    end_to_end: TrainingSettings = END_TO_END


@dataclass(frozen=True)
class Answers:
    """What the predictor said about a cohort."""

    labels: Int[np.ndarray, " S"]
    mean_logits: Float64[np.ndarray, " S"]
    probabilities: Float64[np.ndarray, " S"]
    uncertain_share: float


def make_demonstration(out: Path, *, plan: Plan | None = None) -> ModelCard:
    """Train, calibrate, measure and write the demonstration checkpoint.

    Parameters
    ----------
    out : Path
        File to write, in one step; its folder is made.
    plan : Plan, optional
        The committed checkpoint's, if not given.

    Returns
    -------
    ModelCard
        Of the file written.
    """
    plan = plan or Plan()
    out.parent.mkdir(parents=True, exist_ok=True)
    clock = _Clock()
    scans = prepare_cohort(plan.n_training, seed=plan.seed)
    clock.say(f"{len(scans)} training subjects simulated and prepared")

    networks = train_members(scans, plan=plan, clock=clock)
    del scans
    members = [network.state_dict() for network in networks]
    # Calibrated and measured as it will be served: with weights rounded to half precision, by the predictor.
    save_checkpoint(
        out, members=members, card=_card(plan, temperature=1.0, metrics={}), weights_dtype="float16"
    )
    calibration = ask(out, plan.n_calibration, seed=plan.seed + 1)
    temperature = fit_temperature(calibration.mean_logits, calibration.labels)
    clock.say(f"calibrated: temperature {temperature:.3f}")

    card = _card(plan, temperature=temperature, metrics={})
    save_checkpoint(out, members=members, card=card, weights_dtype="float16")
    test = ask(out, plan.n_test, seed=plan.seed + 2)
    null = ask(out, plan.n_null, seed=plan.seed + 3, effect_size=0.0)
    card = _card(plan, temperature=temperature, metrics=_metrics(test, null))
    sha256 = save_checkpoint(out, members=members, card=card, weights_dtype="float16")
    clock.say(f"measured; wrote {out.stat().st_size / 1e6:.2f} MB, sha256 {sha256}")
    return card


def prepare_cohort(n_subjects: int, *, seed: int) -> list[PreparedScan]:
    """Simulate a cohort in memory and prepare every scan through the one preprocessing path."""
    scans = []
    for index in range(n_subjects):
        profile = subject_profile(index, seed=seed)
        prepared = _prepare(index, seed=seed, effect_size=DEFAULT_EFFECT_SIZE)
        scans.append(PreparedScan.from_input(prepared, subject_id=profile.scan_dir_id, label=profile.label))
    return scans


def train_members(scans: list[PreparedScan], *, plan: Plan, clock: "_Clock") -> list[RestNetwork]:
    """Train the members, each from its own start and without its own part of the subjects."""
    networks = []
    for member in range(plan.members):
        torch.manual_seed(plan.seed + member)
        networks.append(build_network("C", "lstm", width=plan.width))
    settle_normalisation(networks, scans, seed=plan.seed)
    features = encode_scans(networks, scans, n_windows=plan.warm_start_windows)
    labels = torch.tensor([float(scan.label) for scan in scans])
    clock.say("features of the untrained residual networks computed")
    for member, network in enumerate(networks):
        kept = [i for i in range(len(scans)) if plan.members == 1 or i % plan.members != member]
        losses = train_reader(network, features[member, kept], labels[kept], settings=plan.reader)
        records = train_network(network, [scans[i] for i in kept], settings=plan.end_to_end)
        clock.say(
            f"member {member + 1} of {plan.members} trained: loss {losses[0]:.3f} to {losses[-1]:.3f} "
            f"with the reader alone, {records[-1].training_loss:.3f} a window end to end"
        )
    return networks


def ask(checkpoint: Path, n_subjects: int, *, seed: int, effect_size: float = DEFAULT_EFFECT_SIZE) -> Answers:
    """Let the predictor classify a simulated cohort."""
    predictor = Predictor(load_checkpoint(checkpoint), device="cpu")
    answers: list[Classification] = []
    for index in range(n_subjects):
        network_input = _prepare(index, seed=seed, effect_size=effect_size)
        answers.append(predictor.classify(network_input, seed=index))
    return Answers(
        labels=np.array([subject_profile(index, seed=seed).label for index in range(n_subjects)]),
        mean_logits=np.array([answer.member_logits.mean() for answer in answers]),
        probabilities=np.array([answer.adhd_probability for answer in answers]),
        uncertain_share=float(np.mean([answer.decision == "uncertain" for answer in answers])),
    )


def _prepare(index: int, *, seed: int, effect_size: float) -> NetworkInput:
    return preprocess(simulate_subject(index, seed=seed, effect_size=effect_size), SPEC)


def _card(plan: Plan, *, temperature: float, metrics: dict[str, object]) -> ModelCard:
    cohort = {"seed": plan.seed, "n": plan.n_training, "effect_size": DEFAULT_EFFECT_SIZE}
    return ModelCard.model_validate(
        {
            "name": "RestNet demonstration",
            "version": "1",
            "network": "C",
            "rnn": "lstm",
            "width": plan.width,
            "members": plan.members,
            "preprocessing": SPEC.to_json(),
            "threshold": THRESHOLD,
            "temperature": temperature,
            "cohort_fingerprint": hashlib.sha256(json.dumps(cohort, sort_keys=True).encode()).hexdigest(),
            "trained_on": (
                f"{plan.n_training} simulated subjects (seed {plan.seed}, "
                f"effect size {DEFAULT_EFFECT_SIZE:g}); no person's scan"
            ),
            "intended_use": "demonstration",
            "metrics": metrics,
            "code_version": version("restnet"),
        }
    )


def _metrics(test: Answers, null: Answers) -> dict[str, object]:
    planted = evaluate(test.labels, test.probabilities, threshold=THRESHOLD, seed=0)
    nothing = evaluate(null.labels, null.probabilities, threshold=THRESHOLD, seed=0)
    return {
        "measured_on": f"{len(test.labels)} simulated subjects never trained on",
        **_figures(planted),
        "uncertain_share": test.uncertain_share,
        "null_cohort": {
            "measured_on": f"{len(null.labels)} simulated subjects with no effect planted",
            "auc": nothing.auc.to_json(),
            "uncertain_share": null.uncertain_share,
        },
    }


def _figures(evaluation: Evaluation) -> dict[str, object]:
    estimates = ("auc", "accuracy", "sensitivity", "specificity", "brier")
    counts = {name: count for name, count in asdict(evaluation).items() if name not in estimates}
    return {**{name: getattr(evaluation, name).to_json() for name in estimates}, "confusion": counts}


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
    # Sums are split over threads: another number of them rounds in another order.
    torch.set_num_threads(2)
    make_demonstration(parser.parse_args().out)


if __name__ == "__main__":
    main()
