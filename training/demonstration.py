"""Make the demonstration checkpoint: ``python -m training.demonstration --out FILE``.

The story: simulate a cohort, prepare every scan as prediction does, train four networks C with a Bi-LSTM,
calibrate them on subjects of their own, and measure the finished checkpoint on subjects that nothing before
has seen, through the very predictor that serves it: one group with the effect, one without. Everything
follows from the seeds below; the same machine makes the same bytes again.
"""

import argparse
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np
import torch
from jaxtyping import Float64, Int

from imaging import NetworkInput, PreprocessingSpec, preprocess
from model.card import ModelCard
from model.checkpoint import save_checkpoint
from model.networks import build_network
from model.predictor import Classification, Predictor
from training.calibration import fit_temperature
from training.loop import TrainingSettings, train_network
from training.metrics import Evaluation, evaluate
from training.prepared import PreparedScan, load_prepared, save_prepared
from training.simulator import DEFAULT_EFFECT_SIZE, simulate_subject, subject_profile
from training.warm_start import ReaderSettings, encode_scans, settle_normalisation, train_reader

SPEC = PreprocessingSpec()
THRESHOLD = 0.5
READER = ReaderSettings(epochs=4)


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
    end_to_end : TrainingSettings or None
        None leaves the residual networks as random as they started.
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
    end_to_end: TrainingSettings | None = None


@dataclass(frozen=True)
class Answers:
    """What the predictor said about a cohort."""

    labels: Int[np.ndarray, " S"]
    mean_logits: Float64[np.ndarray, " S"]
    probabilities: Float64[np.ndarray, " S"]
    uncertain_share: float

    @classmethod
    def gather(cls, answers: list[tuple[int, Classification]]) -> "Answers":
        """Put single answers, each with the true label, into arrays."""
        return cls(
            labels=np.array([label for label, _ in answers]),
            mean_logits=np.array([answer.member_logits.mean() for _, answer in answers]),
            probabilities=np.array([answer.adhd_probability for _, answer in answers]),
            uncertain_share=float(np.mean([answer.decision == "uncertain" for _, answer in answers])),
        )


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
    spawn = get_context("spawn")
    with (
        TemporaryDirectory(prefix="restnet-demonstration-") as folder,
        ProcessPoolExecutor(
            processes, mp_context=spawn, initializer=torch.set_num_threads, initargs=(1,)
        ) as pool,
    ):
        prepare = partial(prepare_subject, seed=plan.seed)
        save_prepared(Path(folder), list(pool.map(prepare, range(plan.n_training), chunksize=8)))
        clock.say(f"{plan.n_training} training subjects simulated and prepared")
        members = []
        for weights, losses in pool.map(partial(train_member, Path(folder), plan=plan), range(plan.members)):
            members.append({name: torch.from_numpy(values) for name, values in weights.items()})
            clock.say(f"member {len(members)} of {plan.members} trained, losses {losses}")

        def save(*, temperature: float, metrics: dict[str, object]) -> ModelCard:
            card = _card(plan, temperature=temperature, metrics=metrics)
            save_checkpoint(out, members=members, card=card, weights_dtype="float16")
            return card

        def asked(n_subjects: int, *, seed: int, effect_size: float) -> Answers:
            ask = partial(ask_about_subject, out, seed=seed, effect_size=effect_size)
            return Answers.gather(list(pool.map(ask, range(n_subjects), chunksize=8)))

        # Calibrated and measured as it will be served: by the predictor, on weights in half precision.
        save(temperature=1.0, metrics={})
        calibration = asked(plan.n_calibration, seed=plan.seed + 1, effect_size=DEFAULT_EFFECT_SIZE)
        temperature = fit_temperature(calibration.mean_logits, calibration.labels)
        clock.say(f"calibrated: temperature {temperature:.3f}")
        save(temperature=temperature, metrics={})
        test = asked(plan.n_test, seed=plan.seed + 2, effect_size=DEFAULT_EFFECT_SIZE)
        null = asked(plan.n_null, seed=plan.seed + 3, effect_size=0.0)
        card = save(temperature=temperature, metrics=_metrics(test, null))
    clock.say(f"measured: {json.dumps(card.metrics)}")
    return card


def prepare_subject(index: int, *, seed: int) -> PreparedScan:
    """Simulate one training subject in memory and prepare the scan through the one preprocessing path."""
    profile = subject_profile(index, seed=seed)
    prepared = _prepare(index, seed=seed, effect_size=DEFAULT_EFFECT_SIZE)
    return PreparedScan.from_input(prepared, subject_id=profile.scan_dir_id, label=profile.label)


def train_member(folder: Path, member: int, *, plan: Plan) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Train one member from its own start, without its own part of the prepared subjects.

    Parameters
    ----------
    folder : Path
        Where :func:`training.prepared.save_prepared` wrote the cohort.
    member : int
        From 0.
    plan : Plan

    Returns
    -------
    weights : dict of numpy arrays
        By tensor name.
    losses : dict of float
        The first and last of each stage.
    """
    scans = [
        scan
        for i, scan in enumerate(load_prepared(folder))
        if plan.members == 1 or i % plan.members != member
    ]
    seed = plan.seed + member
    torch.manual_seed(seed)
    network = build_network("C", "lstm", width=plan.width)
    settle_normalisation([network], scans, seed=seed)
    features = encode_scans([network], scans, n_windows=plan.warm_start_windows)[0]
    labels = torch.tensor([float(scan.label) for scan in scans])
    reader = train_reader(network, features, labels, settings=replace(plan.reader, seed=seed))
    losses = {"reader_first": reader[0], "reader_last": reader[-1]}
    if plan.end_to_end is not None:
        records = train_network(network, scans, settings=replace(plan.end_to_end, seed=seed))
        losses["end_to_end_last"] = records[-1].training_loss
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return weights, {name: round(loss, 4) for name, loss in losses.items()}


def ask_about_subject(
    checkpoint: Path, index: int, *, seed: int, effect_size: float
) -> tuple[int, Classification]:
    """Let the predictor classify one simulated subject; gives the true label with the answer."""
    network_input = _prepare(index, seed=seed, effect_size=effect_size)
    answer = Predictor.load(checkpoint, device="cpu").classify(network_input, seed=index)
    return subject_profile(index, seed=seed).label, answer


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
    parser.add_argument(
        "--processes", type=int, default=2, help="that share the work; the result is the same"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    make_demonstration(arguments.out, processes=arguments.processes)


if __name__ == "__main__":
    main()
