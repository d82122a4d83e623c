"""What people are told a model is: a network with its recurrent layer, or another method by its title."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from service.methods import NETWORK, architecture_of, is_explainable, method_of
from service.web.language import _, marked, ngettext

__all__ = ["RNNS", "TITLES", "is_explainable", "kind_of", "members_of", "reads_whole_run", "title_of"]

RNNS: Mapping[str, str] = MappingProxyType({"lstm": "Bi-LSTM", "gru": "Bi-GRU"})
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "ridge-connectivity": marked("Ridge on connectivity"),
        "logistic-connectivity": marked("Logistic regression on connectivity"),
        "tangent-logistic": marked("Logistic regression on tangent-space connectivity"),
        "svm-reho": marked("SVM on ReHo"),
        "svm-falff": marked("SVM on fALFF"),
        "mkl": marked("Dai, multiple kernels (ReHo, connectivity)"),
        "mkl-t1w": marked("Dai, multiple kernels (ReHo, connectivity, grey matter)"),
        "learned-regions": marked("Learned regions, correlation pooling"),
        "learned-regions-mlp": marked("Learned regions, perceptron by frame"),
        "zou-3d-cnn": marked("Zou, 3D-CNN"),
        "zou-3d-cnn-t1w": marked("Zou, 3D-CNN with tissue maps"),
        "mao-4d-cnn-pooling": marked("Mao, 4D-CNN with feature pooling"),
        "mao-4d-cnn-lstm": marked("Mao, 4D-CNN with LSTM"),
        "mao-4d-cnn-convolution": marked("Mao, 4D-CNN with spatio-temporal convolution"),
        "sc-cnn-attention": marked("Zhang, SC-CNN-Attention"),
        "niu-3d-cnn-gru": marked("Niu, 3D-CNN + GRU"),
        "hong-time-distributed": marked("Hong, 3D-CNN by frame + LSTM"),
        "mean-mlp": marked("meanMLP"),
        "bolt": marked("BolT"),
    }
)
"""Of every method but the networks; a test holds them against `model.methods.catalogue`."""


def title_of(said: Mapping[str, Any]) -> str:
    """Name the method of a card, a result or a run that is no network; by its own name if it has no title."""
    method = method_of(said)
    return _(TITLES[method]) if method in TITLES else method


def kind_of(said: Mapping[str, Any]) -> str:
    """Say what :func:`members_of` names: a network or a method."""
    return _("Network") if method_of(said) == NETWORK else _("Method")


def members_of(said: Mapping[str, Any]) -> str:
    """Say what an ensemble is and how many stand in it; empty where a card leaves that out."""
    architecture, members = architecture_of(said), said.get("members")
    if not members:
        return ""
    if architecture["method"] != NETWORK:
        return ngettext(
            "%(title)s, %(num)s member", "%(title)s, %(num)s members", members, title=title_of(said)
        )
    network, rnn = architecture["network"], architecture["rnn"]
    if not network or not rnn:
        return ""
    return ngettext(
        "%(network)s with %(rnn)s, %(num)s member",
        "%(network)s with %(rnn)s, %(num)s members",
        members,
        network=network,
        rnn=RNNS.get(rnn, rnn),
    )


def reads_whole_run(result: Mapping[str, Any]) -> bool:
    """Say whether the model reads a run at once, and no stretches of it."""
    return method_of(result["model"]) != NETWORK and len(result["windows"]) == 1
