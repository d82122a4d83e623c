"""Answers of models that do not exist, on people who do not exist either."""

import numpy as np
from scipy.special import expit

from model import demonstration_checkpoint
from model.card import read_card
from training.challenge.answers import Answers

CARD = read_card(demonstration_checkpoint()).model_copy(update={"threshold": 0.5})
SITES = ("Peking", "NYU")


def people(n, *, seed=0):
    """Draw diagnoses and, apart from them, sites."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(n) % 2)
    return labels, [SITES[place] for place in generator.integers(2, size=n)]


def answers(
    labels,
    *,
    strength,
    seed,
    shift=0.0,
    sharpness=1.0,
    seconds=0.1,
    backend_difference=1e-6,
    undecided=0,
):
    """Answer with the probability that is exactly right, then moved or sharpened.

    A normal score has unit variance and its mean ``strength`` apart in the two classes: the log odds of a
    case are then ``strength * score``. The first ``undecided`` people are answered with "uncertain".
    """
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=len(labels)) + strength * (labels - 0.5)
    probabilities = expit(sharpness * strength * scores + shift)
    return Answers(
        probabilities=probabilities,
        decisions=(
            *["uncertain"] * undecided,
            *("adhd" if one > 0.5 else "control" for one in probabilities[undecided:]),
        ),
        backend="openvino",
        backend_difference=backend_difference,
        seconds_per_scan=seconds,
    )
