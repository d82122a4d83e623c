"""What a model says of the people of an evaluation set, computed as the service computes it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from model.backends import Backend
from model.checkpoint import Checkpoint
from model.decision import Decision, bootstrap_interval, calibrated_probability, decide
from model.errors import PreprocessingMismatchError
from model.predictor import Device, Predictor
from model.shapes import MemberLogits
from training.challenge.people import EvaluationSet
from training.evidence.shapes import Probabilities

# People whose logits are computed once more by the plain networks.
N_COMPARED = 8

ReportShare = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Answers:
    """One model's answers, in the order of the evaluation set's people.

    Attributes
    ----------
    probabilities : (S,) float64
        Calibrated, of the mean logit over members, windows and scans.
    decisions : tuple of "adhd", "control" or "uncertain"
    backend : str
        What computed them: what serves on this machine.
    backend_difference : float
        The largest difference between a logit of that backend and of the networks themselves, over the first
        ``N_COMPARED`` people; 0 for a method that has one way to be computed.
    seconds_per_scan : float
        Median time to classify one stored scan.
    """

    probabilities: Probabilities
    decisions: tuple[Decision, ...]
    backend: str
    backend_difference: float
    seconds_per_scan: float

    def to_json(self) -> dict[str, Any]:
        """Give every answer, for who wants to count again."""
        return {
            "probabilities": [round(float(value), 6) for value in self.probabilities],
            "decisions": list(self.decisions),
            "backend": self.backend,
            "backend_difference": self.backend_difference,
            "seconds_per_scan": round(self.seconds_per_scan, 4),
        }


def ask(
    checkpoint: Checkpoint,
    evaluation: EvaluationSet,
    *,
    device: Device = "auto",
    backend: Backend = "auto",
    progress: ReportShare | None = None,
) -> Answers:
    """Have a model answer for every person of an evaluation set.

    Parameters
    ----------
    checkpoint : Checkpoint
    evaluation : EvaluationSet
    device : "auto", "cpu" or "cuda"
    backend : "auto", "openvino" or "torch"
    progress : callable, optional
        Called with the share done, 0 to 1, after every person; what it raises stops the work.

    Returns
    -------
    Answers

    Raises
    ------
    PreprocessingMismatchError
        If the model wants scans prepared in another way than the set's are.
    ModelError
        If the model does not run here.
    """
    predictor = Predictor(checkpoint, device=device, backend=backend)
    spec = evaluation.store.spec
    if predictor.spec != spec:
        raise PreprocessingMismatchError(expected=predictor.spec.to_json(), found=spec.to_json())
    plain = Predictor(checkpoint, device=device, backend="torch")
    logits: list[MemberLogits] = []
    seconds: list[float] = []
    difference = 0.0
    for place, person in enumerate(evaluation.people):
        of_scans = []
        for scan in person.scans:
            began = time.perf_counter()
            of_scans.append(predictor.member_logits(scan))
            seconds.append(time.perf_counter() - began)
            if place < N_COMPARED and predictor.backend != plain.backend:
                again = plain.member_logits(scan)
                difference = max(difference, float(np.abs(again - of_scans[-1]).max()))
        logits.append(np.concatenate(of_scans, axis=1))
        if progress is not None:
            progress((place + 1) / len(evaluation.people))
    probabilities, decisions = _decide(predictor, logits)
    return Answers(
        probabilities=probabilities,
        decisions=decisions,
        backend=predictor.backend,
        backend_difference=difference,
        seconds_per_scan=median(seconds),
    )


def _decide(
    predictor: Predictor, logits: Sequence[MemberLogits]
) -> tuple[Probabilities, tuple[Decision, ...]]:
    card = predictor.card
    means = np.array([own.mean() for own in logits])
    probabilities = calibrated_probability(means, temperature=card.temperature)
    decisions = tuple(
        decide(
            float(probability),
            bootstrap_interval(own, temperature=card.temperature, seed=place),
            threshold=card.threshold,
            rule=card.decision_rule,
            conformal_quantiles=card.conformal_quantiles,
        )
        for place, (probability, own) in enumerate(zip(probabilities, logits, strict=True))
    )
    return probabilities, decisions
